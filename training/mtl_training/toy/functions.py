"""Pairs of functions of one input that share a hidden structure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mtl_training.errors import ConfigError

Array = npt.NDArray[np.float64]

TASKS = ("rare", "common")
"""What the last axis of every label, prediction and error stands for."""

RARE, COMMON = range(len(TASKS))

GRID: Array = np.linspace(-1.0, 1.0, 2001)
"""Where a function's mean and standard deviation are taken."""


@dataclass(frozen=True)
class CoupledPair:
    """Two functions on [-1, 1]; given `common`, `rare` is simple, from the input alone it is not.

    Attributes:
        name: Key in `PAIRS`.
        formula: The two functions, for a reader.
        common: y2(x), the task with many labels.
        rare: y1(x, y2), the task with few.
        stranger: A function of x alone that replaces `rare` where the coupling is weak. It is the
            easier of the two, so a sweep over coupling compares arms, not couplings.
    """

    name: str
    formula: str
    common: Callable[[Array], Array] = field(repr=False)
    rare: Callable[[Array, Array], Array] = field(repr=False)
    stranger: Callable[[Array], Array] = field(repr=False)

    def truth(self, x: Array, coupling: float = 1.0) -> Array:
        """Both functions without noise, each with mean 0 and standard deviation 1 over [-1, 1].

        Args:
            x: (...) inputs in [-1, 1].
            coupling: Share in [0, 1] of `rare` that follows from `common`; the rest is `stranger`.

        Returns:
            (..., 2) values in the order of `TASKS`.
        """
        if not 0 <= coupling <= 1:
            raise ConfigError(f"coupling must be in [0, 1], got {coupling}")

        def mixed(at: Array) -> Array:
            bound = _standard(lambda v: self.rare(v, self.common(v)), at)
            own = _standard(self.stranger, at)
            both: Array = coupling * bound + np.sqrt(1 - coupling**2) * own
            return both

        return np.stack([_standard(mixed, x), _standard(self.common, x)], axis=-1)


def _standard(function: Callable[[Array], Array], x: Array) -> Array:
    everywhere = function(GRID)
    scaled: Array = (function(x) - everywhere.mean()) / everywhere.std()
    return scaled


def _tones(x: Array) -> Array:
    return np.sin(6 * x) + np.cos(11 * x) / 2


PAIRS = {
    pair.name: pair
    for pair in (
        CoupledPair(
            name="quadratic",
            formula="y2 = sin(4 pi x) + x / 2;  y1 = y2^2 - x y2",
            common=lambda x: np.sin(4 * np.pi * x) + x / 2,
            rare=lambda x, y2: y2**2 - x * y2,
            stranger=lambda x: np.sin(13 * x + 1),
        ),
        CoupledPair(
            name="exponential",
            formula="y2 = sin(6 x) + cos(11 x) / 2 + x^2 / 2;  y1 = (1 + x / 2) exp(y2 - x^2 / 2)",
            common=lambda x: _tones(x) + x**2 / 2,
            rare=lambda x, y2: (1 + x / 2) * np.exp(y2 - x**2 / 2),
            stranger=lambda x: np.cos(12 * x - 1),
        ),
    )
}
"""Fixed before anything was trained. The first is the study's, the second asks whether
the sign holds elsewhere."""
