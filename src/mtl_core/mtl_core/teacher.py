"""A teacher labels images: what it says of an image and of its mirror image, merged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mtl_core.errors import ModelError
from mtl_core.images import ColourImage
from mtl_core.interface import CONFIDENCE, DEPTH, SEGMENTATION
from mtl_core.model import OnnxModel
from mtl_core.prediction import Planes, Prediction
from mtl_core.predictor import Predictor, Signals
from mtl_core.providers import DEFAULT, Runtime

_LEAST = np.float32(1e-12)
"""Of a probability whose logarithm is taken."""


@dataclass(frozen=True)
class PseudoLabels:
    """What a teacher says of an image, at the image's size.

    Attributes:
        mask: (H, W) uint8 class ids.
        confidence: (H, W) uint8, probability that the class is right, 255 = certain.
        depth: (H, W) float32, metres along the Z axis; NaN where the sensor has measured.
        depth_confidence: (H, W) uint8, probability that the depth is right within a factor of 1.25;
            0 where there is none.
        sensor_ratio: Median of the sensor's depth over the predicted one; NaN without a sensor.
    """

    mask: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    depth_confidence: npt.NDArray[np.uint8]
    sensor_ratio: float = math.nan


NEEDED = (SEGMENTATION, DEPTH, DEPTH + CONFIDENCE)
"""Outputs of a teacher that labels images."""


def load_teacher(path: Path, runtime: Runtime = DEFAULT) -> OnnxModel:
    """Load a model that labels images.

    Args:
        path: Its ONNX file.
        runtime: How to run it.

    Raises:
        ModelError: The file cannot be used, or is no such model.
    """
    model = OnnxModel(path, runtime)
    if model.card.role != "teacher" or not set(NEEDED) <= set(model.outputs):
        raise ModelError(
            f"{path}: expected a teacher with outputs {', '.join(NEEDED)}, got a "
            f"{model.card.role} with {', '.join(model.outputs)}"
        )
    return model


class Teacher:
    """Labels images with a model of segmentation and depth.

    Sensor depth, where there is some, is an input of the segmentation. By the leak rule, depth is
    predicted from the image alone, whatever the sensor says; the network is built so.

    Args:
        predictor: A teacher's, see `NEEDED`.
        flip: Ask for the mirror image too, and merge both answers.
        everywhere: Offer depth also where the sensor has some.
    """

    def __init__(self, predictor: Predictor, flip: bool = True, everywhere: bool = False) -> None:
        """Keep what to ask."""
        self._predictor, self._flip, self._everywhere = predictor, flip, everywhere

    def label(
        self,
        image: ColourImage,
        fx: float | None = None,
        depth: npt.NDArray[np.float32] | None = None,
    ) -> PseudoLabels:
        """Label an image.

        Args:
            image: Any size.
            fx: Its focal length in pixels; None leaves depth right up to scale.
            depth: (H, W) float32, the sensor's metres, NaN = unknown; None = no sensor.

        Raises:
            GeometryError: The focal length is not a positive number.
            ModelError: The depth is not of the image's size, or the model takes none.
        """
        answer = self._ask(image, fx, depth)
        metres = answer.depth()
        sure = cv2.convertScaleAbs(answer.resized(DEPTH + CONFIDENCE)[..., 0], alpha=255.0)
        ratio = _ratio(depth, metres)
        if depth is not None and not self._everywhere:
            holes = ~_measured(depth)
            metres = np.where(holes, metres, np.float32(np.nan))
            sure = np.where(holes, sure, np.uint8(0))
        return PseudoLabels(answer.mask(), answer.confidence(), metres, sure, ratio)  # type: ignore[arg-type]

    def _ask(
        self, image: ColourImage, fx: float | None, depth: npt.NDArray[np.float32] | None
    ) -> Prediction:
        signals: Signals = {} if depth is None else {DEPTH: depth}
        answer = self._predictor.predict(image, fx, signals)
        if not self._flip:
            return answer
        mirrored = {name: np.ascontiguousarray(s[:, ::-1]) for name, s in signals.items()}
        picture = ColourImage(np.ascontiguousarray(image.pixels[:, ::-1]), image.order)
        other = self._predictor.predict(picture, fx, mirrored)
        return Prediction(_merged(answer, other), image.height, image.width, answer.focal_ratio)


def _ratio(sensor: npt.NDArray[np.float32] | None, predicted: Planes) -> float:
    if sensor is None or not (measured := _measured(sensor)).any():
        return math.nan
    return float(np.median(sensor[measured] / predicted[measured]))


def _measured(depth: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Where a sensor says how far it is; infinity says "beyond my range" (REP 117)."""
    measured: npt.NDArray[np.bool_] = np.isfinite(depth) & (depth > 0)
    return measured


def _merged(answer: Prediction, mirror: Prediction) -> Mapping[str, Planes]:
    """Of an image and its mirror image: mean probabilities, geometric mean depth."""

    def both(name: str) -> tuple[Planes, Planes]:
        return answer.grid(name), mirror.grid(name)[:, :, ::-1]

    classes = [_softmax(logits) for logits in both(SEGMENTATION)]
    near, far = (np.log(metres) for metres in both(DEPTH))
    sure = both(DEPTH + CONFIDENCE)
    return {
        SEGMENTATION: np.log(np.maximum((classes[0] + classes[1]) / 2, _LEAST)),
        DEPTH: np.exp((near + far) / 2),
        DEPTH + CONFIDENCE: (sure[0] + sure[1]) / 2,
    }


def _softmax(logits: Planes) -> Planes:
    powers = np.exp(logits - logits.max(axis=0))
    shares: Planes = powers / powers.sum(axis=0)
    return shares
