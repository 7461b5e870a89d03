"""The student: EfficientNet-Lite0, a 64-channel feature pyramid, one light head per task."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from mtl_training.networks.efficientnet_lite import EfficientNetLite
from mtl_training.networks.fpn import FeaturePyramid, separable


class Student(nn.Module):
    """RGB in, raw head outputs out, on a grid of stride 4.

    Args:
        heads: Output channels per task's name; a task's own code gives them their meaning.
        channels: Width of the feature pyramid.
    """

    def __init__(self, heads: Mapping[str, int], channels: int = 64) -> None:
        """Random weights; `backbone.load_imagenet` takes the pretrained ones."""
        super().__init__()
        self.backbone = EfficientNetLite()
        self.pyramid = FeaturePyramid(self.backbone.channels, channels)
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(separable(channels, 3), nn.Conv2d(channels, outputs, 1))
                for name, outputs in heads.items()
            }
        )

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W) float32 normalised RGB to {task: (N, channels of its head, H/4, W/4)}."""
        features = self.pyramid(self.backbone(image))
        return {name: head(features) for name, head in self.heads.items()}
