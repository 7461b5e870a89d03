"""Monocular depth at one canonical focal length, with its own uncertainty."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as functional
from torch import Tensor

from mtl_core.card import DepthSpec
from mtl_core.draw import colour_depth
from mtl_core.metrics import DepthErrors
from mtl_core.prediction import Prediction
from mtl_training.data.sample import PseudoLabel
from mtl_training.errors import ConfigError
from mtl_training.tasks import laplace
from mtl_training.tasks.base import Labels, SignalEncoder, Task, mean, to_target_size, weighted_mean

RIGHT = 1.25
"""A depth is right within this ratio of the truth: the delta < 1.25 of the field."""


def _laplace(error: Tensor, scale: Tensor, known: Tensor) -> Tensor:
    return laplace.nll(error.abs(), scale)[known].mean()


def _l1(error: Tensor, scale: Tensor, known: Tensor) -> Tensor:
    """L1 in log depth; the scale learns beside it without weighing it."""
    return (error.abs() + laplace.nll(error.detach().abs(), scale))[known].mean()


def _silog(error: Tensor, scale: Tensor, known: Tensor) -> Tensor:
    """Scale-invariant error (Eigen et al., NeurIPS 2014, lambda 0.85), and the scale's own NLL."""
    e = error[known]
    silog = torch.sqrt((e**2).mean() - 0.85 * e.mean() ** 2 + 1e-6)
    return silog + laplace.nll(error.detach().abs(), scale)[known].mean()


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "laplace": _laplace,
    "l1": _l1,
    "silog": _silog,
}
"""By name: of signed errors in log depth, log-scales and the known pixels, all (N, H, W)."""


def gradient_matching(error: Tensor, known: Tensor, scales: int = 4) -> Tensor:
    """Mean step of the log-depth error between neighbours, over several scales.

    Source: Li and Snavely, "MegaDepth", CVPR 2018.

    Args:
        error: (N, H, W) signed error in log depth.
        known: (N, H, W) bool.
        scales: How many, each of half the size of the one before.
    """
    total = error.new_zeros(())
    for step in (2**k for k in range(scales)):
        e, k = error[:, ::step, ::step], known[:, ::step, ::step]
        for dim in (1, 2):
            n = e.shape[dim] - 1
            both = k.narrow(dim, 1, n) & k.narrow(dim, 0, n)
            jump = (e.narrow(dim, 1, n) - e.narrow(dim, 0, n)).abs()
            total = total + weighted_mean(jump, both.to(e.dtype))
    return total / scales


class DepthMetric(DepthErrors):
    """RMSE and mean absolute error in metres, AbsRel, delta < 1.25."""

    def figures(self) -> dict[str, Any]:
        """`rmse` and `mae` in metres, `absrel`, `delta1`."""
        return {
            "rmse": self.rmse(),
            "absrel": self.absrel(),
            "delta1": self.delta1(),
            "mae": self.mae(),
        }


class DepthEncoder(SignalEncoder):
    """Log depth, centred and scaled over the range, and a plane that says where there is one."""

    input_name = "depth"
    channels = 2
    none = 0.0

    def __init__(self, spec: DepthSpec) -> None:
        super().__init__()
        self._low, high = math.log(spec.min_m), math.log(spec.max_m)
        self._span = high - self._low

    def present(self, signal: Tensor) -> Tensor:
        """Where depth is a positive number."""
        return signal > 0

    def forward(self, signal: Tensor) -> Tensor:
        """(N, 1, H, W) metres at the canonical focal length, 0 = none, to (N, 2, H, W)."""
        present = self.present(signal)
        log_depth = torch.log(torch.where(present, signal, 1.0))
        centred = (log_depth - self._low) / self._span * 2 - 1
        return torch.cat([centred * present, present.to(signal.dtype)], dim=1)


class Depth(Task):
    """Depth in log space; labels (H, W) float32 metres along Z, NaN = none.

    Channel 0 is the depth's place in the range, ``log z = log min + sigmoid(d) log(max / min)``:
    bounded, so that no infinity ever reaches a later resize. Channel 1 is the log-scale of a
    Laplace distribution in log depth.

    Args:
        spec: The range, and the focal length at which targets are given.
        loss: Key of `LOSSES`.
        gradient: Weight of `gradient_matching` beside it.
    """

    name = "depth"
    channels = 2
    origin = "depth"
    fills_holes = True
    power = -1
    likelihood = True
    figures: ClassVar[Mapping[str, int]] = {"rmse": -1, "absrel": -1, "delta1": +1}

    def __init__(self, spec: DepthSpec, loss: str = "laplace", gradient: float = 0.0) -> None:
        if loss not in LOSSES:
            raise ConfigError(f"unknown depth loss {loss!r}, known: {', '.join(LOSSES)}")
        self._spec, self._loss, self._gradient = spec, LOSSES[loss], gradient
        self._log_min = math.log(spec.min_m)
        self._log_span = math.log(spec.max_m / spec.min_m)

    def absent(self, height: int, width: int) -> Labels:
        """See `Task.absent`."""
        return np.full((height, width), np.nan, np.float32)

    def known(self, labels: Labels) -> npt.NDArray[np.bool_]:
        """See `Task.known`."""
        return np.isfinite(labels) & (labels > 0)

    def _decode(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Log depth and log-scale, each (N, 1, h, w)."""
        log_depth = self._log_min + torch.sigmoid(raw[:, :1]) * self._log_span
        return log_depth, laplace.log_scale(raw, 1)

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """See `Task.loss`."""
        known = torch.isfinite(target) & (target > 0)
        if not known.any():
            return raw.sum() * 0.0
        log_depth, scale = self._decode(to_target_size(raw, *target.shape[-2:]))
        error = log_depth[:, 0] - torch.log(torch.where(known, target, 1.0))
        loss = self._loss(error, scale[:, 0], known)
        if self._gradient:
            loss = loss + self._gradient * gradient_matching(error, known)
        return loss

    def pseudo_loss(self, raw: Tensor, value: Tensor, weight: Tensor) -> Tensor:
        """Laplace likelihood in log depth, whatever the loss against truth is."""
        log_depth, scale = self._decode(raw)
        usable = (value > 0) & (weight[:, None] > 0)
        error = (log_depth - torch.log(torch.where(usable, value, 1.0))).abs()
        loss = laplace.distilled(error, scale, weight[:, None], math.log(RIGHT))
        return weighted_mean(loss[:, 0], weight * usable[:, 0])

    def count(self, target: Tensor) -> Tensor:
        """See `Task.count`."""
        return (torch.isfinite(target) & (target > 0)).sum()

    def outputs(self, raw: Tensor) -> dict[str, Tensor]:
        """`depth`: metres; `depth_log_scale`: of the Laplace in log depth; both (N, 1, h, w)."""
        log_depth, scale = self._decode(raw)
        return {"depth": torch.exp(log_depth), "depth_log_scale": scale}

    def tempered(self, outputs: Mapping[str, Tensor], temperature: float) -> dict[str, Tensor]:
        """See `Task.tempered`."""
        return laplace.tempered(outputs, "depth_log_scale", temperature)

    def confidence(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Probability that the ratio to the truth is below 1.25."""
        return laplace.chance_below(math.log(RIGHT), outputs["depth_log_scale"])

    def predicted(self, prediction: Prediction) -> Labels:
        """See `Task.predicted`."""
        return prediction.depth()

    def metric(self) -> DepthMetric:
        """See `Task.metric`."""
        return DepthMetric()

    def value(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Metres."""
        return outputs["depth"]

    def merged(self, labels: Sequence[PseudoLabel]) -> PseudoLabel:
        """Geometric mean depth, mean confidence."""
        logs = mean([np.log(label.value) for label in labels])
        return PseudoLabel(np.exp(logs), mean([label.confidence for label in labels]))

    def correct(self, labels: Labels, truth: Labels) -> npt.NDArray[np.bool_]:
        """The ratio to the truth is below 1.25."""
        right: npt.NDArray[np.bool_] = np.maximum(labels / truth, truth / labels) < RIGHT
        return right

    def encoder(self) -> DepthEncoder:
        """See `Task.encoder`."""
        return DepthEncoder(self._spec)

    def signal(self, target: Tensor) -> Tensor:
        """(N, 1, H, W) float32 metres, 0 = none."""
        return functional.relu(torch.nan_to_num(target, nan=0.0))[:, None]

    def picture(self, labels: Labels) -> npt.NDArray[np.uint8]:
        """Near is bright, unknown is black."""
        return colour_depth(labels, self._spec.max_m)
