"""Trained networks to run: torch and ONNX alike, cards that say where they come from."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import tiny_student
import untrained
from mtl_core.card import METRIC
from mtl_core.errors import ModelError
from mtl_core.images import ColourImage
from mtl_core.interface import FLOAT, Port, check
from mtl_core.model import OnnxModel
from mtl_core.predictor import ModelPredictor
from mtl_training.cards import TERMS, card_of, with_sibling
from mtl_training.config import DataConfig, NetworkConfig
from mtl_training.data.catalogue import SOURCES
from mtl_training.errors import CheckpointError, ExportError
from mtl_training.learning.checkpoint import WEIGHTS, load_trained
from mtl_training.models import TorchModel, load_network, open_model
from mtl_training.release import golden_inputs
from mtl_training.settings import config_fields
from mtl_training.tasks.depth import Depth, DepthEncoder
from mtl_training.tasks.registry import TASKS


def of_tasks(config, *names):
    return replace(config, tasks=replace(config.tasks, names=names))


def test_a_run_its_weights_and_an_onnx_file_are_opened_alike(config, tmp_path):
    folder = untrained.run(tmp_path / "run", config)
    image = {"image": np.random.default_rng(0).random((2, 3, 64, 96), np.float32)}
    one, other = open_model(folder), open_model(folder / WEIGHTS)
    assert one.outputs == other.outputs == ("segmentation", "depth", "depth_log_scale")
    for name in one.outputs:
        np.testing.assert_array_equal(one.run(image)[name], other.run(image)[name])
    assert isinstance(open_model(tiny_student.write(tmp_path / "tiny.onnx")), OnnxModel)


def test_torch_computes_what_the_network_and_its_tasks_compute(config, tmp_path):
    """Oracle: the student's own heads, its depth decoded by the formula of its range."""
    trained = load_trained(untrained.run(tmp_path / "run", config))
    image = np.random.default_rng(0).random((2, 3, 64, 96), np.float32)
    with torch.no_grad():
        raw = untrained.network(config)(torch.from_numpy(image))
    got = TorchModel(trained).run({"image": image})
    share = torch.sigmoid(raw["depth"][:, :1]).numpy()
    np.testing.assert_allclose(got["segmentation"], raw["segmentation"].numpy(), atol=1e-5)
    np.testing.assert_allclose(got["depth"], 0.3 * (12.0 / 0.3) ** share, rtol=1e-4)


def test_temperatures_change_certainty_and_not_the_answer(teacher_config, tmp_path):
    plain = TorchModel(load_trained(untrained.run(tmp_path / "a", teacher_config)))
    temperatures = {"segmentation": 2.0, "depth": 3.0}
    folder = untrained.run(tmp_path / "b", teacher_config, temperatures=temperatures)
    tempered = TorchModel(load_trained(folder))
    inputs = golden_inputs(plain)
    before, after = plain.run(inputs), tempered.run(inputs)
    np.testing.assert_allclose(after["segmentation"], before["segmentation"] / 2, rtol=1e-5)
    np.testing.assert_array_equal(after["depth"], before["depth"])
    assert (after["segmentation_confidence"] < before["segmentation_confidence"]).all()
    assert (after["depth_confidence"] < before["depth_confidence"]).all()


def test_a_teacher_without_signals_is_its_image_alone(teacher_config, tmp_path):
    model = TorchModel(load_trained(untrained.run(tmp_path / "run", teacher_config)))
    inputs = golden_inputs(model)
    assert list(inputs) == ["image", "depth", "labels"]
    empty = {name: port.empty() for name, port in model.signals.items()}
    alone, told_nothing = (
        model.run({"image": inputs["image"], **signals}) for signals in ({}, empty)
    )
    for name in model.outputs:
        np.testing.assert_array_equal(alone[name], told_nothing[name])


def test_the_control_takes_the_image_alone(teacher_config, tmp_path):
    config = replace(teacher_config, network=NetworkConfig("teacher", 64, 96, ("image",)))
    model = TorchModel(load_trained(untrained.run(tmp_path / "run", config)))
    assert dict(model.signals) == {}
    assert "segmentation_confidence" in model.outputs


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "expected an input image, got none"),
        ({"image": np.zeros((1, 3, 64, 96), np.float32), "depth": np.zeros(1)}, "no input depth"),
    ],
)
def test_wrong_inputs_are_refused_as_by_onnxruntime(config, tmp_path, inputs, message):
    model = TorchModel(load_trained(untrained.run(tmp_path / "run", config)))
    with pytest.raises(ModelError, match=message):
        model.run(inputs)


def test_weights_of_another_architecture_are_refused(config, tmp_path):
    trained = load_trained(untrained.run(tmp_path / "run", config))
    other = replace(
        trained,
        record={**trained.record, "config": config_fields(of_tasks(config, "segmentation"))},
    )
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: of another architecture"):
        TorchModel(other)


@pytest.mark.parametrize("path", ["missing", "missing.safetensors"])
def test_a_run_that_is_not_there_is_named(tmp_path, path):
    with pytest.raises(CheckpointError, match=path):
        open_model(tmp_path / path)
    with pytest.raises(ModelError, match="no such model file"):
        open_model(tmp_path / "missing.onnx")


# ---- cards -------------------------------------------------------------------------------------


def trained(config, tmp_path, **record):
    return load_trained(untrained.run(tmp_path / "run", config, **record))


def card(config, tmp_path, **record):
    found = trained(config, tmp_path, **record)
    network = load_network(found)
    names = {*network.signals, *network.names}
    power = {name: power for name, power in METRIC.items() if name in names}
    return card_of(found, names, power)


@pytest.mark.parametrize(
    ("names", "has_classes", "has_depth"),
    [
        (("segmentation",), True, False),
        (("depth",), False, True),
        (("normals",), False, False),
        (("inverse_depth",), False, True),
        (("normals", "segmentation", "depth"), True, True),
    ],
)
def test_a_card_has_what_its_tasks_need(config, tmp_path, names, has_classes, has_depth):
    found = card(of_tasks(config, *names), tmp_path)
    assert (found.label_map is not None, found.depth is not None) == (has_classes, has_depth)


def test_a_teacher_that_takes_depth_says_at_which_focal_length(teacher_config, tmp_path):
    config = of_tasks(teacher_config, "segmentation")
    assert card(config, tmp_path).depth == config.tasks.depth


def test_a_card_says_how_what_is_told_and_answered_follows_the_focal_length(
    teacher_config, tmp_path
):
    tasks = ("segmentation", "inverse_depth", "normals")
    network = NetworkConfig("teacher", 64, 96, ("depth", "segmentation"))
    config = replace(of_tasks(teacher_config, *tasks), network=network)
    found = TorchModel(trained(config, tmp_path)).card
    assert found.power == {"depth": -1, "inverse_depth": 1}
    assert found.depth == config.tasks.depth


class Radius(Depth):
    """A further task whose labels follow the focal length."""

    name, origin, power = "radius", "calipers", 2

    def encoder(self):
        encoder = super().encoder()
        encoder.input_name = "radius"
        return encoder


def test_a_further_input_that_follows_the_focal_length_is_told_in_canonical_units(
    teacher_config, tmp_path, monkeypatch
):
    monkeypatch.setitem(TASKS, "radius", lambda config: Radius(config.depth))
    network = NetworkConfig("teacher", 64, 96, ("radius",))
    config = replace(of_tasks(teacher_config, "segmentation"), network=network)
    model = TorchModel(trained(config, tmp_path))
    assert model.card.power == {"radius": 2}
    assert model.card.depth is not None
    image = ColourImage(np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8), "rgb")
    radius = np.random.default_rng(1).uniform(1, 5, (64, 96)).astype(np.float32)
    told = {"radius": radius}
    there = ModelPredictor(model).predict(image, 2 * model.card.depth.canonical_fx, told)
    canonical = ModelPredictor(model).predict(image, None, {"radius": radius * 4})
    np.testing.assert_array_equal(there.grid("segmentation"), canonical.grid("segmentation"))
    blind = ModelPredictor(model).predict(image)
    assert not np.array_equal(there.grid("segmentation"), blind.grid("segmentation"))


def test_a_further_input_has_a_golden_signal_of_its_kind(teacher_config, tmp_path, monkeypatch):
    monkeypatch.setitem(TASKS, "radius", lambda config: Radius(config.depth))
    network = NetworkConfig("teacher", 64, 96, ("depth", "radius", "normals"))
    model = TorchModel(trained(replace(teacher_config, network=network), tmp_path))
    one, other = golden_inputs(model), golden_inputs(model)
    assert list(one) == ["image", *model.signals]
    for name, port in model.signals.items():
        np.testing.assert_array_equal(one[name], other[name])
        assert (one[name].shape, one[name].dtype) == ((1, *port.shape), port.dtype)
        assert np.ptp(one[name]) > 0.5
    assert 0.1 < (one["radius"] == 0).mean() < 0.4, "some of it is not known"


def test_a_signal_that_says_otherwise_than_all_that_it_knows_nothing_is_refused(
    teacher_config, tmp_path, monkeypatch
):
    monkeypatch.setattr(DepthEncoder, "none", -1.0)
    with pytest.raises(
        ExportError, match=r"input depth: 0 means that nothing is known.* has -1\.0"
    ):
        TorchModel(trained(teacher_config, tmp_path))


def test_a_card_fits_its_network(teacher_config, tmp_path):
    model = TorchModel(trained(teacher_config, tmp_path))
    outputs = model.run(golden_inputs(model))
    check(
        model.card,
        {"image": Port((3, 64, 96), FLOAT), **model.signals},
        {name: Port(value.shape[1:], str(value.dtype)) for name, value in outputs.items()},
    )


def test_a_card_tells_every_run_behind_it(config, tmp_path):
    first = {"config": config_fields(replace(config, data=(DataConfig("rooms", frames=240),)))}
    found = card(config, tmp_path, start=first)
    assert found.data == (
        "4 steps of 2 images of synthetic rooms of this project, 240 frames",
        "4 steps of 2 images of NYU Depth v2 with in-painted 8-bit depth fit",
    )
    assert found.commit == "0" * 40


def test_a_card_names_the_teacher_whose_pseudo_labels_were_learned(config, tmp_path):
    data = replace(config.data[0], pseudo="out/pseudo", protocol="out/ten.json")
    recipe = {
        "teacher": "teacher-mm",
        "sha256": "ab" * 32,
        "data": ["9 steps of 2 images of Cityscapes train"],
        "licence": "",
    }
    found = card(replace(config, data=(data,)), tmp_path, pseudo={"out/pseudo": recipe})
    (text,) = found.data
    assert "with the labels that a protocol leaves" in text
    assert (
        f"with pseudo-labels by teacher-mm (SHA-256 {'ab' * 32}, trained by 9 steps of 2 images of "
        "Cityscapes train)"
    ) in text


def test_a_card_tells_once_what_a_teacher_of_several_parts_learned_from(config, tmp_path):
    def labels(sha256):
        learned = [f"9 steps of 2 images of {sha256}"]
        return {"labels": {"teacher": "t", "sha256": sha256, "data": learned, "licence": ""}}

    data = (replace(config.data[0], pseudo="labels"),)
    fields = config_fields(replace(config, data=data))
    first = {"config": fields, "pseudo": labels("one")}
    second = {"config": fields, "pseudo": labels("one"), "start": first}
    found = card(replace(config, data=data), tmp_path, pseudo=labels("other"), start=second)
    assert [part.partition("with pseudo-labels by ")[2] for part in found.data] == [
        "t (SHA-256 one, trained by 9 steps of 2 images of one)",
        "t (SHA-256 one)",
        "t (SHA-256 other, trained by 9 steps of 2 images of other)",
    ]


def test_a_sibling_is_described_by_what_it_learned_otherwise(config, tmp_path):
    first = {"config": config_fields(replace(config, data=(DataConfig("rooms", frames=240),)))}
    less = card(config, tmp_path / "less", start=first)
    (data,) = config.data
    more = card(replace(config, data=(replace(data, split="train"),)), tmp_path, start=first)
    shorter = card(replace(config, data=(DataConfig("rooms", frames=240),)), tmp_path / "short")
    twice = replace(less, data=(*less.data, less.data[-1]))
    last = f"by {less.data[-1]}, else alike"
    for one, other, told in (
        (more, less, last),
        (less, less, "alike"),
        (less, shorter, "by the first 1 of these alone"),
        (less, twice, last),
    ):
        assert with_sibling(one, other, "abc").sibling == f"SHA-256 abc, trained {told}"


def test_the_licence_follows_from_the_data(config, tmp_path):
    rooms = replace(config, data=(DataConfig("rooms", frames=9),))
    assert card(rooms, tmp_path / "a").licence.startswith("Weights and code: Apache-2.0.")
    both = replace(config, data=(*rooms.data, DataConfig("cityscapes", split="train")))
    licence = card(both, tmp_path / "b").licence
    assert "research use only" in licence
    assert "Cityscapes, licensed for non-commercial use" in licence
    first = {"config": config_fields(config)}
    assert "NYU Depth v2" in card(rooms, tmp_path / "c", start=first).licence


def test_who_learns_pseudo_labels_is_bound_as_their_teacher_is(config, teacher_config, tmp_path):
    """Terms pass from a teacher of NYUv2 to a student on rooms, and from that to its students."""

    rooms = DataConfig("rooms-fixed", frames=9)

    def student(name, teacher):
        recipe = {"teacher": "t", "sha256": "0", "data": list(teacher.data)}
        labels = {"labels": {**recipe, "licence": teacher.licence}}
        data = replace(rooms, pseudo="labels")
        return card(replace(config, data=(data,)), tmp_path / name, pseudo=labels)

    nyu = card(teacher_config, tmp_path / "nyu")
    free = card(replace(teacher_config, data=(rooms,)), tmp_path / "free")
    first = student("first", nyu)
    second = student("second", first)
    for bound in (first, second):
        assert bound.licence == nyu.licence
        assert "research use only" in bound.licence
        assert "NYU Depth v2" in bound.data[0]
    assert "research" not in free.licence
    assert student("also-free", free).licence == free.licence
    foreign = student("foreign", replace(free, licence="Ask my lawyer."))
    assert "research use only" in foreign.licence
    assert "pseudo-labels by t, on the terms: Ask my lawyer." in foreign.licence


def test_every_data_set_has_its_terms():
    assert TERMS.keys() == SOURCES.keys()
