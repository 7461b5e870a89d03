"""The file that leaves training: it computes what torch computes, keeps the leak rule, is whole."""

import hashlib
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import untrained
from mtl_core.card import METADATA_KEY, DepthSpec, ModelCard
from mtl_core.model import OnnxModel
from mtl_core.predictor import ModelPredictor
from mtl_training.config import DataConfig, NetworkConfig
from mtl_training.data.catalogue import open_source
from mtl_training.errors import CheckpointError, ConfigError, ExportError, OutputError
from mtl_training.evaluate import evaluate, shared_tasks
from mtl_training.export import write_card
from mtl_training.models import open_model
from mtl_training.release import check_agreement, golden_inputs, open_sibling, release

pytestmark = pytest.mark.slow

EVERY = ("segmentation", "depth", "normals")
VAL = DataConfig("nyuv2", split="val")


def of_tasks(config, *names):
    return replace(config, tasks=replace(config.tasks, names=names))


TEMPERATURES = {"segmentation": 2.0, "depth": 0.7}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """Three tasks, two signals, open fusion, temperatures."""
    folder = tmp_path_factory.mktemp("teacher")
    return untrained.exported(untrained.TEACHER, folder, temperatures=TEMPERATURES)


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    network = NetworkConfig("student", 64, 96)
    config = of_tasks(replace(untrained.TEACHER, name="student", network=network), *EVERY[:2])
    return untrained.exported(config, tmp_path_factory.mktemp("student"))


def test_a_students_outputs_are_what_robots_know(student):
    _, file = student
    assert file.outputs == ("segmentation", "depth", "depth_log_scale")
    graph = onnx.load(file.path).graph
    assert [i.name for i in graph.input] == ["image"]
    assert [o.name for o in graph.output] == list(file.outputs)


def test_a_teachers_file_has_its_signals_and_confidences(teacher):
    _, file = teacher
    graph = onnx.load(file.path).graph
    assert [i.name for i in graph.input] == ["image", "depth", "labels"]
    assert "predicted_depth" in [o.name for o in graph.output]
    said = {f"{name}{end}" for name in EVERY for end in ("", "_confidence")}
    assert set(file.outputs) == said | {"depth_log_scale", "normals_log_scale"}


@pytest.mark.parametrize("which", ["student", "teacher"])
def test_torch_and_onnxruntime_agree_on_a_golden_image(which, request):
    """The contract between training and robot: same image, same outputs, within 1e-4."""
    model, file = request.getfixturevalue(which)
    check_agreement(model, file)
    for name, output in model.run(golden_inputs(model)).items():
        assert np.ptp(output) > 0.01, f"{name} says nothing"


@pytest.mark.parametrize("which", ["student", "teacher"])
def test_a_file_takes_any_batch_and_names_no_path(which, request):
    model, file = request.getfixturevalue(which)
    one = golden_inputs(model)
    three = {name: np.concatenate([value, value * 0, value]) for name, value in one.items()}
    alone, together = file.run(one), file.run(three)
    for name in file.outputs:
        np.testing.assert_allclose(together[name][2:], alone[name], atol=1e-4, rtol=1e-4)
    assert b"mtl_training/" not in file.path.read_bytes()
    assert b"site-packages" not in file.path.read_bytes()


def changed_by(file, name):
    """Outputs that change, in any bit, when an input changes from the truth to other values."""
    inputs = golden_inputs(file)
    others = {"depth": inputs["depth"] * 0.5 + 1, "labels": (inputs["labels"] + 5) % 13}
    before, changed = file.run(inputs), file.run({**inputs, name: others[name]})
    without = file.run({n: v for n, v in inputs.items() if n != name})
    same = {
        output
        for output in file.outputs
        if np.array_equal(before[output], changed[output])
        and np.array_equal(before[output], without[output])
    }
    return set(file.outputs) - same


def test_no_answer_depends_on_what_its_own_labels_were_measured_with(teacher):
    """The leak rule, on the file that labels data: depth and normals come from one sensor."""
    _, file = teacher
    segmentation = {"segmentation", "segmentation_confidence"}
    assert changed_by(file, "depth") == segmentation
    assert changed_by(file, "labels") == set(file.outputs) - segmentation


def test_a_checkpoint_and_its_file_measure_alike(teacher, student):
    source = open_source(DataConfig("held-out-rooms", frames=6))
    for (model, file), signals in ((student, ()), (teacher, ()), (teacher, ("depth", "labels"))):
        tasks = shared_tasks(file, source)
        one, other = (evaluate(ModelPredictor(m), source, tasks, signals) for m in (model, file))
        assert one.pop("labelled") == other.pop("labelled")
        assert one.pop("pixels") == other.pop("pixels")
        assert one.pop("iou") == pytest.approx(other.pop("iou"), abs=1e-3, nan_ok=True)
        assert one == pytest.approx(other, abs=1e-3)


@pytest.mark.parametrize("names", [("segmentation",), ("depth", "normals")])
def test_a_student_of_any_tasks_is_exported(config, tmp_path, names):
    model, file = untrained.exported(of_tasks(config, *names), tmp_path)
    check_agreement(model, file)
    assert file.card == model.card
    assert {name for name in file.outputs if "_" not in name} == set(names)


# ---- release -----------------------------------------------------------------------------------


def test_a_released_student_is_measured_and_says_so(config, made_data, tmp_path):
    run = untrained.run(tmp_path / "run", config)
    path = release(run, tmp_path / "models", VAL)
    assert path == tmp_path / "models" / "smoke.onnx"
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    file = OnnxModel(path)
    figures = evaluate(ModelPredictor(file), open_source(VAL), shared_tasks(file, open_source(VAL)))
    said = file.card.metrics
    assert said["nyuv2_val_miou"] == pytest.approx(figures["miou"], abs=1e-4)
    assert said["nyuv2_val_rmse"] == pytest.approx(figures["rmse"], abs=1e-4)
    assert said["nyuv2_val_images"] == 1
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert list(metadata) == [METADATA_KEY], "a card is the only metadata"
    assert ModelCard.from_json(metadata[METADATA_KEY]) == file.card


def test_a_teacher_is_measured_with_each_of_its_inputs(teacher, made_data, tmp_path, monkeypatch):
    _, file = teacher
    run = untrained.run(tmp_path / "run", untrained.TEACHER, temperatures=TEMPERATURES)
    # The same network was exported already, which takes half a minute.
    monkeypatch.setattr(
        "mtl_training.release.export", lambda *args: args[-1].write_bytes(file.path.read_bytes())
    )
    said = OnnxModel(release(run, tmp_path / "models", VAL)).card.metrics
    assert said["nyuv2_val_miou"] != said["nyuv2_val_given_depth_miou"]
    assert said["nyuv2_val_rmse"] == said["nyuv2_val_given_depth_rmse"]
    assert said["nyuv2_val_rmse"] != said["nyuv2_val_given_labels_rmse"]
    assert said["temperature_depth"] == TEMPERATURES["depth"]


# ---- a sibling's figures -----------------------------------------------------------------------

ROOMS = DataConfig("held-out-rooms", frames=1)


def test_who_learned_from_all_data_has_the_figures_of_its_sibling(config, made_data, tmp_path):
    """Measured on rooms, which it has not seen; temperatures and val's figures: the sibling's."""
    less = untrained.run(tmp_path / "less", config, seed=5, temperatures=TEMPERATURES)
    sibling = release(less, tmp_path / "siblings", VAL)
    run = untrained.run(tmp_path / "run", config)
    card, other = (
        OnnxModel(path).card for path in (release(run, tmp_path, ROOMS, sibling), sibling)
    )
    said = dict(card.metrics)
    assert {n: said.pop(n) for n in list(said) if n.startswith("temperature_")} == {
        "temperature_segmentation": 2.0,
        "temperature_depth": 0.7,
    }
    of_sibling = {name for name in said if name.startswith("sibling_")}
    assert {name.removeprefix("sibling_"): said[name] for name in of_sibling} == {
        name: value for name, value in other.metrics.items() if not name.startswith("temperature_")
    }
    own = said.keys() - of_sibling
    assert "held_out_rooms_miou" in own
    assert all(name.startswith("held_out_rooms_") for name in own)
    assert hashlib.sha256(sibling.read_bytes()).hexdigest() in card.sibling
    assert card.sibling.endswith(", trained alike"), "both say the same data"
    assert len(card.data) == 1, "a sibling's figures are no data that it was trained on"


def test_a_runs_own_temperatures_come_before_its_siblings(config, made_data, tmp_path, monkeypatch):
    less = untrained.run(tmp_path / "less", config, temperatures=TEMPERATURES)
    sibling = release(less, tmp_path / "siblings", ROOMS)
    run = untrained.run(tmp_path / "run", config, temperatures={"depth": 3.0})
    monkeypatch.setattr(
        "mtl_training.release.export", lambda *args: args[-1].write_bytes(sibling.read_bytes())
    )
    monkeypatch.setattr("mtl_training.release.check_agreement", lambda *_: None)
    said = OnnxModel(release(run, tmp_path / "models", ROOMS, sibling)).card.metrics
    assert said["temperature_depth"] == 3.0
    assert "temperature_segmentation" not in said


@pytest.mark.parametrize(
    ("change", "named"),
    [({"name": "another"}, "name"), ({"depth": DepthSpec(0.3, 12.0, 99.0)}, "depth")],
)
def test_a_sibling_of_another_card_is_refused(student, tmp_path, change, named):
    _, file = student
    other = tmp_path / "other.onnx"
    other.write_bytes(file.path.read_bytes())
    assert open_sibling(other, file, file.card).card == file.card
    write_card(other, replace(file.card, **change))
    with pytest.raises(ConfigError, match=rf"other\.onnx: {named} .* expected, got "):
        open_sibling(other, file, file.card)


def test_a_sibling_of_other_inputs_is_refused_before_anything_is_made(
    teacher, config, made_data, tmp_path
):
    _, file = teacher
    other = tmp_path / "other.onnx"
    other.write_bytes(file.path.read_bytes())
    run = untrained.run(tmp_path / "run", config)
    alike = open_model(run).card
    write_card(other, replace(alike, role="teacher"))
    with pytest.raises(ConfigError, match=r"other\.onnx: role student expected, got teacher"):
        release(run, tmp_path / "models", VAL, other)
    write_card(other, replace(file.card, name=alike.name, input=alike.input, power=alike.power))
    with pytest.raises(ConfigError, match=r"other\.onnx: "):
        release(run, tmp_path / "models", VAL, other)
    assert not (tmp_path / "models").exists()


# ---- what is not released ----------------------------------------------------------------------


def test_a_file_of_another_network_is_not_released(
    student, config, made_data, tmp_path, monkeypatch
):
    _, file = student
    monkeypatch.setattr(
        "mtl_training.release.export", lambda *args: args[-1].write_bytes(file.path.read_bytes())
    )
    with pytest.raises(ExportError, match=r"output segmentation differs from torch's by \d"):
        release(untrained.run(tmp_path / "run", config, seed=5), tmp_path / "models", VAL)
    assert not list(tmp_path.rglob("*.onnx"))


def test_a_run_that_is_not_finished_is_not_released(tmp_path, made_data):
    with pytest.raises(CheckpointError, match="the folder of a finished run"):
        release(tmp_path, tmp_path / "models", VAL)


def test_a_full_disk_leaves_the_earlier_file(student, tmp_path, monkeypatch):
    _, file = student
    path = tmp_path / "m.onnx"
    path.write_bytes(file.path.read_bytes())
    before = path.read_bytes()

    def full(model, part):
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mtl_training.export.onnx.save", full)
    with pytest.raises(OutputError, match=r"m\.onnx: not written, .* No space left"):
        write_card(path, replace(file.card, commit="other"))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert OnnxModel(path).card == file.card
