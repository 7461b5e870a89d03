"""Feature pyramid with depthwise-separable smoothing: four levels in, one stride-4 map out."""

from __future__ import annotations

import torch.nn.functional as functional
from torch import Tensor, nn


def separable(channels: int, kernel: int) -> nn.Sequential:
    """Depthwise kernel x kernel, then 1x1, each normalised; (N, C, H, W) to the same shape."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU6(inplace=True),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU6(inplace=True),
    )


class Scene(nn.Module):
    """What the whole image says, added to each of its places; nothing at first.

    A far wall and a near one look alike by themselves: how large the room is, and what kind of room
    it is, must come from elsewhere in the image. Source: the image-level features of Chen et al.,
    "Rethinking Atrous Convolution", 2017; without batch norm, since there is one value per image.
    """

    def __init__(self, channels: int) -> None:
        """Of maps of that many channels."""
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels, 1)
        self.spread = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.spread.weight)
        nn.init.zeros_(self.spread.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        everywhere = functional.relu6(self.squeeze(x.mean((2, 3), keepdim=True)))
        told: Tensor = x + self.spread(everywhere)
        return told


class FeaturePyramid(nn.Module):
    """Lateral 1x1 convolutions, context at the coarsest level, additive bilinear top-down path."""

    def __init__(self, inputs: list[int], channels: int) -> None:
        """Channel counts of the encoder's levels, finest first, and of the pyramid."""
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, channels, 1, bias=False), nn.BatchNorm2d(channels))
            for c in inputs
        )
        self.context = nn.Sequential(
            separable(channels, 5), Scene(channels), separable(channels, 5)
        )
        self.smooth = nn.ModuleList(separable(channels, 3) for _ in inputs[:-1])

    def forward(self, features: list[Tensor]) -> Tensor:
        """Levels at strides 4, 8, 16, 32 to one map (N, channels, H / 4, W / 4)."""
        levels = [lateral(f) for lateral, f in zip(self.lateral, features, strict=True)]
        top: Tensor = self.context(levels[-1])
        for level, smooth in zip(levels[-2::-1], list(self.smooth)[::-1], strict=True):
            up = functional.interpolate(top, size=level.shape[-2:], mode="bilinear")
            top = smooth(level + up)
        return top
