"""The student: EfficientNet-Lite0, a 64-channel feature pyramid, one light head per task."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from mtl_training.networks.efficientnet_lite import EfficientNetLite
from mtl_training.networks.fpn import FeaturePyramid
from mtl_training.networks.heads import heads


class Student(nn.Module):
    """RGB in, raw head outputs out, on a grid of stride 4.

    Args:
        outputs: Output channels per task's name; a task's own code gives them their meaning.
        channels: Width of the feature pyramid.
    """

    def __init__(self, outputs: Mapping[str, int], channels: int = 64) -> None:
        """Random weights; `load_imagenet` takes the pretrained ones."""
        super().__init__()
        self.backbone = EfficientNetLite()
        self.pyramid = FeaturePyramid(self.backbone.channels, channels)
        self.heads = heads(outputs, channels)
        self.signals: Mapping[str, nn.Module] = {}

    def load_imagenet(self) -> None:
        """Take the encoder's pretrained weights."""
        self.backbone.load_imagenet()

    def encoders(self) -> list[nn.Module]:
        """The pretrained parts, which learn more slowly."""
        return [self.backbone]

    def forward(
        self, image: Tensor, signals: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Predict.

        Args:
            image: (N, 3, H, W) float32 normalised RGB.
            signals: Not looked at: a student sees the image alone.

        Returns:
            (N, channels of its head, H/4, W/4) by task.
        """
        features = self.pyramid(self.backbone(image))
        return {name: head(features) for name, head in self.heads.items()}
