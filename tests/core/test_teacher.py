"""What a teacher says of an image, at the image's size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tiny_student
from mtl_core.errors import ModelError
from mtl_core.images import ColourImage
from mtl_core.interface import SEGMENTATION
from mtl_core.predictor import OnnxPredictor
from mtl_core.teacher import Teacher, load_teacher

HEIGHT, WIDTH = 128, 192
LEFT, RIGHT = 3, 7


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> OnnxPredictor:
    return OnnxPredictor(tiny_student.write_teacher(tmp_path_factory.mktemp("t") / "teacher.onnx"))


@pytest.fixture
def image() -> ColourImage:
    """One class on the left, near; another on the right, far."""
    pixels = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, : WIDTH // 2] = tiny_student.colour(LEFT, green=0)
    pixels[:, WIDTH // 2 :] = tiny_student.colour(RIGHT, green=255)
    return ColourImage(pixels, "rgb")


INSIDE = np.r_[8 : WIDTH // 2 - 8, WIDTH // 2 + 8 : WIDTH - 8]


@pytest.mark.parametrize("flip", [False, True])
def test_labels_are_what_the_model_says(
    predictor: OnnxPredictor, image: ColourImage, flip: bool
) -> None:
    labels = Teacher(predictor, flip=flip).label(image)
    left = INSIDE < WIDTH // 2
    assert labels.mask.dtype == labels.confidence.dtype == labels.depth_confidence.dtype == np.uint8
    assert (labels.mask[:, INSIDE] == np.where(left, LEFT, RIGHT)).all()
    metres = np.where(left, tiny_student.metres(0), tiny_student.metres(255))
    np.testing.assert_allclose(labels.depth[:, INSIDE], np.tile(metres, (HEIGHT, 1)), rtol=1e-3)
    assert (labels.depth_confidence == round(255 * tiny_student.CONFIDENCE)).all()


def test_depth_informs_the_classes_and_is_not_given_back(
    predictor: OnnxPredictor, image: ColourImage
) -> None:
    depth = np.full((HEIGHT, WIDTH), np.nan, np.float32)
    depth[:, : WIDTH // 2] = 4.2
    for flip in (False, True):
        labels = Teacher(predictor, flip=flip).label(image, depth=depth)
        assert (labels.mask[:, : WIDTH // 2 - 8] == tiny_student.TOLD_CLASS).all()
        assert (labels.mask[:, WIDTH // 2 + 8 :] == RIGHT).all()
        measured = np.isfinite(depth)
        assert np.isnan(labels.depth[measured]).all()
        assert (labels.depth_confidence[measured] == 0).all()
        assert np.isfinite(labels.depth[~measured]).all()
        everywhere = Teacher(predictor, flip=flip, everywhere=True).label(image, depth=depth)
        alone = Teacher(predictor, flip=flip).label(image)
        np.testing.assert_array_equal(everywhere.depth, alone.depth)


def test_the_mirror_image_has_the_mirrored_labels(
    predictor: OnnxPredictor, image: ColourImage
) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    depth = np.where(rng.uniform(size=(HEIGHT, WIDTH)) < 0.5, np.nan, 2.0).astype(np.float32)
    teacher = Teacher(predictor, everywhere=True)
    one = teacher.label(ColourImage(pixels, "rgb"), depth=depth)
    other = teacher.label(
        ColourImage(np.ascontiguousarray(pixels[:, ::-1]), "rgb"),
        depth=np.ascontiguousarray(depth[:, ::-1]),
    )
    for name in ("mask", "confidence", "depth", "depth_confidence"):
        mirrored = getattr(other, name)[:, ::-1].astype(np.float32)
        difference = np.abs(getattr(one, name).astype(np.float32) - mirrored)
        assert np.mean(difference > 1e-3 + (name == "confidence")) < 0.01, name


def test_probabilities_of_both_images_are_averaged(tmp_path: Path) -> None:
    """Against what two calls of the model say, class by class."""
    predictor = OnnxPredictor(tiny_student.write_teacher(tmp_path / "teacher.onnx"))
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    images = [ColourImage(np.ascontiguousarray(p), "rgb") for p in (pixels, pixels[:, ::-1])]
    shares = []
    for picture in images:
        powers = np.exp(predictor.predict(picture).grid(SEGMENTATION).astype(np.float64))
        shares.append(powers / powers.sum(axis=0))
    mean = (shares[0] + shares[1][:, :, ::-1]) / 2
    confidence = Teacher(predictor).label(images[0]).confidence
    cells = confidence.reshape(HEIGHT // 8, 8, WIDTH // 8, 8)[:, 3:5, :, 3:5].mean(axis=(1, 3))
    assert np.abs(cells - 255 * mean.max(axis=0)).max() < 40
    assert np.abs(cells - 255 * mean.max(axis=0)).mean() < 8


def test_out_of_range_is_not_measured(predictor: OnnxPredictor, image: ColourImage) -> None:
    """REP 117: +inf is beyond the sensor's range, -inf too near."""
    depth = np.full((HEIGHT, WIDTH), np.inf, np.float32)
    depth[: HEIGHT // 2] = -np.inf
    labels = Teacher(predictor).label(image, depth=depth)
    assert np.isfinite(labels.depth).all()
    assert np.isnan(labels.sensor_ratio)


def test_what_is_no_teacher_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected a teacher with outputs .* got a student with"):
        load_teacher(tiny_student.write(tmp_path / "tiny.onnx"))


def test_a_model_without_depth_as_input_takes_none(tmp_path: Path, image: ColourImage) -> None:
    student = tiny_student.write(tmp_path / "tiny.onnx", replace(tiny_student.card("tiny")))
    with pytest.raises(ModelError, match=r"depth"):
        Teacher(OnnxPredictor(student)).label(image, depth=np.ones((HEIGHT, WIDTH), np.float32))
