"""The teacher: two encoders, gated fusion at four levels, one feature pyramid, a head per task.

The leak rule holds by construction: tasks are predicted in passes, one for each set of signals
that its tasks may see, and a pass is computed from no others. The image's encoder runs once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from mtl_training.networks.efficientnet_lite import EfficientNetLite
from mtl_training.networks.fpn import FeaturePyramid
from mtl_training.networks.heads import heads
from mtl_training.tasks.base import SignalEncoder


class GatedFusion(nn.Module):
    """Add the second encoder's features where a gate, which sees both, lets them through.

    The projection starts at zero, so that the network starts as that of the image alone.
    """

    def __init__(self, channels: int, others: int) -> None:
        """Channel counts of the image's features and of the second encoder's."""
        super().__init__()
        self.gate = nn.Conv2d(channels + others, channels, 1)
        self.projection = nn.Conv2d(others, channels, 1, bias=False)
        nn.init.zeros_(self.projection.weight)

    def forward(self, image: Tensor, other: Tensor, present: Tensor) -> Tensor:
        """(N, channels, h, w), (N, others, h, w) and (N, 1, 1, 1) to (N, channels, h, w)."""
        gate = torch.sigmoid(self.gate(torch.cat([image, other], dim=1)))
        added: Tensor = present * gate * self.projection(other)
        return image + added


class Teacher(nn.Module):
    """RGB and signals of other tasks in, raw head outputs out, on a grid of stride 4.

    Args:
        outputs: Output channels per task's name.
        signals: Encoders of the inputs beside the image, by input name. Without any, the second
            encoder sees the image once more: the RGB-only control of equal size.
        allowed: For each task, the signals that its prediction may see.
        channels: Width of the feature pyramid.
    """

    def __init__(
        self,
        outputs: Mapping[str, int],
        signals: Mapping[str, SignalEncoder],
        allowed: Mapping[str, Sequence[str]],
        channels: int = 128,
    ) -> None:
        """Random weights; `load_imagenet` takes the pretrained ones."""
        super().__init__()
        self.signals = nn.ModuleDict(signals)
        planes = sum(encoder.channels for encoder in signals.values()) or 3
        self.backbone = EfficientNetLite("lite2")
        self.second = EfficientNetLite("lite0", planes)
        self.fusion = nn.ModuleList(
            GatedFusion(*pair)
            for pair in zip(self.backbone.channels, self.second.channels, strict=True)
        )
        self.pyramid = FeaturePyramid(self.backbone.channels, channels)
        self.heads = heads(outputs, channels)
        self._passes: dict[tuple[str, ...], list[str]] = {}
        for task in outputs:
            seen = tuple(name for name in signals if name in allowed[task])
            self._passes.setdefault(seen, []).append(task)

    def load_imagenet(self) -> None:
        """Take both encoders' pretrained weights."""
        self.backbone.load_imagenet()
        self.second.load_imagenet()

    def encoders(self) -> list[nn.Module]:
        """The pretrained parts, which learn more slowly."""
        return [self.backbone, self.second]

    def forward(
        self, image: Tensor, signals: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Predict.

        Args:
            image: (N, 3, H, W) float32 normalised RGB.
            signals: (N, values, H, W) by input name, see `SignalEncoder`; one that is missing
                counts as empty.

        Returns:
            (N, channels of its head, H/4, W/4) by task.
        """
        features = self.backbone(image)
        raw: dict[str, Tensor] = {}
        for seen, tasks in self._passes.items():
            fused = self.pyramid(self._fused(image, features, signals or {}, seen))
            raw |= {task: self.heads[task](fused) for task in tasks}
        return {task: raw[task] for task in self.heads}

    def _fused(
        self,
        image: Tensor,
        features: list[Tensor],
        signals: Mapping[str, Tensor],
        seen: tuple[str, ...],
    ) -> list[Tensor]:
        """The image's features with those of the signals that this pass may see."""
        if self.signals and not seen:
            return features
        planes, present = self._planes(image, signals, seen)
        others = self.second(planes)
        return [
            fuse(feature, other, present)
            for fuse, feature, other in zip(self.fusion, features, others, strict=True)
        ]

    def _planes(
        self, image: Tensor, signals: Mapping[str, Tensor], seen: tuple[str, ...]
    ) -> tuple[Tensor, Tensor]:
        """The second encoder's input (N, planes, H, W); whether it says anything (N, 1, 1, 1)."""
        n, _, height, width = image.shape
        if not self.signals:
            return image, image.new_ones(n, 1, 1, 1)
        planes, present = [], image.new_zeros(n, 1, 1, 1)
        for name, module in self.signals.items():
            encoder = cast(SignalEncoder, module)
            if name in seen and name in signals:
                planes.append(encoder(signals[name]))
                said = encoder.present(signals[name]).flatten(1).any(dim=1)
                present = torch.maximum(present, said.to(image.dtype)[:, None, None, None])
            else:
                planes.append(image.new_zeros(n, encoder.channels, height, width))
        return torch.cat(planes, dim=1), present
