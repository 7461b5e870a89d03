"""Monocular depth at one canonical focal length, with its own uncertainty."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mtl_core.card import DepthSpec
from mtl_training.tasks.base import to_target_size

LOG_SCALE_RANGE = (-4.0, 1.0)
"""Clamp of the Laplace log-scale: below it one exact pixel could dominate the loss."""


class Depth:
    """Laplace negative log-likelihood in log depth; target (N, H, W) float32 metres, NaN = none.

    Channel 0 is the depth's place in the range, ``log z = log min + sigmoid(d) log(max / min)``:
    bounded, so that no infinity ever reaches a later resize. Channel 1 is the log-scale
    (Kendall and Gal, NeurIPS 2017).
    """

    name = "depth"
    channels = 2

    def __init__(self, spec: DepthSpec) -> None:
        """The range, and the focal length at which targets are given."""
        self._log_min = math.log(spec.min_m)
        self._log_span = math.log(spec.max_m / spec.min_m)

    def _decode(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Log depth and log-scale, each (N, 1, h, w)."""
        log_depth = self._log_min + torch.sigmoid(raw[:, :1]) * self._log_span
        return log_depth, raw[:, 1:].clamp(*LOG_SCALE_RANGE)

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """See `Task.loss`."""
        known = torch.isfinite(target) & (target > 0)
        log_depth, log_scale = self._decode(to_target_size(raw, target))
        log_truth = torch.log(torch.where(known, target, 1.0))
        error = (log_depth[:, 0] - log_truth).abs()
        nll = error * torch.exp(-log_scale[:, 0]) + log_scale[:, 0]
        return (nll * known).sum() / known.sum().clamp(min=1)

    def outputs(self, raw: Tensor) -> dict[str, Tensor]:
        """`depth`: metres (N, 1, h, w); `depth_log_scale`: of the Laplace in log depth."""
        log_depth, log_scale = self._decode(raw)
        return {"depth": torch.exp(log_depth), "depth_log_scale": log_scale}
