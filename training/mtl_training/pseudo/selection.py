"""Which pseudo-labels are used: confident ones and, but in distillation, where truth is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mtl_training.config import LossConfig
from mtl_training.data.sample import PseudoLabel
from mtl_training.pseudo.record import LEVEL_COUNT
from mtl_training.tasks.base import Labels, Task

LEVELS = np.arange(LEVEL_COUNT, dtype=np.float32) / np.float32(LEVEL_COUNT - 1)
"""The confidences that a file can hold, 0 = no label here."""

Histogram = npt.NDArray[np.int64]
"""(groups, 256): grid cells by group and confidence; cells without a label are not counted."""


def wanted(task: Task, truth: Labels | None) -> bool:
    """Whether an image's ground truth of a task, if any, leaves room for a pseudo-label."""
    return truth is None or (task.fills_holes and not task.known(truth).all())


def usable(task: Task, label: PseudoLabel, truth: Labels | None) -> PseudoLabel | None:
    """The label where an image's ground truth leaves room for one.

    Args:
        task: Whose labels.
        label: What the teacher said.
        truth: The image's own labels; None = it has none of this task.

    Returns:
        The label, with confidence 0 in grid cells of which any pixel has truth; None where nothing
        of it is left.
    """
    if truth is None:
        return label
    if not wanted(task, truth):
        return None
    confidence = label.confidence * ~_touched(task.known(truth), label.confidence.shape)
    return replace(label, confidence=confidence) if confidence.any() else None


def _touched(mask: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Cells (h, w) of a grid over a mask (H, W) in which any pixel is set."""
    shares = cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(shares > 0)


def quantised(confidence: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """Indices of `LEVELS`; what is above 0 stays so, because 0 means that there is no label."""
    levels = np.maximum(np.rint(confidence * 255), confidence > 0)
    return np.asarray(levels, np.uint8)


def no_histogram(task: Task) -> Histogram:
    """Of no label."""
    return np.zeros((len(task.group_names), len(LEVELS)), np.int64)


def histogram(task: Task, label: PseudoLabel) -> Histogram:
    """Of one label."""
    levels = quantised(label.confidence).astype(np.int64)
    flat = (task.groups(label.value) * len(LEVELS) + levels)[levels > 0]
    empty = no_histogram(task)
    return np.bincount(flat, minlength=empty.size).reshape(empty.shape)


def thresholds(counts: Mapping[str, Sequence[int]], losses: LossConfig) -> npt.NDArray[np.float32]:
    """The least confidence of each group, (groups,).

    It is `pseudo_threshold`; in a group that would keep less than `pseudo_share` of its cells, the
    highest one that keeps as many.

    Args:
        counts: By group, cells at each of `LEVELS`.
        losses: The settings.
    """
    level = int(np.searchsorted(LEVELS, np.float32(losses.pseudo_threshold)))
    levels = [_level(row, max(level, 1), losses.pseudo_share) for row in counts.values()]
    return np.take(LEVELS, levels)


def _level(row: Sequence[int], level: int, share: float) -> int:
    kept = np.cumsum(row[::-1])[::-1]  # with that level or more
    enough = np.flatnonzero(kept >= share * kept[0])
    return max(1, min(level, int(enough[-1])))


def confident(task: Task, label: PseudoLabel, thresholds: npt.NDArray[np.float32]) -> PseudoLabel:
    """The label with confidence 0 where it is below its group's threshold."""
    kept = label.confidence >= thresholds[task.groups(label.value)]
    return replace(label, confidence=label.confidence * kept)


def shuffled(label: PseudoLabel, share: float, rng: np.random.Generator) -> PseudoLabel:
    """The label with the values of a share of its used cells passed round among these.

    Each gets another cell's value, however likely; confidences stay.
    """
    used = np.flatnonzero(label.confidence > 0)
    chosen = rng.permutation(used)[: round(share * len(used))]
    value = label.value.reshape(-1, label.value.shape[2]).copy()
    value[chosen] = value[np.roll(chosen, 1)]
    return replace(label, value=value.reshape(label.value.shape))
