"""Experiments: stages are shared, resumed and done once; tables say what the results say."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from mtl_core.predictor import ModelPredictor
from mtl_training.config import DataConfig
from mtl_training.data.catalogue import open_source
from mtl_training.errors import ConfigError, DatasetError
from mtl_training.evaluate import PerImage, evaluate
from mtl_training.experiments import experiment as experiments
from mtl_training.experiments.chain import PROTOCOL
from mtl_training.experiments.design import Pretraining
from mtl_training.experiments.evaluation import rows_in
from mtl_training.experiments.experiment import archive, listing, run
from mtl_training.experiments.results import columns
from mtl_training.experiments.stages import RECORD, STAGES
from mtl_training.learning.checkpoint import WEIGHTS, load_trained
from mtl_training.learning.machine import Machine
from mtl_training.learning.material import open_data
from mtl_training.models import open_model
from mtl_training.settings import config_fields
from mtl_training.tasks.registry import build_tasks
from tiny_study import tiny_experiment, with_methods

CONFIGS = Path(experiments.__file__).parents[2] / "configs" / "experiments"


@pytest.fixture(scope="module")
def tiny():
    return tiny_experiment()


@pytest.fixture(scope="module")
def machine():
    return Machine(accelerator="cpu", workers=0, save_every=1)


@pytest.fixture(scope="module")
def data(data_folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTL_DATA", str(data_folder))
        yield data_folder


@pytest.fixture(scope="module")
def finished(tiny, data, machine, tmp_path_factory):
    """The folder of the tiny experiment, run to its end."""
    return run(tiny, tmp_path_factory.mktemp("out"), machine)


@pytest.fixture
def spoilt(finished, tmp_path):
    """That folder, which afterwards is again what it was."""
    backup = shutil.copytree(finished, tmp_path / "backup")
    yield finished
    shutil.rmtree(finished)
    shutil.copytree(backup, finished)


@pytest.fixture
def began(monkeypatch):
    """Names of the stages that run from now on."""
    names = []
    opened = experiments.open_workshop

    def open_workshop(out, machine):
        workshop = opened(out, machine)

        def say(line):
            if ": " in line:
                names.append(line.split(": ")[1])

        return replace(workshop, say=say)

    monkeypatch.setattr(experiments, "open_workshop", open_workshop)
    return names


def lines(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def stages(folder, start):
    return sorted(path.name for path in (folder / "stages").glob(f"{start}-*"))


# ---- one run, from protocol to table -------------------------------------------------------------


def test_there_is_one_result_for_each_method_and_seed(finished):
    found = lines(finished)
    assert [(one["method"], one["seed"]) for one in found] == [
        ("multi_task", 0),
        ("teacher_student", 0),
        ("multi_task", 1),
        ("teacher_student", 1),
    ]
    for one in found:
        assert {"miou", "rmse", "absrel", "delta1"} <= {
            key for figures in one["figures"].values() for key in figures
        }
        assert all((finished / "stages" / name / RECORD).is_file() for name in one["stages"])
    assert len({one["config"] for one in found}) == 4
    assert {one["commit"] for one in found} != {""}


def test_stages_that_methods_and_seeds_share_are_done_once(finished):
    """Both methods and both seeds have one protocol; each seed has its teacher."""
    assert len(stages(finished, "protocol")) == 1
    for kind in ("teacher", "pseudo", "quality", "evaluation-teacher"):
        assert len(stages(finished, kind)) == 2
    assert len(stages(finished, "student")) == 4
    assert len(stages(finished, "evaluation-student")) == 4


def test_another_study_shares_the_stages_by_a_link(finished, tiny, machine, tmp_path):
    """What it trains records its labels where they are, so that either study goes on with it."""
    (tmp_path / STAGES).symlink_to(finished / STAGES)
    said = [line for line in listing(tiny, tmp_path) if line.startswith("  ")]
    assert said
    assert all(line.startswith("  done ") for line in said)
    assert experiments.open_workshop(tmp_path, machine).folder == (finished / STAGES).resolve()


def test_a_result_is_what_evaluate_says_of_the_student(finished, tiny, data):
    found = lines(finished)[0]
    (student,) = (name for name in found["stages"] if name.startswith("student"))
    predictor = ModelPredictor(open_model(finished / "stages" / student))
    tasks = build_tasks(tiny.tasks)
    again = evaluate(predictor, open_source(tiny.data.test), tasks)
    assert found["figures"]["segmentation"]["miou"] == pytest.approx(again["miou"], rel=1e-6)
    assert found["figures"]["depth"]["rmse"] == pytest.approx(again["rmse"], rel=1e-6)


def test_pseudo_labels_are_judged_by_what_the_protocol_hides(finished):
    """Three of four images keep their labels, so the fourth alone has pseudo-labels."""
    pseudo = [one["pseudo"] for one in lines(finished)]
    assert pseudo[0] is None
    assert pseudo[1].keys() == {"segmentation"}
    assert pseudo[1]["segmentation"]["images"] == 1
    assert pseudo[1]["segmentation"]["coverage"] == 1.0
    assert 0 <= pseudo[1]["segmentation"]["accuracy_kept"] <= 1


def test_the_teacher_does_not_see_what_it_is_calibrated_on(finished):
    (protocol,) = stages(finished, "protocol")
    drawn = json.loads((finished / "stages" / protocol / PROTOCOL).read_text())
    assert len(drawn["labels"]["segmentation"]) == 3
    assert len(drawn["calibration"]) == 1
    for name in stages(finished, "teacher"):
        folder = finished / "stages" / name
        config = load_trained(folder).config
        (aside,) = drawn["calibration"]
        source = open_data(config.data[0], config, {})
        assert source.names.index(aside) not in source.labelled("segmentation")
        config = config_fields(config)
        assert config["tasks"]["names"] == ["segmentation"]
        assert json.loads((folder / "temperatures.json").read_text()).keys() == {"segmentation"}


def test_a_teacher_may_learn_from_another_ones_labels(tiny, data, machine, tmp_path):
    """The second round sees the first one's labels, and still nothing of the set-aside samples."""
    first = tiny.teachers["multi_modal"]
    rounds = {**tiny.teachers, "second": replace(first, teacher="multi_modal")}
    study = with_methods(replace(tiny, teachers=rounds), taught_twice={"teacher": "second"})
    out = run(study, tmp_path, machine, seeds=[0])
    (earlier,) = (name for name in stages(out, "teacher") if "with-pseudo" not in name)
    (later,) = (name for name in stages(out, "teacher") if "with-pseudo" in name)
    (result,) = lines(out)
    assert result["stages"].index(earlier) < result["stages"].index(later)
    config = load_trained(out / "stages" / later).config
    assert Path(config.data[0].pseudo).parent.name in stages(out, "pseudo")
    source = open_data(config.data[0], config, {t.name: t for t in build_tasks(tiny.tasks)})
    (protocol,) = stages(out, "protocol")
    (aside,) = json.loads((out / "stages" / protocol / PROTOCOL).read_text())["calibration"]
    index = source.names.index(aside)
    assert index not in source.labelled("segmentation")
    assert index not in source.pseudo_labelled("segmentation")
    assert len(source.pseudo_labelled("segmentation")) == 1
    student = load_trained(out / "stages" / stages(out, "student")[0])
    assert Path(student.config.data[0].pseudo).parent.name.startswith("pseudo-segmentation")
    assert student.config.data[0].pseudo != config.data[0].pseudo


def test_a_pretrained_teacher_goes_on_from_what_rooms_have_taught_it(tiny, data, machine, tmp_path):
    rooms = Pretraining(data=DataConfig("rooms", frames=2))
    teacher = replace(tiny.teachers["multi_modal"], pretrain="rooms")
    study = replace(tiny, pretrainings={"rooms": rooms}, teachers={"multi_modal": teacher})
    out = run(study, tmp_path, machine, only=["teacher_student"], seeds=[0])
    before, after = sorted(stages(out, "teacher"), key=lambda name: "pretrained" in name)
    earlier, later = (load_trained(out / "stages" / name) for name in (before, after))
    assert earlier.config.data == (DataConfig("rooms", frames=2),)
    assert later.config.data[0].source == "nyuv2"
    assert Path(later.config.start).name == before
    assert later.record["start"]["config"] == earlier.record["config"]
    (student,) = stages(out, "student")
    assert load_trained(out / "stages" / student).config.start == ""


def test_a_lost_pretraining_is_done_again_and_what_builds_on_it_if_it_became_another(
    tiny, data, machine, tmp_path, began
):
    rooms = Pretraining(data=DataConfig("rooms", frames=2))
    tiny = replace(tiny, pretrainings={"rooms": rooms})
    study = with_methods(tiny, plain={"pretrain": "rooms"})
    out = run(study, tmp_path, machine, seeds=[0])
    before, after = sorted(stages(out, "student"), key=lambda name: "pretrained" in name)
    began.clear()
    shutil.rmtree(out / "stages" / before)
    run(study, tmp_path, machine, seeds=[0])
    assert began == [before], "the same weights: what builds on them stands"
    record = out / "stages" / before / RECORD
    record.write_text(record.read_text().replace('"digest": "', '"digest": "0'))
    began.clear()
    run(study, tmp_path, machine, seeds=[0])
    assert began[0] == after


def test_the_table_says_what_the_results_say(finished):
    """Means, deviations and t intervals, computed again from the lines."""
    table = (finished / "table.md").read_text(encoding="utf-8")
    found = lines(finished)
    for method in ("multi_task", "teacher_student"):
        cells = []
        for task, figure in (("segmentation", "miou"), ("depth", "rmse"), ("depth", "delta1")):
            values = [o["figures"][task][figure] for o in found if o["method"] == method]
            mean, std = np.mean(values), np.std(values, ddof=1)
            low, high = stats.t.interval(0.95, 1, mean, std / math.sqrt(2))
            cells.append(f"{mean:.3f} ± {std:.3f} [{low:.3f}, {high:.3f}]")
        (row,) = (line for line in table.splitlines() if line.startswith(f"| {method} | 2 |"))
        assert all(cell in row for cell in cells), row
    assert "too few seeds" in table
    difference = np.mean(
        [
            found[i + 1]["figures"]["depth"]["rmse"] - found[i]["figures"]["depth"]["rmse"]
            for i in (0, 2)
        ]
    )
    (row,) = (line for line in table.splitlines() if "rmse ↓ |" in line and " - " in line)
    assert f"| {difference:+.4f} |" in row
    assert f"| {'teacher_student' if difference < 0 else 'multi_task'} |" in row
    assert (finished / "figures.png").stat().st_size > 1000


def test_stored_rows_give_the_figures_again(finished, tiny):
    """The numbers of single images, summed, are those of the data set."""
    result = lines(finished)[0]
    for column in columns(build_tasks(tiny.tasks)):
        folder = finished / "stages" / result["evaluations"][column.task.name]
        names, rows = rows_in(folder, column.task.name)
        assert len(names) == 4
        said = PerImage(column.task.metric).figures(rows)[column.figure]
        assert said == pytest.approx(column.of(result), rel=1e-9)


def test_rows_that_are_damaged_are_named(spoilt):
    name = lines(spoilt)[0]["evaluations"]["depth"]
    path = spoilt / "stages" / name / "rows.npz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DatasetError, match=name):
        rows_in(path.parent, "depth")


# ---- again ---------------------------------------------------------------------------------------


def test_a_second_call_does_nothing_and_says_the_same(spoilt, tiny, data, machine, began):
    before = (spoilt / "results.jsonl").read_bytes(), (spoilt / "table.md").read_bytes()
    run(tiny, spoilt, machine)
    assert began == []
    assert before == ((spoilt / "results.jsonl").read_bytes(), (spoilt / "table.md").read_bytes())


def test_a_lost_student_alone_is_trained_again_and_what_depends_on_it(
    spoilt, tiny, data, machine, began
):
    """Its weights are the same bits, so what was measured of it still holds and is kept."""
    before = lines(spoilt)
    student = next(name for name in before[1]["stages"] if name.startswith("student"))
    weights = (spoilt / "stages" / student / WEIGHTS).read_bytes()
    shutil.rmtree(spoilt / "stages" / student)
    run(tiny, spoilt, machine)
    assert began == [student]
    assert (spoilt / "stages" / student / WEIGHTS).read_bytes() == weights
    assert lines(spoilt) == before


def test_what_builds_on_a_stage_that_became_another_is_done_again(
    spoilt, tiny, data, machine, began
):
    """Another temperature: other pseudo-labels, another student; the other seed's stay."""
    result = lines(spoilt)[1]
    teacher = next(name for name in result["stages"] if name.startswith("teacher"))
    folder = spoilt / "stages" / teacher
    (folder / "temperatures.json").unlink()
    record = json.loads((folder / RECORD).read_text())
    # As if the stage had been done by another version, with another outcome.
    (folder / RECORD).write_text(json.dumps({**record, "digest": "0" * 64}))
    run(tiny, spoilt, machine)
    kinds = [name.rsplit("-", 1)[0] for name in began]
    assert began[0] == teacher
    assert all("-s0" in kind for kind in kinds)
    # The teacher came out as before, so what was made from it still is its.
    assert len(began) == 1

    began.clear()
    (folder / "temperatures.json").write_text('{"segmentation": 3.0}')
    (folder / RECORD).write_text(json.dumps({**record, "digest": "1" * 64}))
    run(tiny, spoilt, machine)
    kinds = {name.rsplit("-", 1)[0] for name in began}
    assert {kind.split("-")[0] for kind in kinds} == {
        "pseudo",
        "quality",
        "evaluation",
        "student",
    }
    assert sum(name.startswith("student") for name in began) == 1


def test_what_was_killed_on_the_way_is_gone_on_with(spoilt, tiny, data, machine, began):
    """A student with its first checkpoint, and labels of which some are missing."""
    result = lines(spoilt)[1]
    by_kind = {name.split("-")[0]: name for name in result["stages"]}
    for kind, product in (("student", WEIGHTS), ("pseudo", "labels/pseudo.json")):
        folder = spoilt / "stages" / by_kind[kind]
        record = json.loads((folder / RECORD).read_text())
        (folder / RECORD).write_text(json.dumps({**record, "digest": ""}))
        if kind == "student":
            (folder / product).unlink()
    before = lines(spoilt)
    run(tiny, spoilt, machine)
    measured = {name for name in began if name.startswith("evaluation-student")}
    assert set(began) - measured == {by_kind["student"], by_kind["pseudo"]}
    assert lines(spoilt) == before


def test_another_seed_or_method_reuses_what_is_there(spoilt, tiny, data, machine, began):
    hard = {"teacher": "multi_modal", "losses": {"pseudo_hard": True, "pseudo_threshold": 0.0}}
    more = with_methods(tiny, multi_task={}, hard=hard)
    assert any(line.startswith("  to do") for line in listing(more, spoilt))
    run(more, spoilt, machine, only=["hard"])
    assert {name.split("-")[0] for name in began} == {"student", "evaluation"}
    assert [one["method"] for one in lines(spoilt)] == ["multi_task", "hard"] * 2
    assert not any(line.startswith("  to do") for line in listing(more, spoilt))


def test_one_seed_is_done_and_the_table_is_of_what_is_done(tiny, data, machine, tmp_path, began):
    said = list(listing(tiny, tmp_path, ["multi_task"], [1]))
    assert [line for line in said if not line.startswith(" ")] == ["multi_task, seed 1"]
    run(tiny, tmp_path, machine, ["multi_task"], [1])
    assert {name.rsplit("-", 1)[0][-3:] for name in began if "student" in name} == {"-s1"}
    assert [(one["method"], one["seed"]) for one in lines(tmp_path)] == [("multi_task", 1)]
    assert "| multi_task | 1 |" in (tmp_path / "table.md").read_text(encoding="utf-8")


# ---- what is kept of a study ---------------------------------------------------------------------


@pytest.fixture
def archived(finished, tiny, tmp_path):
    return archive(tiny, finished, tmp_path / "archive")


def test_an_archive_says_all_of_a_study_without_its_weights_and_labels(finished, archived):
    for name in ("results.jsonl", "table.md"):
        assert (archived / name).read_bytes() == (finished / name).read_bytes()
    kept = {path.name for path in archived.rglob("*") if path.is_file()}
    assert kept == {
        *("experiment.json", "results.jsonl", "table.md", "figures.png"),
        *("stage.json", "figures.json", "rows.npz", "quality.json"),
    }


def test_a_study_goes_on_from_its_archive(tiny, archived, data, machine, began):
    assert not any(line.startswith("  to do") for line in listing(tiny, archived))
    run(tiny, archived, machine)
    assert began == []


def test_a_kill_in_a_teacher_that_is_needed_again_costs_no_student_that_is_measured(
    spoilt, tiny, data, machine, began
):
    for kind in ("teacher", "pseudo", "student"):
        for name in stages(spoilt, kind):
            for path in (spoilt / "stages" / name).iterdir():
                if path.name != RECORD:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
    teacher = next(name for name in lines(spoilt)[1]["stages"] if name.startswith("teacher"))
    record = spoilt / "stages" / teacher / RECORD
    record.write_text(json.dumps({**json.loads(record.read_text()), "digest": ""}))
    before = lines(spoilt)
    run(tiny, spoilt, machine)
    assert began == [teacher]
    assert lines(spoilt) == before


def test_another_seed_is_added_to_an_archive(tiny, finished, tmp_path, data, machine, began):
    part = archive(replace(tiny, seeds=(1,)), finished, tmp_path / "part")
    run(tiny, part, machine, only=["multi_task"], seeds=[0])
    assert [name.split("-")[0] for name in began] == ["protocol", "student", "evaluation"]
    assert lines(part) == [one for one in lines(finished) if one != lines(finished)[1]]


def test_an_archive_takes_some_seeds_and_methods_and_then_others(tiny, finished, tmp_path):
    part, other = tmp_path / "part", tmp_path / "other"
    archive(tiny, finished, part, seeds=[1])
    assert {one["seed"] for one in lines(part)} == {1}
    archive(tiny, finished, other, only=["multi_task"], seeds=[0])
    assert [(one["method"], one["seed"]) for one in lines(other)] == [("multi_task", 0)]
    archive(tiny, other, part)
    assert lines(part) == [one for one in lines(finished) if one != lines(finished)[1]]


def test_an_archive_loses_no_results_that_the_study_no_longer_names(tiny, archived, tmp_path):
    fewer = with_methods(tiny, multi_task={})
    less = archive(fewer, archived, tmp_path / "less")
    before = lines(archived)
    with pytest.raises(ConfigError, match="holds teacher_student, seed 0, which is not of this"):
        archive(fewer, less, archived)
    assert lines(archived) == before


def test_an_archive_is_not_the_study_itself(tiny, archived):
    with pytest.raises(ConfigError, match="another folder than the study's own"):
        archive(tiny, archived, archived)


def test_what_a_kill_left_of_a_stage_in_an_archive_is_replaced(tiny, finished, archived):
    before = lines(archived)
    record = archived / "stages" / stages(archived, "student")[0] / RECORD
    record.write_text(json.dumps({**json.loads(record.read_text()), "digest": ""}))
    archive(tiny, finished, archived)
    assert lines(archived) == before


def test_an_archive_of_another_outcome_is_not_overwritten(tiny, finished, archived):
    student = stages(archived, "student")[0]
    record = archived / "stages" / student / RECORD
    record.write_text(record.read_text().replace('"digest": "', '"digest": "0'))
    with pytest.raises(ConfigError, match=f"expected the outcome of {student} .* got another"):
        archive(tiny, finished, archived)


def test_nothing_measured_is_no_archive(tiny, tmp_path):
    with pytest.raises(ConfigError, match="something measured to archive, got nothing"):
        archive(tiny, tmp_path / "none", tmp_path / "archive")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", [run, listing])
def test_an_unknown_seed_is_named_with_those_there_are(tiny, machine, tmp_path, call):
    given = {run: (tiny, tmp_path, machine), listing: (tiny, tmp_path)}[call]
    with pytest.raises(ConfigError, match=r"seeds: unknown \['7'\], known: 0, 1"):
        list(call(*given, seeds=[0, 7]))


def test_a_list_changes_nothing(tiny, tmp_path):
    said = list(listing(tiny, tmp_path / "none"))
    assert said[0] == "multi_task, seed 0"
    assert sum("to do" in line for line in said) == len([x for x in said if x.startswith("  ")])
    assert not (tmp_path / "none").exists()
