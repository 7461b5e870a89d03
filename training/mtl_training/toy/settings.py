"""Everything that a run of the toy depends on, in one frozen record."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from mtl_training.errors import ConfigError
from mtl_training.toy.functions import PAIRS

LEAST = {
    "seeds": 2,
    "seed": 0,
    "both": 1,
    "rare_only": 0,
    "common_only": 1,
    "unlabelled": 0,
    "noise": 0,
    "coupling": 0,
    "width": 1,
    "hidden_layers": 1,
    "steps": 1,
    "student_decay": 0,
    "teacher_decay": 0,
    "ensemble": 2,
}
"""Least value of each setting."""


@dataclass(frozen=True)
class Schedule:
    """How a set of networks is trained: AdamW on whole sets, its rate along a half cosine to 0."""

    steps: int
    rate: float
    decay: float


@dataclass(frozen=True)
class ToySettings:
    """How the problems are drawn and how every network, teacher or student, is trained.

    Attributes:
        seeds: Repetitions of the main study: data, label states, noise and starting weights.
        sweep_seeds: Repetitions of each point of a sweep, the first of these; 0 = no sweeps.
        seed: From which all of them derive.
        pairs: Keys of `PAIRS`; the main study runs on each, the sweeps on the first.
        both: Inputs that have both labels. The label sweep takes multiples of it.
        rare_only: Inputs with a label of the rare task only.
        common_only: Inputs with a label of the common task only.
        unlabelled: Inputs with neither.
        noise: Standard deviation of the labels' noise; the functions' own is 1.
        coupling: See `CoupledPair.truth`.
        width: Units of each hidden layer.
        hidden_layers: Their number.
        steps: Optimiser steps on the whole set, of every network.
        student_rate: AdamW's peak learning rate, falling to zero along a half cosine, of students.
        student_decay: Their weight decay.
        teacher_rate: Of multi-modal teachers, likewise.
        teacher_decay: Of these, likewise.
        ensemble: Teachers whose spread is the confidence; the first alone writes pseudo-labels.
    """

    seeds: int = 32
    sweep_seeds: int = 12
    seed: int = 0
    pairs: tuple[str, ...] = ("quadratic", "exponential")
    both: int = 16
    rare_only: int = 4
    common_only: int = 140
    unlabelled: int = 40
    noise: float = 0.05
    coupling: float = 1.0
    width: int = 48
    hidden_layers: int = 2
    steps: int = 2000
    student_rate: float = 0.02
    student_decay: float = 0.03
    teacher_rate: float = 0.01
    teacher_decay: float = 1.0
    ensemble: int = 4

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn or trained."""
        for name, least in LEAST.items():
            if not getattr(self, name) >= least:
                raise ConfigError(f"{name} must be {least} or more, got {getattr(self, name)}")
        if not min(self.student_rate, self.teacher_rate) > 0:
            raise ConfigError(
                f"rates must be positive, got {self.student_rate} and {self.teacher_rate}"
            )
        if self.coupling > 1:
            raise ConfigError(f"coupling must be 1 or less, got {self.coupling}")
        if self.sweep_seeds not in (0, *range(2, self.seeds + 1)):
            raise ConfigError(
                f"sweep_seeds must be 0 or from 2 to seeds, got {self.sweep_seeds} of {self.seeds}"
            )
        if not self.pairs or set(self.pairs) - PAIRS.keys():
            raise ConfigError(f"pairs must be of {', '.join(PAIRS)}, got {self.pairs}")

    @property
    def student(self) -> Schedule:
        """How students are trained, in all arms."""
        return Schedule(self.steps, self.student_rate, self.student_decay)

    @property
    def teacher(self) -> Schedule:
        """How multi-modal teachers are trained."""
        return Schedule(self.steps, self.teacher_rate, self.teacher_decay)

    @property
    def inputs(self) -> int:
        """Inputs of one problem, labelled or not."""
        return self.both + self.rare_only + self.common_only + self.unlabelled

    def fields(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {**dataclasses.asdict(self), "pairs": list(self.pairs)}
