"""What the engine needs of a task; it knows nothing else of any of them."""

from __future__ import annotations

from typing import Protocol

import torch.nn.functional as functional
from torch import Tensor


class Task(Protocol):
    """One dense prediction task."""

    name: str
    """Key of the task's head, target and output."""

    channels: int
    """Channels of its head."""

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Mean loss over labelled pixels; zero, with a gradient, where there are none.

        Args:
            raw: (N, channels, h, w) float32, the head's output.
            target: (N, H, W), the task's own type and mark for "no label".
        """

    def outputs(self, raw: Tensor) -> dict[str, Tensor]:
        """The ONNX outputs that this task contributes, by name, on the head's grid."""


def to_target_size(raw: Tensor, target: Tensor) -> Tensor:
    """Resize a head's output (N, C, h, w) bilinearly to its target's (H, W)."""
    return functional.interpolate(raw, size=target.shape[-2:], mode="bilinear")
