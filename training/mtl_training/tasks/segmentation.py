"""Semantic segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from mtl_core.labels import UNLABELLED, LabelMap
from mtl_core.metrics import ConfusionMatrix
from mtl_core.prediction import Prediction, upsampled_argmax
from mtl_training.data.sample import PseudoLabel
from mtl_training.tasks.base import (
    Grid,
    Labels,
    SignalEncoder,
    Task,
    mean,
    to_target_size,
    weighted_mean,
)

STORED_CLASSES = 4
"""Most likely classes of a pixel that a file keeps; the rest shares what they leave."""


class IouMetric(ConfusionMatrix):
    """Mean IoU, and the IoU of each class."""

    def __init__(self, label_map: LabelMap) -> None:
        super().__init__(len(label_map))
        self._classes = label_map.classes

    def figures(self) -> dict[str, Any]:
        """`miou`, `classes` (how many occur), by class `iou` (NaN: none) and `pixels`."""
        pixels = self.counts.sum(axis=1).astype(int)
        return {
            "miou": self.miou(),
            "classes": int(np.count_nonzero(pixels)),
            "iou": dict(zip(self._classes, self.iou().tolist(), strict=True)),
            "pixels": dict(zip(self._classes, pixels.tolist(), strict=True)),
        }


class LabelEncoder(SignalEncoder):
    """A learned vector for each class, and a plane that says where there is one."""

    input_name = "labels"
    none = UNLABELLED
    dtype = torch.uint8

    def __init__(self, classes: int, width: int = 8) -> None:
        super().__init__()
        self.channels = width + 1
        self.vectors = nn.Embedding(classes + 1, width)  # the last one is never shown
        self._classes = classes

    def forward(self, signal: Tensor) -> Tensor:
        """(N, 1, H, W) ids, 255 = none, to (N, channels, H, W)."""
        present = self.present(signal)
        ids = signal.long().clamp(max=self._classes)[:, 0]
        planes = self.vectors(ids).permute(0, 3, 1, 2) * present
        return torch.cat([planes, present.to(planes.dtype)], dim=1)


class Segmentation(Task):
    """Cross-entropy over the classes of a label map; labels (H, W) uint8, 255 = none.

    Args:
        label_map: The classes.
        class_weights: One per class; None = all alike.
    """

    name = "segmentation"
    origin = "annotation"
    figures: ClassVar[Mapping[str, int]] = {"miou": +1}

    def __init__(
        self, label_map: LabelMap, class_weights: npt.NDArray[np.float64] | None = None
    ) -> None:
        self.label_map = label_map
        self.channels = len(label_map)
        self.group_names = label_map.classes
        self._weights = (
            None if class_weights is None else torch.from_numpy(class_weights.astype(np.float32))
        )

    def absent(self, height: int, width: int) -> Labels:
        """See `Task.absent`."""
        return np.full((height, width), UNLABELLED, np.uint8)

    def known(self, labels: Labels) -> npt.NDArray[np.bool_]:
        """See `Task.known`."""
        mask: npt.NDArray[np.bool_] = labels != UNLABELLED
        return mask

    def _class_weights(self, device: torch.device) -> Tensor | None:
        return None if self._weights is None else self._weights.to(device)

    def counts(self, labels: Labels) -> npt.NDArray[np.int64]:
        """See `Task.counts`."""
        return np.bincount(labels[self.known(labels)], minlength=self.channels)

    def weighted(self, class_weights: npt.NDArray[np.float64]) -> Segmentation:
        """See `Task.weighted`."""
        return Segmentation(self.label_map, class_weights)

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """See `Task.loss`."""
        logits = to_target_size(raw, *target.shape[-2:])
        weights = self._class_weights(raw.device)
        total = functional.cross_entropy(
            logits, target.long(), weights, ignore_index=UNLABELLED, reduction="sum"
        )
        return total / self.count(target).clamp(min=1)

    def count(self, target: Tensor) -> Tensor:
        """See `Task.count`."""
        return (target != UNLABELLED).sum()

    def pseudo_loss(self, raw: Tensor, value: Tensor, weight: Tensor) -> Tensor:
        """Cross-entropy against the probabilities."""
        weights = self._class_weights(raw.device)
        loss = functional.cross_entropy(raw, value, weights, reduction="none")
        return weighted_mean(loss, weight)

    def outputs(self, raw: Tensor) -> dict[str, Tensor]:
        """`segmentation`: logits (N, C, h, w)."""
        return {"segmentation": raw}

    def tempered(self, outputs: Mapping[str, Tensor], temperature: float) -> dict[str, Tensor]:
        """See `Task.tempered`."""
        return {"segmentation": outputs["segmentation"] / temperature}

    def confidence(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Probability of the most likely class."""
        return self.value(outputs).amax(dim=1, keepdim=True)

    def predicted(self, prediction: Prediction) -> Labels:
        """See `Task.predicted`."""
        return prediction.mask()

    def metric(self) -> IouMetric:
        """See `Task.metric`."""
        return IouMetric(self.label_map)

    def value(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Class probabilities."""
        return outputs["segmentation"].softmax(dim=1)

    def merged(self, labels: Sequence[PseudoLabel]) -> PseudoLabel:
        """Mean probabilities; the confidence is the largest of them."""
        value = mean([label.value for label in labels])
        return PseudoLabel(value, value.max(axis=2))

    def groups(self, value: Grid) -> npt.NDArray[np.int64]:
        """The predicted class."""
        return np.asarray(value.argmax(axis=2))

    def hardened(self, value: Grid) -> Grid:
        """One for the most likely class, 0 for the others."""
        certain = np.zeros_like(value)
        np.put_along_axis(certain, value.argmax(axis=2)[..., None], 1.0, axis=2)
        return certain

    def certain(self, value: Tensor) -> Tensor:
        """See `hardened`."""
        return torch.zeros_like(value).scatter_(1, value.argmax(dim=1, keepdim=True), 1.0)

    def decoded(self, value: Grid, height: int, width: int) -> Labels:
        """See `Task.decoded`."""
        planes = np.ascontiguousarray(value.transpose(2, 0, 1))
        return upsampled_argmax(planes, (width, height))

    def correct(self, labels: Labels, truth: Labels) -> npt.NDArray[np.bool_]:
        """The class is the true one."""
        right: npt.NDArray[np.bool_] = labels == truth
        return right

    def packed(self, value: Grid) -> dict[str, npt.NDArray[Any]]:
        """The most likely classes (h, w, K) uint8 and their probabilities in 1 / 255."""
        order = np.argsort(-value, axis=2, kind="stable")[..., :STORED_CLASSES].astype(np.uint8)
        chances = np.take_along_axis(value, order.astype(np.int64), axis=2)
        return {"classes": order, "chances": np.rint(chances * 255).astype(np.uint8)}

    def unpacked(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Grid:
        """Probabilities that sum to 1; the classes that were not kept share the rest."""
        order = arrays["classes"].astype(np.int64)
        chances = arrays["chances"].astype(np.float32) / 255
        rest = np.clip(1 - chances.sum(axis=2, keepdims=True), 0, 1)
        others = max(self.channels - order.shape[2], 1)
        value = np.broadcast_to(rest / others, (*order.shape[:2], self.channels)).copy()
        np.put_along_axis(value, order, chances, axis=2)
        return np.asarray(value / value.sum(axis=2, keepdims=True), np.float32)

    def encoder(self) -> LabelEncoder:
        """See `Task.encoder`."""
        return LabelEncoder(self.channels)

    def signal(self, target: Tensor) -> Tensor:
        """(N, 1, H, W) uint8."""
        return target[:, None].to(torch.uint8)

    def picture(self, labels: Labels) -> npt.NDArray[np.uint8]:
        """Painted in the label map's colours."""
        return np.ascontiguousarray(self.label_map.colourise(labels)[..., ::-1])
