"""Surface normals with their own uncertainty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as functional
from torch import Tensor

from mtl_core.metrics import AngularErrors
from mtl_core.prediction import Prediction
from mtl_training.data.sample import PseudoLabel
from mtl_training.tasks import laplace
from mtl_training.tasks.base import (
    Grid,
    Labels,
    SignalEncoder,
    Task,
    to_target_size,
    weighted_mean,
)

RIGHT_DEGREES = 30.0
"""A normal is right within this angle of the truth."""

_RIGHT_CHORD = 2 * math.sin(math.radians(RIGHT_DEGREES) / 2)


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: npt.NDArray[np.float32] = (vectors / np.maximum(length, 1e-6)).astype(np.float32)
    return unit


class NormalsMetric(AngularErrors):
    """Mean angle in degrees, and the shares within 11.25, 22.5 and 30 degrees."""

    def figures(self) -> dict[str, Any]:
        """`angle` in degrees, `within_11`, `within_22`, `within_30`."""
        shares = dict(zip(("within_11", "within_22", "within_30"), self.within(), strict=True))
        return {"angle": self.mean_degrees(), **shares}


class NormalsEncoder(SignalEncoder):
    """The three components, and a plane that says where they are known."""

    input_name = "normals"
    channels = 4
    none = 0.0
    values = 3

    def forward(self, signal: Tensor) -> Tensor:
        """(N, 3, H, W) unit vectors, (0, 0, 0) = none, to (N, 4, H, W)."""
        return torch.cat([signal, self.present(signal).to(signal.dtype)], dim=1)


class Normals(Task):
    """Laplace likelihood of the chord; labels (H, W, 3) float32 unit vectors, NaN = none.

    Vectors stand in the camera's optical frame and face the camera (z < 0). Channels 0 to 2 are
    the vector, channel 3 the log-scale of the chord between it and the truth, which is the angle in
    radians where that is small, and has a gradient everywhere.
    """

    name = "normals"
    channels = 4
    origin = "depth"
    fills_holes = True
    likelihood = True
    figures: ClassVar[Mapping[str, int]] = {"angle": -1, "within_30": +1}

    def absent(self, height: int, width: int) -> Labels:
        """See `Task.absent`."""
        return np.full((height, width, 3), np.nan, np.float32)

    def known(self, labels: Labels) -> npt.NDArray[np.bool_]:
        """See `Task.known`."""
        return np.asarray(np.isfinite(labels).all(axis=2))

    def mirrored(self, labels: Labels) -> Labels:
        """In the mirror x points the other way."""
        return super().mirrored(labels) * np.array([-1, 1, 1], np.float32)

    def rolled(self, labels: Labels, degrees: float) -> Labels:
        """The vectors turn about the optical axis, with the image."""
        turn = math.radians(degrees)
        cos, sin = math.cos(turn), math.sin(turn)
        matrix = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], np.float32)
        return np.asarray(labels @ matrix.T)

    def _decode(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        return functional.normalize(raw[:, :3], dim=1, eps=1e-6), laplace.log_scale(raw, 3)

    def _chord(self, raw: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Distance between predicted and true vectors, and its log-scale, each (N, h, w)."""
        normals, scale = self._decode(raw)
        return torch.sqrt(((normals - truth) ** 2).sum(dim=1) + 1e-8), scale[:, 0]

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """See `Task.loss`."""
        known = torch.isfinite(target).all(dim=3)
        truth = torch.nan_to_num(target, nan=0.0).permute(0, 3, 1, 2)
        resized = to_target_size(raw, *known.shape[-2:])
        return weighted_mean(laplace.nll(*self._chord(resized, truth)), known.to(raw.dtype))

    def count(self, target: Tensor) -> Tensor:
        """See `Task.count`."""
        return torch.isfinite(target).all(dim=3).sum()

    def pseudo_loss(self, raw: Tensor, value: Tensor, weight: Tensor) -> Tensor:
        """See `Task.pseudo_loss`."""
        chord, scale = self._chord(raw, value)
        return weighted_mean(laplace.distilled(chord, scale, weight, _RIGHT_CHORD), weight)

    def outputs(self, raw: Tensor) -> dict[str, Tensor]:
        """`normals`: unit vectors (N, 3, h, w); `normals_log_scale`: of the chord (N, 1, h, w)."""
        normals, scale = self._decode(raw)
        return {"normals": normals, "normals_log_scale": scale}

    def tempered(self, outputs: Mapping[str, Tensor], temperature: float) -> dict[str, Tensor]:
        """See `Task.tempered`."""
        return laplace.tempered(outputs, "normals_log_scale", temperature)

    def confidence(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Probability that the angle to the truth is below 30 degrees."""
        return laplace.chance_below(_RIGHT_CHORD, outputs["normals_log_scale"])

    def predicted(self, prediction: Prediction) -> Labels:
        """See `Task.predicted`."""
        return _unit(prediction.resized("normals"))

    def metric(self) -> NormalsMetric:
        """See `Task.metric`."""
        return NormalsMetric()

    def value(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Unit vectors."""
        return outputs["normals"]

    def merged(self, labels: Sequence[PseudoLabel]) -> PseudoLabel:
        """The mean direction, mean confidence."""
        label = super().merged(labels)
        return PseudoLabel(_unit(label.value), label.confidence)

    def decoded(self, value: Grid, height: int, width: int) -> Labels:
        """See `Task.decoded`."""
        return _unit(super().decoded(value, height, width))

    def correct(self, labels: Labels, truth: Labels) -> npt.NDArray[np.bool_]:
        """The angle to the truth is below 30 degrees."""
        cosine = (labels * truth).sum(axis=-1)
        right: npt.NDArray[np.bool_] = cosine > math.cos(math.radians(RIGHT_DEGREES))
        return right

    def encoder(self) -> NormalsEncoder:
        """See `Task.encoder`."""
        return NormalsEncoder()

    def signal(self, target: Tensor) -> Tensor:
        """(N, 3, H, W) float32, 0 = none."""
        return torch.nan_to_num(target, nan=0.0).permute(0, 3, 1, 2)

    def picture(self, labels: Labels) -> npt.NDArray[np.uint8]:
        """x, y, z as red, green and blue around grey."""
        painted = np.nan_to_num((labels * [1, 1, -1] + 1) / 2) * 255
        return np.ascontiguousarray(painted[..., ::-1].astype(np.uint8))
