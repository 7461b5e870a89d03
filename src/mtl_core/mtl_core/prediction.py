"""From a network's coarse output grids to images of the camera's size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from mtl_core.errors import GeometryError, ModelError
from mtl_core.interface import DEPTH, LOG_SCALE, SEGMENTATION
from mtl_core.labels import UNLABELLED

Planes = npt.NDArray[np.float32]

SQRT_2 = 2**0.5


class Prediction:
    """What a network said of one image; each picture is decoded once, when first asked for.

    The arrays are shared with later callers: copy before changing one. Asking for what the network
    does not say is a `ModelError`.

    Args:
        outputs: (C, h, w) float32 by name, on the part of the output grid that the image covers.
        height: Rows of the image that was predicted.
        width: Columns of that image.
        focal_ratio: Its focal length over the network's canonical one, both at one width.
    """

    def __init__(
        self, outputs: Mapping[str, Planes], height: int, width: int, focal_ratio: float = 1.0
    ) -> None:
        """Keep the grids; nothing is computed yet."""
        self._outputs, self._size = outputs, (width, height)
        self.focal_ratio = focal_ratio

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of its pictures."""
        return self._size

    def at(self, width: int, height: int) -> Prediction:
        """The same answer with pictures of another size."""
        return Prediction(self._outputs, height, width, self.focal_ratio)

    def scaled(self, factor: float) -> Prediction:
        """The same answer with all depth, and its uncertainty, multiplied.

        The factor becomes part of `focal_ratio`, so that it acts on all that follows the focal
        length, and on nothing else.

        Args:
            factor: Such as true over predicted depth.

        Raises:
            GeometryError: It is not positive and finite.
        """
        if not (math.isfinite(factor) and factor > 0):
            raise GeometryError(f"a scale must be positive and finite, got {factor}")
        width, height = self._size
        return Prediction(self._outputs, height, width, self.focal_ratio * factor)

    def grid(self, name: str) -> Planes:
        """An output (C, h, w) as the network said it, for the canonical focal length."""
        if name not in self._outputs:
            known = ", ".join(self._outputs)
            raise ModelError(f"the model has no output {name}, it has: {known}")
        return self._outputs[name]

    def resized(self, name: str) -> Planes:
        """An output (H, W, C) at the image's size, bilinear, for the canonical focal length."""
        width, height = self._size
        return self._resize(self.grid(name).transpose(1, 2, 0)).reshape(height, width, -1)

    def _resize(self, grid: Planes) -> Planes:
        return cv2.resize(grid, self._size, interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]

    @cached_property
    def _classes(self) -> npt.NDArray[np.uint8]:
        return upsampled_argmax(self.grid(SEGMENTATION), self._size)

    @cached_property
    def _confidence(self) -> npt.NDArray[np.uint8]:
        logits = self.grid(SEGMENTATION)
        shifted = logits - logits.max(axis=0)
        top = 1.0 / np.exp(shifted).sum(axis=0)
        return cv2.convertScaleAbs(self._resize(top), alpha=255.0)  # type: ignore[return-value]

    @cached_property
    def _metres(self) -> Planes:
        return self._resize(self.grid(DEPTH)[0] * np.float32(self.focal_ratio))

    def mask(self, min_confidence: float = 0.0) -> npt.NDArray[np.uint8]:
        """Class ids (H, W) uint8; 255 where confidence is below min_confidence (0..1)."""
        if min_confidence <= 0:
            return self._classes
        unsure = self._confidence < min_confidence * 255.0
        return np.where(unsure, np.uint8(UNLABELLED), self._classes)

    def confidence(self) -> npt.NDArray[np.uint8]:
        """Probability of the most likely class (H, W) uint8, 255 = certain."""
        return self._confidence

    def depth(self) -> Planes:
        """Depth (H, W) float32, metres along the Z axis, finite and positive."""
        return self._metres

    def depth_uncertainty(self) -> Planes:
        """Standard deviation of the depth (H, W) float32, metres.

        The network says the scale of a Laplace distribution in log depth, whose deviation is its
        sqrt(2)-fold; to first order, that of depth is as much of the depth.
        """
        share = np.exp(self.grid(DEPTH + LOG_SCALE)[0])
        return self._resize(self.grid(DEPTH)[0] * share * np.float32(SQRT_2 * self.focal_ratio))


def upsampled_argmax(planes: Planes, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Argmax of bilinearly resized planes; where the image is finer, at twice their own grid.

    A running maximum over single planes (docs/adr/0003).

    Args:
        planes: (C, h, w) float32, such as logits.
        size: Columns and rows of the result.

    Returns:
        (H, W) uint8.
    """
    rows, columns = planes.shape[1:]
    fine = (min(2 * columns, size[0]), min(2 * rows, size[1]))
    best = cv2.resize(planes[0], fine, interpolation=cv2.INTER_LINEAR)
    classes = np.zeros(best.shape, np.uint8)
    value, wins = np.empty_like(best), np.empty_like(classes)
    for index, plane in enumerate(planes[1:], start=1):
        value = cv2.resize(plane, fine, dst=value, interpolation=cv2.INTER_LINEAR)
        wins = cv2.compare(value, best, cv2.CMP_GT, dst=wins)  # 255 where this one wins
        best = cv2.max(best, value, dst=best)
        np.bitwise_and(wins, np.uint8(index), out=wins)
        classes = cv2.max(classes, wins, dst=classes)  # the later one of winners is the larger
    return cv2.resize(classes, size, interpolation=cv2.INTER_NEAREST_EXACT)  # type: ignore[return-value]
