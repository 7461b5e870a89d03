"""A network in float16: half the size, the same interface, near answers, a card of its own."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

import untrained
from mtl_core.card import INT8
from mtl_core.model import OnnxModel
from mtl_core.predictor import ModelPredictor
from mtl_perception.models import find_model
from mtl_training.cli import main
from mtl_training.config import DataConfig
from mtl_training.data.catalogue import open_source
from mtl_training.errors import ConfigError, QuantizeError
from mtl_training.evaluate import evaluate, shared_tasks
from mtl_training.export import write_card
from mtl_training.float16 import halve
from mtl_training.release import golden_inputs

VAL = DataConfig("nyuv2", split="val")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    _, file = untrained.exported(untrained.STUDENT, tmp_path_factory.mktemp("student"))
    write_card(file.path, replace(file.card, metrics={"temperature_depth": 1.25, "x_miou": 2.0}))
    return OnnxModel(file.path)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    _, file = untrained.exported(
        replace(untrained.TEACHER, tasks=untrained.STUDENT.tasks),
        tmp_path_factory.mktemp("teacher"),
    )
    write_card(file.path, replace(file.card, metrics={"temperature_depth": 1.25, "x_miou": 2.0}))
    return OnnxModel(file.path)


@pytest.mark.parametrize("name", ["student", "teacher"])
def test_in_float16_it_is_half_the_size_with_the_same_interface_and_near_answers(
    name, request, made_data, tmp_path
):
    whole = request.getfixturevalue(name)
    path = halve(whole.path, tmp_path, VAL)
    half = OnnxModel(path)
    assert path.name == f"{whole.card.name}-fp16.onnx"
    assert path.stat().st_size < 0.6 * whole.path.stat().st_size
    assert (half.signals, half.outputs) == (whole.signals, whole.outputs)
    inputs = golden_inputs(whole)
    expected, got = whole.run(inputs), half.run(inputs)
    for output in whole.outputs:
        assert got[output].dtype == np.float32
        apart = np.abs(got[output] - expected[output]) / np.abs(expected[output]).max()
        assert 0 < apart.mean() < 0.02
        assert apart.max() < 0.1
    *trained, how = half.card.data
    assert tuple(trained) == whole.card.data
    assert hashlib.sha256(whole.path.read_bytes()).hexdigest() in how
    assert half.card.metrics["temperature_depth"] == 1.25
    assert "x_miou" not in half.card.metrics
    figures = evaluate(ModelPredictor(half), open_source(VAL), shared_tasks(half, open_source(VAL)))
    assert half.card.metrics["nyuv2_val_rmse"] == pytest.approx(figures["rmse"], abs=1e-4)


def test_the_command_halves_it(student, data_folder, tmp_path, capsys):
    data, out = str(data_folder / "nyuv2"), str(tmp_path)
    assert main(["half", str(student.path), data, "--out", out]) == 0
    assert capsys.readouterr().out.startswith(str(tmp_path / "tiny-fp16.onnx"))


def test_a_halved_file_takes_the_figures_of_its_sibling_and_loses_those_of_the_float_ones(
    student, data_folder, made_data, tmp_path
):
    one = halve(student.path, tmp_path / "one", VAL)
    all_data = tmp_path / "all.onnx"
    all_data.write_bytes(student.path.read_bytes())
    metrics = {"sibling_nyuv2_val_miou": 2.0}
    write_card(all_data, replace(student.card, metrics=metrics, sibling="a float one"))
    out = str(tmp_path / "other")
    assert main(["half", str(all_data), "rooms:1", "--sibling", str(one), "--out", out]) == 0
    said, before = OnnxModel(tmp_path / "other/tiny-fp16.onnx").card, OnnxModel(one).card
    assert said.metrics["sibling_nyuv2_val_miou"] == before.metrics["nyuv2_val_miou"]
    assert "a float one" not in said.sibling
    alone = halve(all_data, tmp_path / "alone", VAL)
    assert OnnxModel(alone).card.sibling == ""
    assert "sibling_nyuv2_val_miou" not in OnnxModel(alone).card.metrics


def test_a_sibling_in_other_numbers_is_refused(student, made_data, tmp_path):
    with pytest.raises(ConfigError, match=r"name tiny-fp16 expected, got tiny$"):
        halve(student.path, tmp_path / "out", VAL, student.path)
    assert not (tmp_path / "out").exists()


def test_what_is_int8_is_not_halved(made_data, tmp_path):
    shipped = find_model().with_stem(f"{find_model().stem}{INT8}")
    with pytest.raises(QuantizeError, match=r"-int8\.onnx: a network in float32 expected"):
        halve(shipped, tmp_path / "out", VAL)
    assert not (tmp_path / "out").exists()
