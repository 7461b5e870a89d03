"""Drawn problems: inputs, and labels where there are any. Leading axis: the seeds, side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mtl_training.toy.functions import COMMON, PAIRS, RARE
from mtl_training.toy.settings import ToySettings

TEST_INPUTS = 512


@dataclass(frozen=True)
class Problems:
    """What training may see, of S seeds with N inputs each.

    Attributes:
        seeds: (S,) numbers of the seeds, from which starting weights derive.
        x: (S, N, 1) float32 inputs in [-1, 1].
        labels: (S, N, 2) float32 noisy values in the order of `TASKS`, NaN = no label.
    """

    seeds: tuple[int, ...]
    x: Tensor
    labels: Tensor

    @property
    def labelled(self) -> Tensor:
        """(S, N, 2) bool: where there is a label."""
        return ~torch.isnan(self.labels)


@dataclass(frozen=True)
class Truth:
    """What only the evaluation sees.

    Attributes:
        at_inputs: (S, N, 2) float32 noise-free values at the training inputs.
        test_x: (1, M, 1) float32, evenly spaced over [-1, 1].
        at_test: (1, M, 2) float32 noise-free values there.
    """

    at_inputs: Tensor
    test_x: Tensor
    at_test: Tensor


def draw(pair: str, settings: ToySettings, seeds: Iterable[int]) -> tuple[Problems, Truth]:
    """Draw one problem for each seed; a seed's problem does not depend on the other seeds.

    Inputs come independently from the uniform distribution, so it does not matter that the label
    states stand in blocks: both, rare only, common only, none.
    """
    chosen = tuple(seeds)
    drawn = [_draw_one(pair, settings, seed) for seed in chosen]
    x, clean, noise = (np.stack(part) for part in zip(*drawn, strict=True))
    labels = np.where(_states(settings), clean + noise, np.nan)
    grid = np.linspace(-1, 1, TEST_INPUTS)
    at_test = PAIRS[pair].truth(grid, settings.coupling)
    problems = Problems(chosen, _tensor(x[..., None]), _tensor(labels))
    return problems, Truth(_tensor(clean), _tensor(grid[None, :, None]), _tensor(at_test[None]))


def generator(settings: ToySettings, seed: int, purpose: int) -> np.random.Generator:
    """The random numbers of one seed for one purpose, independent of all others."""
    return np.random.default_rng([settings.seed, seed, purpose])


def _draw_one(
    pair: str, settings: ToySettings, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = generator(settings, seed, 0)
    x = rng.uniform(-1, 1, settings.inputs)
    clean = PAIRS[pair].truth(x, settings.coupling)
    return x, clean, settings.noise * rng.standard_normal(clean.shape)


def _states(settings: ToySettings) -> np.ndarray:
    """(N, 2) bool: which inputs have which labels."""
    states = np.zeros((settings.inputs, 2), dtype=bool)
    end = settings.both + settings.rare_only
    states[:end, RARE] = True
    states[: settings.both, COMMON] = True
    states[end : end + settings.common_only, COMMON] = True
    return states


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
