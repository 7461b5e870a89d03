"""Bare networks and their cards: any subset of tasks, teachers' inputs, contradictions refused."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_student
from mtl_core.card import DepthSpec
from mtl_core.errors import ModelError
from mtl_core.images import ColourImage
from mtl_core.interface import Port, main_outputs, name_in_file, name_of_output
from mtl_core.labels import LabelMap
from mtl_core.model import OnnxModel
from mtl_core.predictor import ModelPredictor, OnnxPredictor
from mtl_core.providers import Runtime

HEIGHT, WIDTH = tiny_student.HEIGHT, tiny_student.WIDTH
CARD = tiny_student.card()
TEACHER = replace(CARD, role="teacher")


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return OnnxModel(
        tiny_student.write(tmp_path_factory.mktemp("m") / "student.onnx"), Runtime(threads=1)
    )


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    path = tiny_student.write_teacher(tmp_path_factory.mktemp("m") / "teacher.onnx")
    return OnnxPredictor(path, Runtime(threads=1))


def images(n):
    return np.random.default_rng(n).random((n, 3, HEIGHT, WIDTH), dtype=np.float32)


def picture(height, width):
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    return ColourImage(pixels, "rgb")


def test_a_batch_gives_what_its_images_give_alone(student):
    together = student.run({"image": images(3)})
    for index, image in enumerate(images(3)):
        alone = student.run({"image": image[None]})
        for name in student.outputs:
            np.testing.assert_array_equal(together[name][index], alone[name][0])


@pytest.mark.parametrize(
    ("card", "outputs"),
    [
        (CARD, ["segmentation", "depth", "depth_log_scale"]),
        (replace(CARD, depth=None), ["segmentation"]),
        (replace(CARD, label_map=None), ["depth", "depth_log_scale"]),
    ],
)
def test_a_student_of_any_tasks_runs_and_says_just_those(tmp_path, card, outputs):
    predictor = OnnxPredictor(tiny_student.write(tmp_path / "m.onnx", card))
    assert list(predictor.model.outputs) == outputs
    assert list(predictor.model.run({"image": images(1)})) == outputs
    prediction = predictor.predict(picture(48, 72), fx=50.0)
    for name, answer in (("segmentation", prediction.mask), ("depth", prediction.depth)):
        if name in outputs:
            assert answer().shape == (48, 72)
        else:
            with pytest.raises(ModelError, match=f"no output {name}"):
                answer()


def test_a_teachers_inputs_and_outputs_bear_the_names_of_their_tasks(teacher):
    """In the file the depth that it predicts must not be called like the depth that it takes."""
    assert {n: str(p) for n, p in teacher.model.signals.items()} == {
        "depth": f"N x 1 x {HEIGHT} x {WIDTH}",
        "labels": f"N x 1 x {HEIGHT} x {WIDTH} uint8",
    }
    assert main_outputs(teacher.model.outputs) == ["segmentation", "depth"]
    assert "predicted_depth" in {o.name for o in onnx.load(teacher.path).graph.output}


@given(st.sampled_from(["depth", "normals", "segmentation", "depth_log_scale"]))
def test_names_survive_the_file(name):
    inputs = ("image", "depth", "normals")
    assert name_of_output(name_in_file(name, inputs)) == name
    assert name_in_file(name, inputs) not in inputs


@pytest.mark.parametrize("given_signals", [(), ("depth",), ("labels",), ("depth", "labels")])
def test_a_signal_that_is_missing_is_empty(teacher, given_signals):
    empty = {name: port.empty(2) for name, port in teacher.model.signals.items()}
    told = {name: empty[name] for name in given_signals}
    some, all_of_them = (teacher.model.run({"image": images(2), **s}) for s in (told, empty))
    for name in teacher.model.outputs:
        np.testing.assert_array_equal(some[name], all_of_them[name])


def test_a_signal_lies_in_the_network_where_the_image_lies(teacher):
    """The upper half of a wide image is told a depth: just there the answer changes."""
    depth = np.zeros((40, 120), np.float32)
    depth[:20] = 3.0
    image = picture(40, 120)
    mask = teacher.predict(image, signals={"depth": depth}).mask()
    assert (mask[:18] == tiny_student.TOLD_CLASS).all()
    np.testing.assert_array_equal(mask[24:], teacher.predict(image).mask()[24:])
    farther = teacher.predict(image, signals={"labels": np.zeros((40, 120), np.uint8)}).depth()
    np.testing.assert_allclose(
        farther, teacher.predict(image).depth() + tiny_student.TOLD_METRES, rtol=1e-5
    )


class Echo:
    """A teacher that answers with what it was told, every fourth pixel of it."""

    provider = "echo"
    outputs = ("segmentation", "depth", "normals")

    def __init__(self, signals, card=TEACHER):
        self.signals, self.card = signals, card

    def run(self, inputs):
        return {name: inputs[name][:, :, ::4, ::4].astype(np.float32) for name in self.signals}


def echoed(height, width, fx, **signals):
    ports = {
        name: Port((1 if s.ndim == 2 else s.shape[2], HEIGHT, WIDTH), str(s.dtype))
        for name, s in signals.items()
    }
    return ModelPredictor(Echo(ports)).predict(picture(height, width), fx, signals)


@given(st.integers(8, 200), st.integers(8, 200), st.floats(20, 2000), st.floats(0.5, 9))
def test_a_depth_reaches_the_network_at_the_canonical_focal_length(h, w, fx, metres):
    """What goes in in metres of the camera comes out so."""
    prediction = echoed(h, w, fx, depth=np.full((h, w), metres, np.float32))
    scale = min(HEIGHT / h, WIDTH / w)
    canonical = metres / (fx * scale / tiny_student.CANONICAL_FX)
    np.testing.assert_allclose(prediction.grid("depth"), canonical, rtol=1e-5)
    np.testing.assert_allclose(prediction.depth(), metres, rtol=1e-5)


@pytest.mark.parametrize(
    ("power", "expected"), [({}, 6.0), ({"range": -1}, 3.0), ({"range": 2}, 24)]
)
def test_a_signal_of_any_name_follows_the_focal_length_as_the_card_says(power, expected):
    """A camera of twice the canonical focal length is told 6."""
    card = replace(TEACHER, power={"depth": -1, **power})
    model = Echo({"range": Port((1, HEIGHT, WIDTH), "float32")}, card)
    told = {"range": np.full((HEIGHT, WIDTH), 6.0, np.float32)}
    image = picture(HEIGHT, WIDTH)
    prediction = ModelPredictor(model).predict(image, 2 * tiny_student.CANONICAL_FX, told)
    np.testing.assert_allclose(prediction.grid("range"), expected, rtol=1e-6)


@pytest.mark.parametrize("none", [np.nan, np.inf, -np.inf, 0.0])
def test_depth_that_is_not_known_is_zero_in_the_network(none):
    prediction = echoed(HEIGHT, WIDTH, 50.0, depth=np.full((HEIGHT, WIDTH), none, np.float32))
    assert (prediction.grid("depth") == 0).all()


def test_signals_keep_their_channels_and_values_where_nothing_is_resized():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    normals = rng.normal(size=(HEIGHT, WIDTH, 3)).astype(np.float32)
    prediction = echoed(HEIGHT, WIDTH, None, labels=labels, normals=normals)
    np.testing.assert_array_equal(prediction.grid("labels")[0], labels[::4, ::4])
    np.testing.assert_array_equal(prediction.grid("normals"), normals[::4, ::4].transpose(2, 0, 1))


def test_no_new_value_comes_from_resizing_a_signal():
    labels = np.random.default_rng(0).choice(np.array([3, 200, 255], np.uint8), (97, 41))
    seen = np.unique(echoed(97, 41, None, labels=labels).grid("labels"))
    assert set(seen) <= {3, 200, 255}


@pytest.mark.parametrize(
    ("signals", "message"),
    [
        ({"normals": np.zeros((8, 8, 3), np.float32)}, "no input normals .* has: depth, labels"),
        ({"depth": np.zeros((8, 9), np.float32)}, r"\(8, 8\) like the image .* got \(8, 9\)"),
        ({"depth": np.zeros((8, 8))}, "1 channels of float32 expected, got 1 of float64"),
        ({"labels": np.zeros((8, 8, 2), np.uint8)}, "channels of uint8 expected, got 2 of uint8"),
    ],
)
def test_a_signal_that_does_not_fit_is_refused(teacher, signals, message):
    with pytest.raises(ModelError, match=message):
        teacher.predict(picture(8, 8), signals=signals)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "expected an input image, got none"),
        ({"depth": np.zeros(1)}, "expected an input image, got depth"),
        ({"image": images(1), "x": np.zeros(1)}, "no input x, this model takes image, depth"),
        ({"image": images(1)[:, :2]}, "teacher.onnx: ONNX Runtime says: .*"),
    ],
)
def test_wrong_inputs_of_a_bare_network_are_refused(teacher, inputs, message):
    with pytest.raises(ModelError, match=message):
        teacher.model.run(inputs)


def write_student(card):
    """The graph of `CARD` under another card, the wrong one."""

    def write(path):
        tiny_student.write(path, CARD)
        model = onnx.load(path)
        model.metadata_props[0].value = card.to_json()
        onnx.save(model, path)

    return write


def write_teacher(card=TEACHER, without=""):
    return lambda path: tiny_student.write_teacher(path, card, without)


ALL_NAMES = r"file has depth, depth_log_scale, image, segmentation"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_student(replace(CARD, label_map=None)), f"card has no label map, .*{ALL_NAMES}"),
        (write_student(replace(CARD, depth=None)), f"card has no depth, .*{ALL_NAMES}"),
        (
            write_student(replace(CARD, label_map=LabelMap.load("nyu40"))),
            "card says output segmentation N x 40 x 16 x 24, file has N x 13 x 16 x 24",
        ),
        (
            write_student(TEACHER),
            "card says teacher, expected outputs segmentation_confidence, depth_confidence, file",
        ),
        (
            write_teacher(CARD),
            "card says student, expected input image alone, got .*depth N x 1 x 64 x 96",
        ),
        (
            write_teacher(without="depth_confidence"),
            "card says teacher, expected outputs depth_confidence, file has segmentation",
        ),
    ],
)
def test_a_card_that_contradicts_its_network_is_refused(tmp_path, write, message):
    path = tmp_path / "model.onnx"
    write(path)
    with pytest.raises(ModelError, match=message) as caught:
        OnnxModel(path)
    assert str(path) in str(caught.value)


def changed(path, change):
    model = onnx.load(path)
    change(model.graph)
    onnx.save(model, path)
    return path


def rename(values, old, new):
    for value in values:
        if value.name == old:
            value.name = new


def test_a_card_with_a_label_map_needs_an_output_that_has_classes(tmp_path):
    path = tiny_student.write(tmp_path / "m.onnx")

    def drop(graph):
        kept = [o for o in graph.output if o.name != "segmentation"]
        del graph.output[:]
        graph.output.extend(kept)

    with pytest.raises(ModelError, match=r"card has a label map, which goes with .*labels or segm"):
        OnnxModel(changed(path, drop))


def test_outputs_that_are_not_the_cards_are_refused(tmp_path):
    path = tiny_student.write(tmp_path / "m.onnx")

    def logits(graph):
        rename(graph.output, "segmentation", "logits")
        graph.node[6].output[0] = "logits"

    with pytest.raises(ModelError, match=r"card has a label map, .* file has depth, .*, logits"):
        OnnxModel(changed(path, logits))


@pytest.mark.parametrize(
    ("name", "shape"), [("depth", [3, 64, 96]), ("labels", [1, 64, 32]), ("depth", [1])]
)
def test_a_teachers_inputs_must_have_their_shapes(tmp_path, name, shape):
    path = tiny_student.write_teacher(tmp_path / "m.onnx")

    def reshape(graph):
        (value,) = (v for v in graph.input if v.name == name)
        dims = value.type.tensor_type.shape.dim
        del dims[1:]
        for side in shape:
            dims.add().dim_value = side

    with pytest.raises(ModelError, match=f"expected input {name} N x 1 x 64 x 96|expected an ONNX"):
        OnnxModel(changed(path, reshape))


def test_a_depth_input_alone_needs_a_focal_length(tmp_path):
    """A teacher of segmentation alone still has to convert the depth that it is told."""
    with pytest.raises(ModelError, match="card has no depth"):
        OnnxModel(_segmentation_teacher(tmp_path / "m.onnx", replace(TEACHER, depth=None)))
    spec = DepthSpec(0.3, 12.0, 100.0)
    teacher = OnnxModel(_segmentation_teacher(tmp_path / "n.onnx", replace(TEACHER, depth=spec)))
    assert main_outputs(teacher.outputs) == ["segmentation"]


def _segmentation_teacher(path, card):
    tiny_student.write_teacher(path, card)

    def drop(graph):
        kept = [o for o in graph.output if o.name.startswith("segmentation")]
        del graph.output[:]
        graph.output.extend(kept)

    return changed(path, drop)
