"""Inverse depth, for data sets that offer disparity without a camera."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as functional
from torch import Tensor

from mtl_core.draw import colour_depth
from mtl_core.metrics import DepthErrors
from mtl_core.prediction import Prediction
from mtl_training.tasks import laplace
from mtl_training.tasks.base import Labels, Task, to_target_size, weighted_mean
from mtl_training.tasks.depth import RIGHT


class InverseDepthMetric(DepthErrors):
    """Mean absolute and mean relative error, as published for Cityscapes."""

    def figures(self) -> dict[str, Any]:
        """`inverse_abs` in the labels' own unit, `inverse_rel`."""
        return {"inverse_abs": self.mae(), "inverse_rel": self.absrel()}


class InverseDepth(Task):
    """L1 on inverse depth; labels (H, W) float32 above 0 in the data set's own unit, NaN = none.

    Channel 0 is the value through a softplus, channel 1 the log-scale of its logarithm.
    """

    name = "inverse_depth"
    channels = 2
    origin = "depth"
    fills_holes = True
    power = 1
    likelihood = True
    figures: ClassVar[Mapping[str, int]] = {"inverse_abs": -1, "inverse_rel": -1}

    def absent(self, height: int, width: int) -> Labels:
        """See `Task.absent`."""
        return np.full((height, width), np.nan, np.float32)

    def known(self, labels: Labels) -> npt.NDArray[np.bool_]:
        """See `Task.known`."""
        return np.isfinite(labels) & (labels > 0)

    def _decode(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        return functional.softplus(raw[:, :1]) + 1e-6, laplace.log_scale(raw, 1)

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """L1 on the values, and the likelihood of the log-scale beside it."""
        known = torch.isfinite(target) & (target > 0)
        value, scale = self._decode(to_target_size(raw, *target.shape[-2:]))
        truth = torch.where(known, target, 1.0)[:, None]
        loss = (value - truth).abs() + laplace.nll(_in_log(value, truth).detach(), scale)
        return weighted_mean(loss[:, 0], known.to(raw.dtype))

    def count(self, target: Tensor) -> Tensor:
        """See `Task.count`."""
        return (torch.isfinite(target) & (target > 0)).sum()

    def pseudo_loss(self, raw: Tensor, value: Tensor, weight: Tensor) -> Tensor:
        """See `Task.pseudo_loss`."""
        predicted, scale = self._decode(raw)
        in_log = _in_log(predicted, value).detach()
        of_scale = laplace.distilled(in_log, scale, weight[:, None], math.log(RIGHT))
        return weighted_mean(((predicted - value).abs() + of_scale)[:, 0], weight)

    def outputs(self, raw: Tensor) -> dict[str, Tensor]:
        """`inverse_depth` and `inverse_depth_log_scale`, both (N, 1, h, w)."""
        value, scale = self._decode(raw)
        return {"inverse_depth": value, "inverse_depth_log_scale": scale}

    def tempered(self, outputs: Mapping[str, Tensor], temperature: float) -> dict[str, Tensor]:
        """See `Task.tempered`."""
        return laplace.tempered(outputs, "inverse_depth_log_scale", temperature)

    def confidence(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Probability that the ratio to the truth is below 1.25."""
        return laplace.chance_below(math.log(RIGHT), outputs["inverse_depth_log_scale"])

    def predicted(self, prediction: Prediction) -> Labels:
        """For the image's own camera."""
        return self.zoomed(prediction.resized("inverse_depth")[..., 0], 1 / prediction.focal_ratio)

    def metric(self) -> InverseDepthMetric:
        """See `Task.metric`."""
        return InverseDepthMetric()

    def value(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Inverse depth in the labels' unit."""
        return outputs["inverse_depth"]

    def correct(self, labels: Labels, truth: Labels) -> npt.NDArray[np.bool_]:
        """The ratio to the truth is below 1.25."""
        right: npt.NDArray[np.bool_] = np.maximum(labels / truth, truth / labels) < RIGHT
        return right

    def picture(self, labels: Labels) -> npt.NDArray[np.uint8]:
        """Near is bright."""
        return colour_depth(
            (1 / np.maximum(labels, 1e-6)).astype(np.float32), float(1 / np.nanmin(labels))
        )


def _in_log(value: Tensor, truth: Tensor) -> Tensor:
    """Absolute difference of the logarithms."""
    return (torch.log(value) - torch.log(truth.clamp(min=1e-6))).abs()
