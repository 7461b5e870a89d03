"""Semantic segmentation."""

from __future__ import annotations

import torch.nn.functional as functional
from torch import Tensor

from mtl_core.labels import UNLABELLED, LabelMap
from mtl_training.tasks.base import to_target_size


class Segmentation:
    """Cross-entropy over the classes of a label map; target (N, H, W) int64, 255 = no label."""

    name = "segmentation"

    def __init__(self, label_map: LabelMap) -> None:
        """One channel per class."""
        self.label_map = label_map
        self.channels = len(label_map)

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """See `Task.loss`."""
        logits = to_target_size(raw, target)
        total = functional.cross_entropy(logits, target, ignore_index=UNLABELLED, reduction="sum")
        return total / (target != UNLABELLED).sum().clamp(min=1)

    def outputs(self, raw: Tensor) -> dict[str, Tensor]:
        """`segmentation`: logits (N, C, h, w)."""
        return {"segmentation": raw}
