"""A student in int8: the same interface, all but the ends of its heads in 8 bits, near to float."""

import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper, numpy_helper

import tiny_student
import untrained
from mtl_core.card import METADATA_KEY
from mtl_core.images import ColourImage
from mtl_core.interface import IMAGE
from mtl_core.model import OnnxModel
from mtl_core.predictor import ModelPredictor, Preprocessor
from mtl_training.cli import main
from mtl_training.config import DataConfig
from mtl_training.data.catalogue import open_source
from mtl_training.errors import ConfigError, DatasetError, QuantizeError
from mtl_training.evaluate import evaluate, shared_tasks
from mtl_training.export import write_card
from mtl_training.int8 import to_int8, weight_range
from mtl_training.quantize import Calibration, quantize
from mtl_training.release import golden_inputs

FIT, VAL = DataConfig("nyuv2", split="fit"), DataConfig("nyuv2", split="val")


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """In float32, with figures and a temperature on its card."""
    _, file = untrained.exported(untrained.STUDENT, tmp_path_factory.mktemp("student"))
    metrics = {"temperature_depth": 1.25, "nyuv2_val_miou": 2.0, "rooms_miou": 2.0}
    write_card(file.path, replace(file.card, metrics=metrics))
    return OnnxModel(file.path)


@pytest.fixture(scope="module")
def int8(student, data_folder, tmp_path_factory):
    """The same, as the command makes it."""
    out = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTL_DATA", str(data_folder))
        path = quantize(student.path, out, Calibration(FIT, images=3), VAL)
    assert [p.name for p in out.iterdir()] == [path.name] == ["tiny-int8.onnx"]
    return OnnxModel(path)


def constants(graph):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def makers(graph):
    return {output: node for node in graph.node for output in node.output}


pytestmark = pytest.mark.slow


# ---- the graph ---------------------------------------------------------------------------------


def test_inputs_and_outputs_are_those_of_the_float_file(student, int8):
    one, other = (onnx.load(file.path).graph for file in (student, int8))
    assert list(one.input) == list(other.input)
    assert list(one.output) == list(other.output)
    assert int8.outputs == student.outputs


def test_weights_are_s8_per_channel_and_activations_u8(int8):
    graph = onnx.load(int8.path).graph
    made_by, constant = makers(graph), constants(graph)
    quantised = [n for n in graph.node if n.op_type == "Conv" and n.input[0] in made_by]
    quantised = [n for n in quantised if n.input[1] in made_by]
    assert len(quantised) == 65
    for conv in quantised:
        activation, weights = (made_by[name] for name in conv.input[:2])
        assert activation.op_type == weights.op_type == "DequantizeLinear"
        assert constant[activation.input[2]].dtype == np.uint8
        assert constant[weights.input[0]].dtype == np.int8
        assert constant[weights.input[1]].shape == constant[weights.input[0]].shape[:1]
        assert [a.i for a in weights.attribute if a.name == "axis"] == [0]
        assert not constant[weights.input[2]].any(), "weights have no zero point"


def test_the_ends_of_the_heads_are_the_float_files_own(student, int8):
    one, other = (onnx.load(file.path).graph for file in (student, int8))
    made_by, theirs = makers(other), constants(one)
    left, convolutions = list(student.outputs), set()
    while left:
        node = made_by[left.pop()]
        assert "Quantize" not in node.op_type
        if node.op_type == "Conv":
            weights = numpy_helper.to_array(
                next(t for t in other.initializer if t.name == node.input[1])
            )
            np.testing.assert_array_equal(weights, theirs[node.input[1]])
            convolutions.add(node.name)
        else:
            left += [name for name in node.input if name in made_by]
    assert len(convolutions) == 2


def test_what_runs_has_the_stem_and_the_ends_in_float_and_nothing_else(int8, tmp_path):
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3  # it warns that such a file is for this machine
    ort.InferenceSession(int8.path, options, providers=["CPUExecutionProvider"])
    graph = onnx.load(tmp_path / "optimised.onnx", load_external_data=False).graph
    count = Counter(node.op_type for node in graph.node)
    assert (count["QLinearConv"], count["Conv"]) == (65, 5)
    first = next(i for i, node in enumerate(graph.node) if node.op_type == "QuantizeLinear")
    assert sum(node.op_type == "Conv" for node in graph.node[:first]) == 3
    assert not any(node.op_type.startswith("QLinear") for node in graph.node[:first])


def test_it_is_small_and_names_no_path(student, int8):
    assert int8.path.stat().st_size < 0.4 * student.path.stat().st_size
    assert b"site-packages" not in int8.path.read_bytes()
    assert b"/tmp" not in int8.path.read_bytes()


# ---- what it computes --------------------------------------------------------------------------


def test_answers_are_near_to_those_in_float(student, int8):
    """Answers that have nothing to do with each other are sqrt(2) standard deviations apart.

    70 tensors are rounded on the way, each by a step / sqrt(12), which is about 1 % of its
    standard deviation for ranges of 6 to 10 of them, and so are the weights: 12 % together if none
    were amplified. Random weights do amplify, to 0.2 to 0.55 in a dozen draws of them; what ships
    is held to less in test_shipped.
    """
    inputs = golden_inputs(student)
    exact, rounded = student.run(inputs), int8.run(inputs)
    for name, values in exact.items():
        error = np.sqrt(np.mean((rounded[name] - values) ** 2)) / values.std()
        assert 1e-4 < error < 0.7, name


def test_it_takes_any_batch(int8):
    one = golden_inputs(int8)[IMAGE]
    alone, together = int8.run({IMAGE: one}), int8.run({IMAGE: np.concatenate([one, one * 0, one])})
    for name in int8.outputs:
        assert together[name].shape[0] == 3
        np.testing.assert_allclose(together[name][2:], alone[name], atol=1e-4, rtol=1e-4)


def test_ranges_are_of_images_as_the_run_time_prepares_them(student, int8, made_data, tmp_path):
    """What is quantised first has just the range that the images chosen give it in float."""
    graph = onnx.load(int8.path).graph
    first = next(node for node in graph.node if node.op_type == "QuantizeLinear")
    scale, zero = (constants(graph)[name] for name in first.input[1:3])
    whole = onnx.load(student.path)
    whole.graph.output.append(onnx.ValueInfoProto(name=first.input[0]))
    onnx.save(whole, tmp_path / "whole.onnx")
    session = ort.InferenceSession(tmp_path / "whole.onnx", providers=["CPUExecutionProvider"])
    preprocess, source = Preprocessor(int8.card.input), open_source(FIT)
    seen = []
    for index in Calibration(FIT, images=3).chosen(source):
        preprocess(ColourImage(source.sample(index).image, "rgb"))
        (values,) = session.run([first.input[0]], {IMAGE: preprocess.tensor})
        seen += [values.min(), values.max()]
    assert -scale * int(zero) == pytest.approx(min(seen), abs=scale)
    assert scale * (255 - int(zero)) == pytest.approx(max(seen), abs=scale)


@given(
    arrays.arrays(
        np.float32,
        st.tuples(*(st.integers(1, n) for n in (3, 5, 3, 3))),
        elements=st.floats(-4, 4, width=32),
    )
)
def test_no_two_neighbouring_products_leave_16_bits(weights):
    """Whatever the weights: rounded to 127 parts of their range, times the largest activations."""
    ranges = weight_range(weights)
    steps = np.where(ranges > 0, ranges, 1).astype(np.float64) / 127
    whole = np.rint(weights / steps[:, None, None, None]).astype(int)
    assert abs(whole).max(initial=0) <= 127
    if weights.shape[1] > 1:
        rows = [channel.transpose(1, 2, 0).ravel().tolist() for channel in whole]
        for row in rows:
            for a, b in zip(row[::2], [*row[1::2], 0], strict=False):
                assert 255 * (max(a, 0) + max(b, 0)) <= 2**15 - 1
                assert 255 * (min(a, 0) + min(b, 0)) >= -(2**15)


def two_convolutions(path, weights):
    """A file of a convolution with weights (O, I, 1, 1), ReLU6, and one that takes the mean."""
    outputs, inputs = weights.shape[:2]
    tensors = {
        "weights": weights,
        "mean": np.full((1, outputs, 1, 1), 1 / outputs, np.float32),
        "low": np.float32(0),
        "high": np.float32(6),
    }
    nodes = [
        helper.make_node("Conv", [IMAGE, "weights"], ["sums"], "first"),
        helper.make_node("Clip", ["sums", "low", "high"], ["clipped"], "clip"),
        helper.make_node("Conv", ["clipped", "mean"], ["answer"], "last"),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, 8, 8])
        for name, channels in ((IMAGE, inputs), ("answer", 1))
    ]
    constant = [numpy_helper.from_array(np.asarray(v), k) for k, v in tensors.items()]
    graph = helper.make_graph(nodes, "two", values[:1], values[1:], constant)
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path


def test_large_weights_side_by_side_are_summed_exactly(tmp_path):
    """At the weights' full range, processors without VNNI lose a third of each pair's products."""
    weights = np.tile(np.float32([1, 1, -0.5, 0, -0.5, 0]), 4).reshape(1, 24, 1, 1)
    path = two_convolutions(tmp_path / "two.onnx", weights)
    image = np.random.default_rng(0).uniform(0.5, 1, (1, 24, 8, 8)).astype(np.float32)
    to_int8(path, [{IMAGE: image}], tmp_path / "int8.onnx")
    exact, rounded = (
        ort.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {IMAGE: image})[0]
        for file in (path, tmp_path / "int8.onnx")
    )
    # At most half a step of each value times its weight, of each weight times 1, and of the sum.
    bound = np.abs(weights).sum() * 0.5 / 255 + 16 * 0.5 * 2 / 127 + 0.5 * exact.max() / 255
    assert np.abs(rounded - exact).max() < bound < 0.1 * exact.max()


# ---- card --------------------------------------------------------------------------------------


def test_the_card_is_measured_anew_and_says_how_it_was_made(student, int8, made_data):
    card, source = int8.card, open_source(VAL)
    figures = evaluate(ModelPredictor(int8), source, shared_tasks(int8, source))
    for name in ("miou", "rmse", "absrel", "delta1", "images"):
        assert card.metrics[f"nyuv2_val_{name}"] == pytest.approx(figures[name], abs=1e-4)
    assert "rooms_miou" not in card.metrics, "that was the float file's"
    assert card.metrics["temperature_depth"] == 1.25, "it is in the graph"
    sha256 = hashlib.sha256(student.path.read_bytes()).hexdigest()
    *trained, how = card.data
    assert tuple(trained) == student.card.data
    for part in (sha256, "tiny ", "3 images", "NYU Depth v2", "fit", "seed 0", "u8", "s8"):
        assert part in how
    same = {"name": "tiny", "data": student.card.data, "metrics": student.card.metrics}
    assert replace(card, **same) == student.card


def test_two_runs_write_the_same_bytes(student, int8, made_data, tmp_path):
    again = quantize(student.path, tmp_path, Calibration(FIT, images=3), VAL)
    assert again.read_bytes() == int8.path.read_bytes()
    metadata = onnx.load(again).metadata_props
    assert [entry.key for entry in metadata] == [METADATA_KEY], "a card is the only metadata"


def test_a_seed_chooses_the_images(made_data):
    source = open_source(FIT)
    chosen = [Calibration(FIT, images=2, seed=seed).chosen(source) for seed in range(20)]
    assert all(len(set(indices)) == 2 for indices in chosen)
    assert len(set(map(tuple, chosen))) > 1
    assert chosen[3] == Calibration(FIT, images=2, seed=3).chosen(source)
    assert Calibration(FIT, images=9).chosen(source) == [0, 1, 2, 3], "there are no more"


def test_the_command_takes_a_sibling_and_measures_elsewhere(student, int8, data_folder, tmp_path):
    """As of a model that has learned from all images: its own figures are on rooms."""
    data, sibling = str(data_folder / "nyuv2"), str(int8.path)
    how = ["--split", "fit", "--images", "3", "--measure-data", "rooms:1", "--sibling", sibling]
    assert main(["quantize", str(student.path), data, *how, "--out", str(tmp_path)]) == 0
    said = OnnxModel(tmp_path / "tiny-int8.onnx").card
    assert said.metrics["sibling_nyuv2_val_miou"] == int8.card.metrics["nyuv2_val_miou"]
    assert "held_out_rooms_miou" in said.metrics
    assert "nyuv2_val_miou" not in said.metrics
    assert hashlib.sha256(int8.path.read_bytes()).hexdigest() in said.sibling


def test_a_sibling_in_other_numbers_is_refused(student, made_data, tmp_path):
    with pytest.raises(ConfigError, match=r"name tiny-int8 expected, got tiny$"):
        quantize(student.path, tmp_path / "out", Calibration(FIT, images=3), VAL, student.path)
    assert not (tmp_path / "out").exists()


# ---- errors ------------------------------------------------------------------------------------


def test_a_teacher_is_refused(tmp_path, made_data):
    path = tiny_student.write_teacher(tmp_path / "teacher.onnx")
    with pytest.raises(QuantizeError, match=r"teacher\.onnx: a student expected, .* teacher"):
        quantize(path, tmp_path / "out", Calibration(FIT), VAL)
    assert not (tmp_path / "out").exists()


def test_what_is_int8_already_is_refused(int8, made_data, tmp_path):
    with pytest.raises(QuantizeError, match=r"tiny-int8\.onnx: it is quantised already"):
        quantize(int8.path, tmp_path / "out", Calibration(FIT), VAL)
    assert not (tmp_path / "out").exists()


def test_a_network_of_heads_alone_is_refused(made_data, tmp_path):
    path = tiny_student.write(tmp_path / "heads.onnx")
    with pytest.raises(QuantizeError, match=r"heads\.onnx: nothing to quantise"):
        quantize(path, tmp_path / "out", Calibration(FIT), VAL)


def test_an_empty_source_is_refused(student, made_data, tmp_path, monkeypatch):
    source = open_source(FIT)
    monkeypatch.setattr(source, "names", ())
    with pytest.raises(DatasetError, match=r"no images to calibrate with in .*fit"):
        Calibration(FIT).chosen(source)
    with pytest.raises(ConfigError, match="1 image or more to calibrate with expected, got 0"):
        Calibration(FIT, images=0)


def test_the_command_makes_it_and_says_what_is_wrong(student, data_folder, tmp_path, capsys):
    data = str(data_folder / "nyuv2")
    command = ["quantize", str(student.path), data, "--split", "fit", "--out", str(tmp_path)]
    assert main([*command, "--images", "2", "--seed", "7"]) == 0
    path = tmp_path / "tiny-int8.onnx"
    assert capsys.readouterr().out.startswith(str(path))
    assert "2 images" in OnnxModel(path).card.data[-1]
    assert main([*command, "--measure", "nowhere"]) == 1
    assert "nowhere.txt: no such list" in capsys.readouterr().err
