"""Affinity: which task as an input helps which other; the leak rule, signs, resuming."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from mtl_core.images import ColourImage
from mtl_core.predictor import FakePredictor
from mtl_training.errors import ConfigError
from mtl_training.evaluate import PerImage
from mtl_training.experiments.affinity import Affinity, difference, evaluations, pairs, run
from mtl_training.experiments.affinity_report import markdown, verdict, write_report
from mtl_training.experiments.evaluation import FIGURES, ROWS, SelfTold
from mtl_training.experiments.results import columns
from mtl_training.learning.machine import Machine
from mtl_training.settings import load_config, parse_config
from mtl_training.tasks.depth import Depth
from mtl_training.tasks.registry import TASKS, build_tasks
from tiny_study import SHARED

TOML = (
    """
name = "tiny"
seeds = [0, 1]
resamples = 20

"""
    + SHARED
    + """
[teacher]
schedule = {steps = 2, batch_size = 2, ema_decay = 0.5}
losses = {modality_dropout = 0.0}
"""
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("toml") / "tiny.toml"
    path.write_text(TOML, encoding="utf-8")
    return load_config(Affinity, path)


def with_tasks(tiny, *names):
    return replace(tiny, tasks=replace(tiny.tasks, names=names))


@pytest.fixture(scope="module")
def finished(tiny, data_folder, tmp_path_factory):
    """A study with depth as the only input, run to its end: its folder and what it found."""
    out = tmp_path_factory.mktemp("out")
    machine = Machine(accelerator="cpu", workers=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTL_DATA", str(data_folder))
        one = replace(tiny, inputs=("depth",))
        found = run(one, out, machine)
        before = (out / "affinity.json").read_bytes()
        stamps = {path: path.stat().st_mtime_ns for path in out.glob("stages/*/*")}
        run(one, out, machine)
    assert before == (out / "affinity.json").read_bytes()
    assert stamps == {path: path.stat().st_mtime_ns for path in out.glob("stages/*/*")}
    return out, found


def test_a_second_call_trains_and_measures_nothing(finished):
    """Checked in the fixture; there is the control and one network for each seed."""
    out, _ = finished
    kinds = [path.name.rsplit("-s", 1)[0] for path in out.glob("stages/teacher-*")]
    assert (
        sorted(kinds)
        == ["teacher-segmentation-depth-given-depth"] * 2
        + ["teacher-segmentation-depth-given-image"] * 2
    )


def test_the_table_says_what_was_measured(finished):
    """Differences of the evaluations' own figures, with t intervals."""
    out, found = finished
    (pair,) = found["pairs"]
    assert (pair["input"], pair["target"], pair["excluded"]) == ("depth", "segmentation", "")

    def miou(kind, given):
        values = {}
        for path in out.glob(f"stages/evaluation-teacher-*-given-{kind}-s*"):
            record = json.loads((path / "stage.json").read_text())
            if record["identity"]["given"] == given:
                seed = path.name.rsplit("-s", 1)[1].split("-")[0]
                values[seed] = json.loads((path / FIGURES).read_text())["segmentation"]["miou"]
        return np.array([values["0"], values["1"]])

    table = (out / "affinity.md").read_text(encoding="utf-8")
    for given in ("truth", "prediction", "nothing"):
        expected = miou("depth", given) - miou("image", "nothing")
        said = pair["figures"]["miou"][given]
        assert said["values"] == pytest.approx(expected.tolist())
        low, high = stats.t.interval(0.95, 1, expected.mean(), stats.sem(expected))
        assert said["estimate"]["low"] == pytest.approx(low)
        assert said["images"]["difference"] == pytest.approx(expected.mean())
        assert [one["difference"] for one in said["images_by_seed"]] == pytest.approx(
            expected.tolist()
        )
        assert f"| {expected.mean():+.4f} | [{low:+.4f}, {high:+.4f}] |" in table
    assert (out / "affinity.png").stat().st_size > 1000


# ---- the leak rule -------------------------------------------------------------------------------


def test_pairs_of_one_origin_are_listed_and_never_trained(tiny):
    three = with_tasks(tiny, "segmentation", "depth", "normals")
    found = {(p.given.name, p.target.name): p.excluded for p in pairs(three)}
    assert found == {
        ("segmentation", "depth"): "",
        ("segmentation", "normals"): "",
        ("depth", "segmentation"): "",
        ("depth", "normals"): "same origin",
        ("normals", "segmentation"): "",
        ("normals", "depth"): "same origin",
    }
    alone = with_tasks(tiny, "depth", "normals")
    with pytest.raises(ConfigError, match="depth -> normals: same origin"):
        evaluations(alone, pairs(alone))


def test_an_excluded_pair_stands_in_table_and_plot(finished, tmp_path):
    _, found = finished
    excluded = {"input": "depth", "target": "normals", "excluded": "same origin", "figures": {}}
    more = {**found, "pairs": [*found["pairs"], excluded]}
    assert "| depth -> normals | - | - | - | - | - | - | excluded (same origin) |" in markdown(more)
    write_report(more, tmp_path)
    assert (tmp_path / "affinity.png").stat().st_size > 1000


def test_a_task_that_is_no_input_is_excluded(tiny, monkeypatch):
    class Silent(Depth):
        name = "silent"
        origin = "elsewhere"

        def encoder(self):
            return None

    monkeypatch.setitem(TASKS, "silent", lambda config: Silent(config.depth))
    found = pairs(with_tasks(tiny, "segmentation", "silent"))
    assert {(p.given.name, p.target.name): p.excluded for p in found} == {
        ("segmentation", "silent"): "",
        ("silent", "segmentation"): "no input of teachers",
    }


def test_unknown_inputs_are_refused(tiny):
    with pytest.raises(ConfigError, match=r"unknown.*normals.*known: segmentation, depth"):
        replace(tiny, inputs=("normals",))


# ---- signs ---------------------------------------------------------------------------------------


def evaluation(folder, metric, *images):
    """An evaluation's folder, of depth images (predicted, truth)."""
    errors = PerImage(metric)
    for number, (predicted, truth) in enumerate(images):
        errors.add(str(number), predicted, truth)
    folder.mkdir()
    np.savez(folder / ROWS, **{"depth.names": np.array(errors.names), "depth.rows": errors.rows})
    (folder / FIGURES).write_text(json.dumps({"depth": errors.figures()}), encoding="utf-8")
    return folder


def test_positive_always_means_that_the_input_helps(tiny, tmp_path):
    """A better depth: less RMSE and AbsRel, more within 1.25; all three turn positive."""
    (depth,) = build_tasks(tiny.tasks, ["depth"])
    truth = np.full((4, 5), 2.0, np.float32)
    good = [(truth * f, truth) for f in (1.1, 0.95, 1.2)]
    bad = [(truth * f, truth) for f in (1.5, 0.8, 1.6)]
    better = [evaluation(tmp_path / f"better{i}", depth.metric, *good) for i in range(2)]
    worse = [evaluation(tmp_path / f"worse{i}", depth.metric, *bad) for i in range(2)]
    found = {c.figure: c for c in columns([depth])}
    assert {name: column.sign for name, column in found.items()} == dict(depth.figures)
    for name, column in found.items():
        helps = difference(better, worse, column, 50)
        hurts = difference(worse, better, column, 50)
        assert min(helps["values"]) > 0, name
        assert helps["estimate"]["mean"] > 0
        assert helps["images"]["difference"] > 0
        assert helps["images"]["low"] > 0
        assert hurts["values"] == pytest.approx([-value for value in helps["values"]])
        assert hurts["images"]["difference"] == pytest.approx(-helps["images"]["difference"])


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.1, 0.2, "helps"), (-0.2, -0.1, "hurts"), (-0.1, 0.2, "no measurable gain")],
)
def test_an_interval_with_zero_in_it_is_no_gain(low, high, said):
    assert verdict({"low": low, "high": high}) == said
    assert verdict({"low": None, "high": None}) == "one seed says nothing"


# ---- the teacher's own prediction as its input ---------------------------------------------------


class Recorder(FakePredictor):
    """Remembers what it is told."""

    def __init__(self):
        super().__init__()
        self.told = []

    def predict(self, image, fx=None, signals=None):
        self.told.append(signals)
        return super().predict(image, fx)


def test_a_teacher_is_told_what_it_says_itself_of_the_bare_image(tiny):
    teacher, tasks = Recorder(), build_tasks(tiny.tasks)
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    SelfTold(teacher, tasks).predict(ColourImage(image, "rgb"), 100.0)
    bare = FakePredictor().predict(ColourImage(image, "rgb"), 100.0)
    first, second = teacher.told
    assert first is None
    np.testing.assert_array_equal(second["labels"], bare.mask())
    np.testing.assert_array_equal(second["depth"], bare.depth())


def test_settings_that_are_none_are_named(tiny):
    with pytest.raises(ConfigError, match="seeds"):
        replace(tiny, seeds=())
    with pytest.raises(ConfigError, match="smaples"):
        parse_config(Affinity, {"smaples": 3}, "file")
