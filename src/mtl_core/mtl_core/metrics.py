"""Metrics of segmentation, depth and surface normals, accumulated over a whole set.

Definitions: one confusion matrix over the set, IoU = diag / (row + column - diag), the plain mean
over the classes that occur; errors of depth and normals pooled over all valid pixels of the set.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from mtl_core.errors import MetricError
from mtl_core.labels import UNLABELLED

T = TypeVar("T", bound="Sums")


def _check_shapes(predicted: npt.NDArray[np.generic], truth: npt.NDArray[np.generic]) -> None:
    if predicted.shape != truth.shape:
        raise MetricError(
            f"prediction is {predicted.shape}, truth is {truth.shape}; resize it first"
        )


class Sums:
    """An accumulator whose whole state is a vector of sums over pixels.

    Args:
        size: How many sums.
    """

    def __init__(self, size: int) -> None:
        """No pixel yet."""
        self._sums: npt.NDArray[np.float64] = np.zeros(size)

    def sums(self) -> npt.NDArray[np.float64]:
        """All that was accumulated, (K,); the sums of two sets add up to those of both."""
        return np.array(self._sums)

    def with_sums(self: T, sums: npt.NDArray[np.float64]) -> T:
        """An accumulator of the same kind that has accumulated these; this one stays as it is.

        Raises:
            MetricError: There are more or fewer than this kind has.
        """
        if sums.shape != self._sums.shape:
            raise MetricError(f"{len(self._sums)} sums expected, got {sums.shape}")
        other = copy.copy(self)
        other._sums = np.array(sums, np.float64)
        return other


class ConfusionMatrix(Sums):
    """Pixel counts, rows = truth, columns = prediction.

    The last column counts labelled pixels that the prediction left unlabelled: they are misses.
    """

    def __init__(self, num_classes: int) -> None:
        """An empty matrix for ids 0 .. num_classes - 1."""
        super().__init__(num_classes * (num_classes + 1))
        self.num_classes = num_classes

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """(C, C + 1)."""
        square = (self.num_classes, self.num_classes + 1)
        return self._sums.astype(np.int64).reshape(square)

    def update(self, predicted: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> None:
        """Add one image or batch of any equal shape; truth 255 is ignored.

        Raises:
            MetricError: Shapes differ, or an id is neither a class nor 255.
        """
        _check_shapes(predicted, truth)
        labelled = truth != UNLABELLED
        rows = truth[labelled].astype(np.int64)
        columns = predicted[labelled].astype(np.int64)
        columns[columns == UNLABELLED] = self.num_classes
        if rows.size and (rows.max() >= self.num_classes or columns.max() > self.num_classes):
            raise MetricError(
                f"ids must be below {self.num_classes} or 255, got up to "
                f"{rows.max()} in the truth and {columns.max()} in the prediction"
            )
        self._sums += np.bincount(
            rows * (self.num_classes + 1) + columns, minlength=self._sums.size
        )

    def iou(self) -> npt.NDArray[np.float64]:
        """Intersection over union per class (C,); NaN for a class that nothing mentions."""
        counts = self.counts
        square = counts[:, : self.num_classes]
        hits = np.diag(square).astype(np.float64)
        union = counts.sum(axis=1) + square.sum(axis=0) - hits
        empty = np.full_like(hits, np.nan)
        iou: npt.NDArray[np.float64] = np.divide(hits, union, out=empty, where=union > 0)
        return iou

    def miou(self) -> float:
        """Mean IoU over the classes that occur in the truth; NaN without any."""
        present = self.counts.sum(axis=1) > 0
        return float(self.iou()[present].mean()) if present.any() else float("nan")


class DepthErrors(Sums):
    """Depth errors pooled over all pixels whose true depth is known (finite and above 0 m)."""

    def __init__(self) -> None:
        """No pixel yet."""
        super().__init__(5)

    def update(self, predicted: npt.NDArray[np.floating], truth: npt.NDArray[np.floating]) -> None:
        """Add one image or batch, metres.

        Raises:
            MetricError: Shapes differ, or a prediction is not a positive number where the truth
                is known.
        """
        _check_shapes(predicted, truth)
        known = np.isfinite(truth) & (truth > 0)
        got, want = predicted[known].astype(np.float64), truth[known].astype(np.float64)
        if not (np.isfinite(got) & (got > 0)).all():
            raise MetricError("predicted depth must be finite and positive where truth is known")
        error = np.abs(got - want)
        within = np.maximum(got / want, want / got) < 1.25
        of_pixels = (error**2, error / want, within, error)
        self._sums += [want.size, *(float(values.sum()) for values in of_pixels)]

    def rmse(self) -> float:
        """Root mean square error, metres."""
        return float(_means(self._sums)[0] ** 0.5)

    def absrel(self) -> float:
        """Mean of |error| / truth."""
        return float(_means(self._sums)[1])

    def delta1(self) -> float:
        """Share of pixels whose ratio to the truth is below 1.25."""
        return float(_means(self._sums)[2])

    def mae(self) -> float:
        """Mean absolute error, metres."""
        return float(_means(self._sums)[3])


class AngularErrors(Sums):
    """Angles between directions, pooled over all pixels whose true direction is known."""

    LIMITS = (11.25, 22.5, 30.0)
    """Degrees within which a share is counted."""

    def __init__(self) -> None:
        """No pixel yet."""
        super().__init__(2 + len(self.LIMITS))

    def update(self, predicted: npt.NDArray[np.floating], truth: npt.NDArray[np.floating]) -> None:
        """Add one image or batch of unit vectors (..., 3); NaN in the truth = unknown.

        Raises:
            MetricError: Shapes differ, or a prediction is not finite where the truth is known.
        """
        _check_shapes(predicted, truth)
        known = np.isfinite(truth).all(axis=-1)
        got, want = predicted[known].astype(np.float64), truth[known].astype(np.float64)
        if not np.isfinite(got).all():
            raise MetricError("predicted directions must be finite where truth is known")
        # Of the chord, since arccos of a dot product loses half its digits near 0.
        half_chord = np.linalg.norm(got - want, axis=-1) / 2
        degrees = np.degrees(2 * np.arcsin(np.clip(half_chord, 0, 1)))
        within = [int((degrees < limit).sum()) for limit in self.LIMITS]
        self._sums += [degrees.size, float(degrees.sum()), *within]

    def mean_degrees(self) -> float:
        """Mean angle."""
        return float(_means(self._sums)[0])

    def within(self) -> tuple[float, ...]:
        """Shares of pixels below each of `LIMITS`."""
        return tuple(_means(self._sums)[1:].tolist())


def _means(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sums over pixels, the first of which counts them, as means; NaN without a pixel."""
    count, of_pixels = sums[0], sums[1:]
    return of_pixels / count if count else np.full_like(of_pixels, np.nan)
