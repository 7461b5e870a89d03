"""Many small networks trained at once: their weights are stacked, and no term joins two of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from mtl_training.toy.settings import Schedule, ToySettings

Parameters = list[tuple[Tensor, Tensor]]
"""Of each layer: weights (K, inputs, outputs) and biases (K, 1, outputs) of K networks."""


@dataclass(frozen=True)
class Lessons:
    """What K networks learn.

    Attributes:
        x: (K, N, D) float32 inputs.
        targets: (K, N, T) float32, finite; without effect where the weight is 0.
        weights: (K, N, T) float32, not negative.
    """

    x: Tensor
    targets: Tensor
    weights: Tensor


def join(lessons: Sequence[Lessons]) -> Lessons:
    """Set lessons of the same N, D and T side by side."""
    parts = ([getattr(one, name) for one in lessons] for name in ("x", "targets", "weights"))
    return Lessons(*(torch.cat(part) for part in parts))


def start(
    generators: Sequence[np.random.Generator], settings: ToySettings, inputs: int, outputs: int
) -> Parameters:
    """Starting weights, one network for each generator: uniform in +-1/sqrt(fan-in)."""
    sizes = [inputs, *[settings.width] * settings.hidden_layers, outputs]
    drawn = [[_layer(rng, *size) for size in pairwise(sizes)] for rng in generators]
    return [
        (torch.stack([w for w, _ in layer]), torch.stack([b for _, b in layer]))
        for layer in zip(*drawn, strict=True)
    ]


def _layer(rng: np.random.Generator, fan_in: int, fan_out: int) -> tuple[Tensor, Tensor]:
    bound = 1 / math.sqrt(fan_in)
    values = rng.uniform(-bound, bound, (fan_in + 1, fan_out)).astype(np.float32)
    return torch.from_numpy(values[:-1]), torch.from_numpy(values[-1:])


def predict(parameters: Parameters, x: Tensor) -> Tensor:
    """(K, N, D), or (1, N, D) for all alike, -> (K, N, T)."""
    *hidden, last = parameters
    values = x.expand(last[0].shape[0], -1, -1)
    for weight, bias in hidden:
        values = torch.tanh(torch.baddbmm(bias, values, weight))
    return torch.baddbmm(last[1], values, last[0])


def fit(
    parameters: Parameters,
    lessons: Lessons,
    schedule: Schedule,
    advance: Callable[[], None] = lambda: None,
) -> Parameters:
    """Train every network on its own lesson for `schedule.steps` steps of AdamW.

    A network's loss is the sum over its tasks of the weighted mean of squared errors, so that a
    task with few labels counts as much as one with many, as with a label-balanced sampler.

    Args:
        parameters: Starting weights of K networks; left as they are.
        lessons: Theirs.
        schedule: Steps, learning rate, weight decay.
        advance: Called after each step.
    """
    x, targets, weights = _in_use(lessons)
    share = weights / weights.sum(1, keepdim=True).clamp_min(1e-12)
    trained = [(w.clone().requires_grad_(), b.clone().requires_grad_()) for w, b in parameters]
    flat = [values for layer in trained for values in layer]
    optimizer = torch.optim.AdamW(flat, schedule.rate, weight_decay=schedule.decay, fused=True)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.steps)
    for _ in range(schedule.steps):
        optimizer.zero_grad()
        error = predict(trained, x) - targets
        torch.autograd.backward((share * error.square()).sum())
        optimizer.step()
        cosine.step()
        advance()
    return [(w.detach(), b.detach()) for w, b in trained]


def _in_use(lessons: Lessons) -> tuple[Tensor, Tensor, Tensor]:
    """Without the inputs that no network learns from: they would only cost time."""
    used = lessons.weights.amax((0, 2)) > 0
    return lessons.x[:, used], lessons.targets[:, used], lessons.weights[:, used]
