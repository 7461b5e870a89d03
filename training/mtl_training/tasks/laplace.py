"""Regression with its own uncertainty: a Laplace distribution whose scale is predicted.

Source: Kendall and Gal, "What Uncertainties Do We Need", NeurIPS 2017.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

LOG_SCALE_RANGE = (-4.0, 1.0)
"""Clamp of the log-scale: below it one exact pixel could dominate the loss."""


def log_scale(raw: Tensor, channel: int) -> Tensor:
    """The log-scale (N, 1, h, w) that one channel of a head says."""
    return raw[:, channel : channel + 1].clamp(*LOG_SCALE_RANGE)


def nll(error: Tensor, scale: Tensor) -> Tensor:
    """Negative log-likelihood of absolute errors under log-scales of the same shape, less log 2."""
    return error * torch.exp(-scale) + scale


def distilled(error: Tensor, scale: Tensor, chance: Tensor, limit: float) -> Tensor:
    """The likelihood of errors against answers that are uncertain themselves.

    The scale learns the answer's own expected error and the distance to it: that distance alone
    would teach it to be surer than the one it learns from.

    Args:
        error: Absolute errors against the answers.
        scale: Predicted log-scales.
        chance: Probability, as `chance_below` gives it, that an answer is off by less than a limit.
        limit: That limit.
    """
    expected = -limit / torch.log1p(-chance.clamp(1e-3, 1 - 1e-3))
    return error * torch.exp(-scale.detach()) + nll(error.detach() + expected, scale)


def chance_below(limit: float, scale: Tensor) -> Tensor:
    """Probability that the absolute error is below a limit, under a log-scale."""
    return 1 - torch.exp(-limit * torch.exp(-scale))


def tempered(
    outputs: Mapping[str, Tensor], log_scale_name: str, temperature: float
) -> dict[str, Tensor]:
    """A task's outputs with the Laplace scale, whose logarithm bears that name, multiplied."""
    scale = outputs[log_scale_name] + math.log(temperature)
    return {**outputs, log_scale_name: scale.clamp(*LOG_SCALE_RANGE)}
