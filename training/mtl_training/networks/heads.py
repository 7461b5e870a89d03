"""One light head per task."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from mtl_training.networks.fpn import separable


def heads(outputs: Mapping[str, int], channels: int) -> nn.ModuleDict:
    """Heads on a map of that many channels, by task; values are their output channels."""
    return nn.ModuleDict(
        {
            name: nn.Sequential(separable(channels, 3), nn.Conv2d(channels, width, 1))
            for name, width in outputs.items()
        }
    )
