"""Metrics of segmentation, depth and surface normals, accumulated over a whole set.

Definitions: one confusion matrix over the set, IoU = diag / (row + column - diag), the plain mean
over the classes that occur; errors of depth and normals pooled over all valid pixels of the set.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mtl_core.errors import MetricError
from mtl_core.labels import UNLABELLED


def _check_shapes(predicted: npt.NDArray[np.generic], truth: npt.NDArray[np.generic]) -> None:
    if predicted.shape != truth.shape:
        raise MetricError(
            f"prediction is {predicted.shape}, truth is {truth.shape}; resize it first"
        )


class ConfusionMatrix:
    """Pixel counts, rows = truth, columns = prediction.

    The last column counts labelled pixels that the prediction left unlabelled: they are misses.
    """

    def __init__(self, num_classes: int) -> None:
        """An empty matrix for ids 0 .. num_classes - 1."""
        self.num_classes = num_classes
        self.counts = np.zeros((num_classes, num_classes + 1), np.int64)

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
        flat = np.bincount(rows * (self.num_classes + 1) + columns, minlength=self.counts.size)
        self.counts += flat.reshape(self.counts.shape)

    def iou(self) -> npt.NDArray[np.float64]:
        """Intersection over union per class (C,); NaN for a class that nothing mentions."""
        square = self.counts[:, : self.num_classes]
        hits = np.diag(square).astype(np.float64)
        union = self.counts.sum(axis=1) + square.sum(axis=0) - hits
        empty = np.full_like(hits, np.nan)
        iou: npt.NDArray[np.float64] = np.divide(hits, union, out=empty, where=union > 0)
        return iou

    def miou(self) -> float:
        """Mean IoU over the classes that occur in the truth; NaN without any."""
        present = self.counts.sum(axis=1) > 0
        return float(self.iou()[present].mean()) if present.any() else float("nan")


class DepthErrors:
    """Depth errors pooled over all pixels whose true depth is known (finite and above 0 m)."""

    def __init__(self) -> None:
        """No pixel yet."""
        self._count = 0
        self._sums = dict.fromkeys(("square", "relative", "within", "absolute"), 0.0)

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
        self._count += want.size
        self._sums["square"] += float((error**2).sum())
        self._sums["relative"] += float((error / want).sum())
        self._sums["within"] += float((np.maximum(got / want, want / got) < 1.25).sum())
        self._sums["absolute"] += float(error.sum())

    def _mean(self, name: str) -> float:
        return self._sums[name] / self._count if self._count else float("nan")

    def rmse(self) -> float:
        """Root mean square error, metres."""
        return float(self._mean("square") ** 0.5)

    def absrel(self) -> float:
        """Mean of |error| / truth."""
        return self._mean("relative")

    def delta1(self) -> float:
        """Share of pixels whose ratio to the truth is below 1.25."""
        return self._mean("within")

    def mae(self) -> float:
        """Mean absolute error, metres."""
        return self._mean("absolute")


class AngularErrors:
    """Angles between directions, pooled over all pixels whose true direction is known."""

    LIMITS = (11.25, 22.5, 30.0)
    """Degrees within which a share is counted."""

    def __init__(self) -> None:
        """No pixel yet."""
        self._count, self._degrees = 0, 0.0
        self._within = np.zeros(len(self.LIMITS), np.int64)

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
        self._count += degrees.size
        self._degrees += float(degrees.sum())
        self._within += [int((degrees < limit).sum()) for limit in self.LIMITS]

    def mean_degrees(self) -> float:
        """Mean angle."""
        return self._degrees / self._count if self._count else float("nan")

    def within(self) -> tuple[float, ...]:
        """Shares of pixels below each of `LIMITS`."""
        return tuple(
            (self._within / self._count if self._count else self._within * np.nan).tolist()
        )
