"""The arms of the study. They share networks, starting weights and steps; only targets differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import torch
from torch import Tensor

from mtl_training.errors import ConfigError
from mtl_training.toy.functions import COMMON, RARE
from mtl_training.toy.problem import Problems, generator
from mtl_training.toy.settings import ToySettings
from mtl_training.toy.train import Lessons, Parameters, fit, join, predict, start

Advance = Callable[[], None]

NOISE, STUDENT, CHOICE, TEACHER = range(1, 5)
"""Purposes of random numbers, see `generator`. `TEACHER` + 2 m + task is member m's."""


class Sees(StrEnum):
    """What a teacher is given."""

    OTHER = "other"
    """The input and the other task's label: the multi-modal teacher."""
    INPUT = "input"
    """The input alone: the control, of equal size."""


class Rank(StrEnum):
    """By what a part of the pseudo-labels is chosen."""

    CONFIDENCE = "confidence"
    RANDOM = "random"


@dataclass(frozen=True)
class Pseudo:
    """What teachers say where the other task is labelled and this one is not.

    Attributes:
        values: (S, N, 2) float32, NaN elsewhere; of the ensemble's first member.
        spread: (S, N, 2) float32, the ensemble's standard deviation: small = confident.
    """

    values: Tensor
    spread: Tensor


@dataclass(frozen=True)
class Use:
    """How a student uses pseudo-labels.

    Attributes:
        sees: Which teacher's.
        weight: What one counts beside a label.
        noise: Standard deviation of noise added to them.
        keep: Share of them that is kept, per seed and task.
        rank: Which.
    """

    sees: Sees = Sees.OTHER
    weight: float = 1.0
    noise: float = 0.0
    keep: float = 1.0
    rank: Rank = Rank.CONFIDENCE

    def __post_init__(self) -> None:
        """Refuse shares and weights that mean nothing."""
        if not 0 <= self.keep <= 1 or self.weight < 0 or self.noise < 0:
            raise ConfigError(f"keep in [0, 1], weight and noise not negative expected, got {self}")


def single_task(problems: Problems, task: int) -> Lessons:
    """Labels of one task; the network's other output is idle."""
    alone = torch.zeros(2)
    alone[task] = 1
    both = multi_task(problems)
    return replace(both, weights=both.weights * alone)


def multi_task(problems: Problems) -> Lessons:
    """All labels there are, the rest masked."""
    return Lessons(problems.x, problems.labels.nan_to_num(), problems.labelled.float())


def teacher_student(problems: Problems, pseudo: Pseudo, use: Use, settings: ToySettings) -> Lessons:
    """All labels there are, and pseudo-labels beside them."""
    base = multi_task(problems)
    used = kept(problems, pseudo, use, settings)
    noisy = pseudo.values + use.noise * _normal(problems, settings)
    return replace(
        base,
        targets=torch.where(used, noisy, base.targets),
        weights=base.weights + use.weight * used,
    )


def fully_labelled(problems: Problems, truth: Tensor) -> Lessons:
    """The noise-free truth of both tasks wherever there is a label: what the network allows."""
    labelled = problems.labelled.any(-1, keepdim=True)
    return Lessons(problems.x, truth, labelled.expand_as(truth).float())


def train_students(
    problems: Problems, arms: Mapping[str, Lessons], settings: ToySettings, advance: Advance
) -> dict[str, Parameters]:
    """Train the students of all arms and seeds at once; arms share a seed's starting weights."""
    generators = [generator(settings, seed, STUDENT) for seed in problems.seeds]
    first = start(generators, settings, inputs=1, outputs=2)
    starts = [(w.repeat(len(arms), 1, 1), b.repeat(len(arms), 1, 1)) for w, b in first]
    trained = fit(starts, join(list(arms.values())), settings.student, advance)
    layers = [(w.chunk(len(arms)), b.chunk(len(arms))) for w, b in trained]
    return {name: [(w[i], b[i]) for w, b in layers] for i, name in enumerate(arms)}


def teach(
    problems: Problems, sees: Sees, settings: ToySettings, members: int, advance: Advance
) -> Pseudo:
    """Train teachers on the labels there are and let them write pseudo-labels.

    Each task has a network of its own with one output; its own label is not among its inputs, so
    that no prediction can see what it predicts. The control sees what a student sees and is trained
    by the students' schedule, which suits it better than the multi-modal teachers'.
    """
    jobs = [(member, task) for member in range(members) for task in (RARE, COMMON)]
    generators = [
        generator(settings, seed, TEACHER + 2 * member + task)
        for member, task in jobs
        for seed in problems.seeds
    ]
    lessons = join([_teacher_lessons(problems, task, sees) for _, task in jobs])
    first = start(generators, settings, inputs=2, outputs=1)
    schedule = {Sees.OTHER: settings.teacher, Sees.INPUT: settings.student}[sees]
    trained = fit(first, lessons, schedule, advance)
    said = predict(trained, lessons.x).reshape(members, 2, *problems.x.shape[:2])
    said = said.permute(0, 2, 3, 1)
    wanted = problems.labelled.flip(-1) & ~problems.labelled
    values = torch.where(wanted, said[0], torch.nan)
    return Pseudo(values, said.std(0, correction=0))


def _teacher_lessons(problems: Problems, task: int, sees: Sees) -> Lessons:
    inputs = teacher_inputs(problems, task, sees)
    usable = problems.labelled[..., [task]]
    if sees is Sees.OTHER:
        usable = usable & problems.labelled[..., [1 - task]]
    return Lessons(inputs, problems.labels[..., [task]].nan_to_num(), usable.float())


def teacher_inputs(problems: Problems, task: int, sees: Sees) -> Tensor:
    """(S, N, 2): the input, and the other task's label or 0 for the control."""
    other = problems.labels[..., [1 - task]].nan_to_num()
    shown = other if sees is Sees.OTHER else torch.zeros_like(other)
    return torch.cat([problems.x, shown], dim=-1)


def kept(problems: Problems, pseudo: Pseudo, use: Use, settings: ToySettings) -> Tensor:
    """(S, N, 2) bool: the pseudo-labels that are used."""
    there = ~torch.isnan(pseudo.values)
    score = {Rank.CONFIDENCE: pseudo.spread, Rank.RANDOM: _uniform(problems, settings)}[use.rank]
    places = torch.where(there, score, torch.inf).argsort(1).argsort(1)
    return there & (places < (use.keep * there.sum(1, keepdim=True)).round())


def _normal(problems: Problems, settings: ToySettings) -> Tensor:
    shape = problems.labels.shape[1:]
    drawn = [generator(settings, s, NOISE).standard_normal(shape) for s in problems.seeds]
    return torch.stack([torch.from_numpy(one).float() for one in drawn])


def _uniform(problems: Problems, settings: ToySettings) -> Tensor:
    shape = problems.labels.shape[1:]
    drawn = [generator(settings, s, CHOICE).random(shape) for s in problems.seeds]
    return torch.stack([torch.from_numpy(one).float() for one in drawn])
