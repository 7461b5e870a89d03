"""How good pseudo-labels are, against ground truth that their student does not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mtl_training.config import LossConfig
from mtl_training.data.sample import PseudoLabel, Sample
from mtl_training.data.source import SampleSource
from mtl_training.errors import DatasetError
from mtl_training.pseudo.generate import progress
from mtl_training.pseudo.selection import (
    LEVELS,
    Histogram,
    confident,
    no_histogram,
    quantised,
    usable,
)
from mtl_training.pseudo.store import PseudoStore
from mtl_training.tasks.base import Labels, Task

BINS = 15
"""Of the reliability diagram, of equal width; their edges are confidences of `LEVELS`."""

_WIDTH = (len(LEVELS) - 1) // BINS

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reliability:
    """Confidence against correctness, in bins.

    Attributes:
        total: (256,) pixels at each confidence of `LEVELS`.
        right: (256,) those of them whose label is right.
    """

    total: Counts
    right: Counts

    @classmethod
    def of(
        cls, confidence: npt.NDArray[np.floating[Any]], right: npt.NDArray[np.bool_]
    ) -> Reliability:
        """Of single pixels, (n,) each."""
        levels = quantised(confidence)
        counted = (np.bincount(some, minlength=len(LEVELS)) for some in (levels, levels[right]))
        return cls(*counted)

    def _binned(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Sums over the bins (0, 1/15], (1/15, 2/15], ...; confidence 0 is no label."""
        return np.asarray(values[1:].reshape(BINS, _WIDTH).sum(axis=1), np.float64)

    @cached_property
    def pixels(self) -> npt.NDArray[np.float64]:
        """(BINS,) pixels of each bin."""
        return self._binned(self.total)

    def _mean(self, sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.where(self.pixels > 0, sums / np.maximum(self.pixels, 1), np.nan)

    @cached_property
    def confidence(self) -> npt.NDArray[np.float64]:
        """(BINS,) mean confidence; NaN in an empty bin."""
        return self._mean(self._binned(self.total * (np.arange(len(LEVELS)) / (len(LEVELS) - 1))))

    @cached_property
    def accuracy(self) -> npt.NDArray[np.float64]:
        """(BINS,) share that is right; NaN in an empty bin."""
        return self._mean(self._binned(self.right))

    def ece(self) -> float:
        """Expected calibration error: mean gap between both, weighted by pixels; NaN of nothing.

        Source: Naeini et al., AAAI 2015.
        """
        gaps = np.nan_to_num(np.abs(self.confidence - self.accuracy))
        total = self.pixels.sum()
        return float((gaps * self.pixels).sum() / total) if total else float("nan")


@dataclass(frozen=True)
class Judged:
    """One image's pseudo-label of one task beside its truth.

    Attributes:
        total: (groups, 256) pixels with truth by predicted group and confidence.
        right: Those of them whose label is right.
        answer: The label at the truth's size.
        there: (H, W) bool: where there is a label at all.
        kept: (H, W) bool: above the thresholds.
    """

    total: Histogram
    right: Histogram
    answer: Labels
    there: npt.NDArray[np.bool_]
    kept: npt.NDArray[np.bool_]

    def accuracy(self, levels: npt.NDArray[np.int64]) -> float:
        """Share of pixels above the groups' thresholds that are right; NaN without any."""
        return _share(*(_above(counts, levels).sum() for counts in (self.right, self.total)))


def judge(task: Task, label: PseudoLabel, truth: Labels, kept: npt.NDArray[np.bool_]) -> Judged:
    """Compare at the truth's own resolution.

    Args:
        task: Whose.
        label: On its grid.
        truth: (H, W) or (H, W, C).
        kept: (h, w): where the label is used.
    """
    height, width = truth.shape[:2]
    size = (width, height)
    answer = task.decoded(label.value, height, width)
    level = _upsampled(quantised(label.confidence), size)
    group = _upsampled(task.groups(label.value).astype(np.int32), size)
    seen = task.known(truth) & (level > 0)
    # (1, pixels) stands for (H, W): tasks compare pixel by pixel.
    correct = task.correct(answer[seen][None], truth[seen][None])[0]
    flat = group[seen] * len(LEVELS) + level[seen]
    return Judged(
        total=_counted(task, flat),
        right=_counted(task, flat[correct]),
        answer=answer,
        there=level > 0,
        kept=_upsampled(kept.astype(np.uint8), size) > 0,
    )


def _upsampled(grid: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    resized: npt.NDArray[Any] = cv2.resize(grid, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return resized


def _counted(task: Task, flat: npt.NDArray[Any]) -> Histogram:
    empty = no_histogram(task)
    return np.bincount(flat, minlength=empty.size).reshape(empty.shape)


def _above(counts: Histogram, levels: npt.NDArray[np.int64]) -> Counts:
    """(groups,) pixels of each group that are at its threshold or above."""
    above = np.arange(len(LEVELS)) >= levels[:, None]
    return np.asarray((counts * above).sum(axis=1))


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


class Judge:
    """Judges all pseudo-labels of one task.

    Args:
        task: The task.
        least: Its groups' thresholds, see `selection.thresholds`.
    """

    def __init__(self, task: Task, least: npt.NDArray[np.float32]) -> None:
        self.task, self._least = task, least
        self._levels = np.rint(least * 255).astype(np.int64)
        self.total, self.right = no_histogram(task), no_histogram(task)
        self._all, self._kept = task.metric(), task.metric()
        groups = len(task.group_names)
        self.before, self.added = np.zeros(groups), np.zeros(groups)
        self.scores: dict[int, float] = {}

    def kept(self, label: PseudoLabel) -> npt.NDArray[np.bool_]:
        """Where a label is used, on its grid."""
        used: npt.NDArray[np.bool_] = confident(self.task, label, self._least).confidence > 0
        return used

    def add(self, index: int, sample: Sample, label: PseudoLabel | None, hidden: bool) -> None:
        """Take the image of that index.

        Args:
            index: Of the image.
            sample: With its whole ground truth.
            label: Its pseudo-label, if it has one.
            hidden: Whether teacher and student see nothing of its truth.
        """
        truth = sample.truth.get(self.task.name)
        visible = None if hidden else truth
        if visible is not None:
            self._count_truth(visible)
        used = None if label is None else usable(self.task, label, visible)
        if used is None:
            return
        kept = self.kept(used)
        self._count(used, kept, sample.image.shape[0] * sample.image.shape[1])
        if hidden and truth is not None:
            self._judge(index, used, kept, truth)

    def _judge(
        self, index: int, label: PseudoLabel, kept: npt.NDArray[np.bool_], truth: Labels
    ) -> None:
        judged = judge(self.task, label, truth, kept)
        self.total += judged.total
        self.right += judged.right
        self._all.update(judged.answer, _masked(self.task, truth, judged.there))
        self._kept.update(judged.answer, _masked(self.task, truth, judged.kept))
        if np.isfinite(score := judged.accuracy(self._levels)):
            self.scores[index] = score

    def _count(self, label: PseudoLabel, kept: npt.NDArray[np.bool_], pixels: int) -> None:
        groups = self.task.groups(label.value)[kept]
        cells = np.bincount(groups, minlength=len(self.added))
        self.added += cells * (pixels / kept.size)

    def _count_truth(self, truth: Labels) -> None:
        known = truth[self.task.known(truth)]
        # Where a task has groups, its labels are their ids.
        ids = known if len(self.before) > 1 else np.zeros(len(known), np.int64)
        self.before += np.bincount(ids, minlength=len(self.before))

    def worst(self, count: int) -> list[int]:
        """Indices of the images whose kept labels are wrong most often."""
        return sorted(self.scores, key=self.scores.__getitem__)[:count]

    @property
    def reliability(self) -> Reliability:
        """Over all labels, kept or not."""
        return Reliability(self.total.sum(axis=0), self.right.sum(axis=0))

    def figures(self) -> dict[str, Any]:
        """All that was found, as plain values; NaN for what nothing was measured of."""
        seen, kept = self.total.sum(axis=1), _above(self.total, self._levels)
        hits = _above(self.right, self._levels)
        after = self.before + self.added
        return {
            "images": len(self.scores),
            "coverage": _share(kept.sum(), seen.sum()),
            "accuracy_kept": _share(hits.sum(), kept.sum()),
            "accuracy_all": _share(self.right.sum(), seen.sum()),
            "ece": self.reliability.ece(),
            "kept": self._kept.figures(),
            "all": self._all.figures(),
            "groups": {
                name: {
                    "threshold": float(self._least[i]),
                    "coverage": _share(kept[i], seen[i]),
                    "accuracy_kept": _share(hits[i], kept[i]),
                    "share_before": _share(self.before[i], self.before.sum()),
                    "share_after": _share(after[i], after.sum()),
                    "pixels_before": float(self.before[i]),
                    "pixels_after": float(after[i]),
                }
                for i, name in enumerate(self.task.group_names)
            },
        }


def _masked(task: Task, truth: Labels, mask: npt.NDArray[np.bool_]) -> Labels:
    """The truth where a mask is set, nothing elsewhere."""
    left = truth.copy()
    left[~mask] = task.absent(1, 1)[0, 0]
    return left


def judge_all(
    folder: Path,
    whole: SampleSource,
    tasks: Sequence[Task],
    losses: LossConfig,
    visible: SampleSource | None = None,
) -> list[Judge]:
    """Judge all pseudo-labels of a folder whose truth is hidden, task by task.

    Args:
        folder: Finished pseudo-labels.
        whole: The same samples with their whole ground truth.
        tasks: Those of interest.
        losses: Thresholds.
        visible: The same samples with the ground truth that teacher and student see, which judges
            nothing; None = they see none.

    Raises:
        DatasetError: The folder is unfinished or of other images, or none of its labels has truth
            to be judged by.
    """
    store = PseudoStore.open(folder)
    made = [task for task in tasks if task.name in store.record.recipe.tasks]
    judges = [Judge(task, store.thresholds(task, losses)) for task in made]
    seen = {task.name: set(visible.labelled(task.name)) if visible else set() for task in made}
    for index in progress(range(len(whole)), "quality"):
        sample = whole.sample(index)
        stored = store.read(sample.name, made, sample.image)
        for judge in judges:
            name = judge.task.name
            judge.add(index, sample, stored.get(name), hidden=index not in seen[name])
    found = [judge for judge in judges if judge.total.any()]
    if not found:
        raise DatasetError(f"{folder}: none of its labels has ground truth to be judged by")
    return found
