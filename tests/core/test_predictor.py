"""The run time: what a model says arrives at the image's size, and foreign files are refused."""

import math

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

import tiny_student
from mtl_core.card import METADATA_KEY, InputSpec
from mtl_core.errors import GeometryError, ModelError, MtlError
from mtl_core.images import ColourImage
from mtl_core.prediction import Prediction
from mtl_core.predictor import FakePredictor, OnnxPredictor, Preprocessor
from mtl_core.providers import Runtime


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tiny_student.write(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def student(path):
    return OnnxPredictor(path, Runtime(threads=1))


FOCAL = st.one_of(st.none(), st.floats(50.0, 2000.0))


@pytest.fixture(scope="module")
def batching(student):
    return OnnxPredictor(student.path, Runtime(threads=1, max_batch=3))


def plain(height, width, colour, order="rgb"):
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:] = colour if order == "rgb" else colour[::-1]
    return ColourImage(pixels, order)


sides = st.integers(4, 200)


@given(sides, sides, st.integers(0, 12), st.integers(0, 255))
def test_a_plain_image_of_any_size_gets_its_class_and_depth_everywhere(student, h, w, label, green):
    image = plain(h, w, tiny_student.colour(label, green))
    prediction = student.predict(image, fx=200.0)
    np.testing.assert_array_equal(prediction.mask(), np.full((h, w), label))
    # fx shrinks with the image, by the scale at which it fits the network's 64x96.
    ratio = 200.0 * min(64 / h, 96 / w) / tiny_student.CANONICAL_FX
    np.testing.assert_allclose(prediction.depth(), tiny_student.metres(green, ratio), rtol=1e-4)
    assert prediction.confidence().min() >= 250


@given(st.floats(30, 3000))
def test_metric_depth_is_proportional_to_the_focal_length(student, fx):
    image = plain(48, 72, (0, 100, 255))
    one, other = student.predict(image, 100.0).depth(), student.predict(image, fx).depth()
    np.testing.assert_allclose(other, one * np.float32(fx / 100.0), rtol=1e-5)


def test_nothing_that_calls_out_runs_a_model(student):
    """ONNX Runtime's wheel lists a cloud provider before the CPU."""
    assert student.provider in {"CPUExecutionProvider", "CUDAExecutionProvider"}


def test_without_a_focal_length_the_canonical_one_is_assumed(student):
    np.testing.assert_allclose(
        student.predict(plain(128, 192, (0, 51, 255))).depth(), tiny_student.metres(51), rtol=1e-4
    )


def test_channel_order_does_not_change_the_answer(student):
    rgb = np.random.default_rng(3).integers(0, 256, (64, 96, 3), np.uint8)
    one = student.predict(ColourImage(rgb, "rgb"))
    other = student.predict(ColourImage(np.ascontiguousarray(rgb[..., ::-1]), "bgr"))
    np.testing.assert_array_equal(one.mask(), other.mask())
    np.testing.assert_array_equal(one.depth(), other.depth())


def test_a_mono_image_counts_as_grey(student):
    grey = np.random.default_rng(4).integers(0, 256, (64, 96), np.uint8)
    one = student.predict(ColourImage(grey, "mono"))
    other = student.predict(ColourImage(np.repeat(grey[..., None], 3, axis=2), "rgb"))
    np.testing.assert_array_equal(one.mask(), other.mask())


def test_padded_rows_do_not_change_the_answer(student):
    wide = np.random.default_rng(5).integers(0, 256, (64, 110, 3), np.uint8)
    view = wide[:, :96]
    one = student.predict(ColourImage(view, "rgb"))
    other = student.predict(ColourImage(view.copy(), "rgb"))
    np.testing.assert_array_equal(one.mask(), other.mask())


def test_an_earlier_larger_image_leaves_no_trace_in_a_smaller_one(student):
    tall = plain(200, 20, tiny_student.colour(3))
    fresh = OnnxPredictor(student.path, Runtime(threads=1)).predict(tall).depth()
    student.predict(plain(64, 96, tiny_student.colour(9, 255)))
    np.testing.assert_array_equal(student.predict(tall).depth(), fresh)


def test_uncertain_pixels_are_unlabelled_only_when_asked(student):
    image = plain(64, 96, tiny_student.colour(2, blue=tiny_student.UNSURE))
    prediction = student.predict(image)
    assert prediction.confidence().max() == round(255 / 13)
    assert (prediction.mask(0.5) == 255).all()
    assert (prediction.mask() != 255).all()


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 60))
def test_the_mask_is_the_argmax_of_logits_resized_to_twice_their_grid(seed, height, width):
    """np.argmax over cv2-resized planes is the oracle for the running maximum."""
    logits = np.random.default_rng(seed).normal(size=(5, 6, 8)).astype(np.float32)
    mask = Prediction({"segmentation": logits}, height, width).mask()
    rows, columns = min(12, height), min(16, width)  # no finer than the image itself
    ids = np.argmax([cv2.resize(plane, (columns, rows)) for plane in logits], axis=0)
    sides = ((height, rows), (width, columns))
    centres = [(np.arange(n) + 0.5) * of / n for n, of in sides]
    # A centre that lies between two cells may fall to either.
    near = [
        [np.clip(c + e, 0, of - 1).astype(int) for e in (-1e-3, 1e-3)]
        for c, (_, of) in zip(centres, sides, strict=True)
    ]
    assert np.any([mask == ids[np.ix_(y, x)] for y in near[0] for x in near[1]], axis=0).all()


def test_where_neighbouring_cells_agree_the_mask_is_the_argmax_at_full_size():
    """Twice the grid moves borders, and nothing else, by less than one of its cells."""
    logits = np.random.default_rng(1).normal(size=(5, 6, 8)).astype(np.float32)
    mask = Prediction({"segmentation": logits}, 48, 64).mask()
    full = np.argmax([cv2.resize(plane, (64, 48)) for plane in logits], axis=0).astype(np.uint8)
    kernel = np.ones((9, 9), np.uint8)
    inside = cv2.erode(full, kernel) == cv2.dilate(full, kernel)
    assert 0.01 < inside.mean() < 0.95
    np.testing.assert_array_equal(mask[inside], full[inside])


def test_confidence_is_the_largest_softmax_probability():
    logits = np.random.default_rng(0).normal(size=(5, 6, 8)).astype(np.float32)
    expected = (np.exp(logits) / np.exp(logits).sum(axis=0)).max(axis=0) * 255
    confidence = Prediction({"segmentation": logits}, 6, 8).confidence()
    np.testing.assert_allclose(confidence, expected, atol=0.51)


def test_preprocessing_is_the_formula_of_the_card():
    spec = InputSpec(32, 64, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    pixels = np.random.default_rng(1).integers(0, 256, (32, 64, 3), np.uint8)
    preprocess = Preprocessor(spec)
    preprocess(ColourImage(pixels, "rgb"))
    expected = ((pixels / 255.0 - spec.mean) / spec.std).transpose(2, 0, 1)[None]
    np.testing.assert_allclose(preprocess.tensor, expected, atol=1e-6)


@pytest.mark.parametrize("fx", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_focal_length_is_refused(student, fx):
    with pytest.raises(GeometryError, match="must be positive and finite, got"):
        student.predict(plain(8, 8, (0, 0, 0)), fx)


def foreign(path, **metadata):
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [value], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: None, "no such model file"),
        (lambda p: p.write_bytes(b""), "expected an ONNX model"),
        (lambda p: p.write_bytes(b"\x89PNG\r\n" * 100), "expected an ONNX model"),
        (lambda p: foreign(p, author="me"), r"no model card, .*got \['author'\]"),
        (lambda p: foreign(p, **{METADATA_KEY: "{}"}), "schema None, expected 1"),
        (lambda p: foreign(p, **{METADATA_KEY: tiny_student.card().to_json()}), "card says input"),
    ],
)
def test_a_foreign_file_is_refused_with_what_was_expected(tmp_path, write, message):
    path = tmp_path / "model.onnx"
    write(path)
    with pytest.raises(MtlError, match=message) as caught:
        OnnxPredictor(path)
    assert str(path) in str(caught.value)


def test_a_truncated_model_is_refused(tmp_path, path):
    data = path.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(data[: len(data) // 2])
    with pytest.raises(MtlError):
        OnnxPredictor(tmp_path / "cut.onnx")


def test_the_fake_reads_classes_and_depth_from_brightness():
    fake = FakePredictor()
    dark, bright = (fake.predict(plain(96, 128, (v, v, v))) for v in (0, 255))
    assert (dark.mask() == 0).all()
    assert (bright.mask() == 12).all()
    np.testing.assert_allclose(dark.depth(), fake.depth.min_m)
    np.testing.assert_allclose(bright.depth(), fake.depth.max_m)


def test_the_fake_takes_no_signals():
    with pytest.raises(ModelError, match="no input depth beside the image, this model has: none"):
        FakePredictor().predict(plain(96, 128, (0, 0, 0)), signals={"depth": np.zeros((96, 128))})


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 60))
def test_any_output_comes_at_the_images_size(seed, height, width):
    """One plane after the other is the oracle for all channels at once."""
    planes = np.random.default_rng(seed).normal(size=(3, 6, 8)).astype(np.float32)
    prediction = Prediction({"normals": planes}, height, width, focal_ratio=2.0)
    expected = np.stack([cv2.resize(p, (width, height)) for p in planes], axis=-1)
    np.testing.assert_allclose(prediction.resized("normals"), expected, atol=1e-6)
    assert prediction.grid("normals") is planes


def test_what_a_model_does_not_say_is_refused_by_name():
    prediction = Prediction({"depth": np.ones((1, 6, 8), np.float32)}, 6, 8)
    with pytest.raises(ModelError, match="the model has no output segmentation, it has: depth"):
        prediction.mask()
    with pytest.raises(ModelError, match="no output normals"):
        prediction.resized("normals")


@given(
    st.lists(st.tuples(st.integers(40, 90), st.integers(40, 140), FOCAL), min_size=1, max_size=3)
)
def test_a_batch_is_its_images_one_by_one(batching, cameras):
    """Whatever their sizes and focal lengths: no image sees its neighbours."""
    rng = np.random.default_rng(len(cameras))
    images = [
        ColourImage(rng.integers(0, 256, (rows, columns, 3), np.uint8), "rgb")
        for rows, columns, _ in cameras
    ]
    fxs = [fx for *_, fx in cameras]
    rows = zip(images, fxs, range(len(images)), strict=True)
    together = batching.infer([batching.prepare(image, fx, row) for image, fx, row in rows])
    for image, fx, one in zip(images, fxs, together, strict=True):
        alone = batching.predict(image, fx)
        np.testing.assert_array_equal(one.mask(), alone.mask())
        np.testing.assert_allclose(one.depth(), alone.depth(), rtol=1e-5)
        assert one.size == (image.width, image.height)


def test_a_row_can_be_laid_anew_until_inference(batching):
    """And a focal length that is none leaves the row as it was."""
    first, second = (plain(64, 96, tiny_student.colour(n)) for n in (3, 9))
    batching.prepare(first)
    kept = batching.prepare(second)
    with pytest.raises(GeometryError):
        batching.prepare(first, math.nan)
    np.testing.assert_array_equal(batching.infer([kept])[0].mask(), batching.predict(second).mask())
