"""What is measured: one main study for each pair of functions, and sweeps on the first pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mtl_training.toy import arms
from mtl_training.toy.arms import Advance, Pseudo, Rank, Sees, Use
from mtl_training.toy.functions import COMMON, RARE, TASKS
from mtl_training.toy.problem import Problems, Truth, draw
from mtl_training.toy.settings import ToySettings
from mtl_training.toy.train import Lessons, Parameters, predict

SINGLE, MULTI, TEACHER_STUDENT = "single_task", "multi_task", "teacher_student"
CONTROL, CEILING = "input_only_teacher_student", "fully_labelled"

SHARES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Of the label sweep: multiples of the inputs that have both labels."""
NOISES = (0.0, 0.5, 1.0, 2.0)
WEIGHTS = (0.1, 0.3, 1.0, 3.0, 10.0)
KEEPS = (0.1, 0.25, 0.5, 0.75, 1.0)
COUPLINGS = (0.0, 0.5, 0.8, 0.95, 1.0)
DECAYS = (0.0, 0.1, 0.3, 1.0)


@dataclass(frozen=True)
class Point:
    """A set of arms that is trained at once, on the same problems.

    Attributes:
        name: Unique in a plan; names its file.
        pair: Key of `PAIRS`.
        settings: Of the run, with what this point varies.
        seeds: How many, from 0.
        uses: Arms that use pseudo-labels.
        others: Arms that do not.
        members: Teachers in an ensemble.
    """

    name: str
    pair: str
    settings: ToySettings
    seeds: int
    uses: Mapping[str, Use] = field(default_factory=lambda: {TEACHER_STUDENT: Use()})
    others: tuple[str, ...] = (MULTI,)
    members: int = 1

    @property
    def steps(self) -> int:
        """Optimiser steps, those of each kind of teacher and those of all students."""
        return self.settings.steps * (1 + len(self.teachers))

    @property
    def teachers(self) -> list[Sees]:
        """The kinds of teacher that its arms need."""
        return [sees for sees in Sees if any(use.sees is sees for use in self.uses.values())]


@dataclass(frozen=True)
class Outcome:
    """What a point found; lists, so that it is what its JSON file is.

    Attributes:
        errors: By arm, (S, 2) mean squared error against the noise-free truth over [-1, 1].
        pseudo_errors: By arm, (S, 2) the same of the pseudo-labels that it used, before noise is
            added; None where a seed has none.
        example: Of the first seed: `x`, `truth`, `labels` (None = none) and each arm's answer.
    """

    errors: dict[str, list[list[float]]]
    pseudo_errors: dict[str, list[list[float | None]]]
    example: dict[str, list[list[float | None]]]


def plan(settings: ToySettings) -> list[Point]:
    """All points of a run, the main studies first."""
    main = [main_point(settings, pair) for pair in settings.pairs]
    if not settings.sweep_seeds:
        return main
    return [
        *main,
        *label_points(settings),
        *coupling_points(settings),
        *decay_points(settings),
        weight_point(settings),
        keep_point(settings),
    ]


def main_point(settings: ToySettings, pair: str) -> Point:
    """The arms and their control on one pair."""
    uses = {TEACHER_STUDENT: Use(), CONTROL: Use(sees=Sees.INPUT)}
    others = (SINGLE, MULTI, CEILING)
    return Point(f"main-{pair}", pair, settings, settings.seeds, uses, others)


def label_points(settings: ToySettings) -> list[Point]:
    """Fewer and more labels of the rare task, each with noise in the pseudo-labels.

    The number of common labels and the inputs stay: inputs only move between label states.
    """
    common = settings.both + settings.common_only
    counts = sorted({max(1, round(share * settings.both)) for share in SHARES})
    uses = {noise_arm(noise): Use(noise=noise) for noise in NOISES}
    varied = [replace(settings, both=n, common_only=common - n) for n in counts if n < common]
    points = [_sweep_point(f"labels-{one.both}", one, uses) for one in varied]
    return [replace(point, others=(SINGLE, MULTI)) for point in points]


def coupling_points(settings: ToySettings) -> list[Point]:
    """From functions that have nothing in common to the pair itself."""
    return [
        _sweep_point(f"coupling-{value:g}", replace(settings, coupling=value))
        for value in COUPLINGS
    ]


def decay_points(settings: ToySettings) -> list[Point]:
    """Other weight decays, for all arms alike: is the baseline only badly regularised?"""
    decays = sorted({*DECAYS, settings.student_decay})
    return [
        _sweep_point(f"decay-{value:g}", replace(settings, student_decay=value)) for value in decays
    ]


def weight_point(settings: ToySettings) -> Point:
    """What a pseudo-label counts, where it is good and where it is noisy."""
    uses = {
        weight_arm(weight, noise): Use(weight=weight, noise=noise)
        for weight in WEIGHTS
        for noise in (0.0, 1.0)
    }
    return _sweep_point("weight", settings, uses)


def keep_point(settings: ToySettings) -> Point:
    """Quality against quantity: the most confident part, and as many at random."""
    uses = {keep_arm(keep, rank): Use(keep=keep, rank=rank) for keep in KEEPS for rank in Rank}
    return replace(_sweep_point("keep", settings, uses), members=settings.ensemble)


def noise_arm(noise: float) -> str:
    """Name of an arm of `label_points`."""
    return f"{TEACHER_STUDENT} noise {noise:g}"


def weight_arm(weight: float, noise: float) -> str:
    """Name of an arm of `weight_point`."""
    return f"{TEACHER_STUDENT} weight {weight:g} noise {noise:g}"


def keep_arm(keep: float, rank: Rank) -> str:
    """Name of an arm of `keep_point`."""
    return f"{TEACHER_STUDENT} keep {keep:g} by {rank}"


def _sweep_point(name: str, settings: ToySettings, uses: Mapping[str, Use] | None = None) -> Point:
    chosen = {TEACHER_STUDENT: Use()} if uses is None else uses
    return Point(name, settings.pairs[0], settings, settings.sweep_seeds, chosen)


def measure(point: Point, advance: Advance = lambda: None) -> Outcome:
    """Draw, teach, train and evaluate one point.

    Args:
        point: Which.
        advance: Called after each optimiser step.
    """
    settings = point.settings
    problems, truth = draw(point.pair, settings, range(point.seeds))
    teachers = {
        sees: arms.teach(problems, sees, settings, point.members, advance)
        for sees in point.teachers
    }
    lessons = _lessons(point, problems, truth, teachers)
    trained = arms.train_students(problems, lessons, settings, advance)
    answers = _answers(trained, truth.test_x)
    return Outcome(
        errors={name: _mse(said, truth.at_test) for name, said in answers.items()},
        pseudo_errors=_pseudo_errors(point, problems, truth, teachers),
        example=_example(problems, truth, answers),
    )


def _lessons(
    point: Point, problems: Problems, truth: Truth, teachers: Mapping[Sees, Pseudo]
) -> dict[str, Lessons]:
    makers = {
        SINGLE: lambda: {
            f"{SINGLE} {TASKS[task]}": arms.single_task(problems, task) for task in (RARE, COMMON)
        },
        MULTI: lambda: {MULTI: arms.multi_task(problems)},
        CEILING: lambda: {CEILING: arms.fully_labelled(problems, truth.at_inputs)},
    }
    plain = [makers[name]() for name in point.others]
    taught = {
        name: arms.teacher_student(problems, teachers[use.sees], use, point.settings)
        for name, use in point.uses.items()
    }
    return {name: lessons for part in (*plain, taught) for name, lessons in part.items()}


def _answers(trained: Mapping[str, Parameters], x: Tensor) -> dict[str, Tensor]:
    """(S, M, 2) of each arm; the two single-task networks make one arm."""
    said = {name: predict(parameters, x) for name, parameters in trained.items()}
    names = [f"{SINGLE} {name}" for name in TASKS]
    if not said.keys() >= set(names):
        return said
    alone = [said.pop(name)[..., task] for task, name in enumerate(names)]
    return {SINGLE: torch.stack(alone, dim=-1), **said}


def _mse(said: Tensor, truth: Tensor) -> list[list[float]]:
    found: list[list[float]] = (said.double() - truth.double()).square().mean(1).tolist()
    return found


def _pseudo_errors(
    point: Point, problems: Problems, truth: Truth, teachers: Mapping[Sees, Pseudo]
) -> dict[str, list[list[float | None]]]:
    found = {}
    for name, use in point.uses.items():
        kept = arms.kept(problems, teachers[use.sees], use, point.settings)
        wrong = torch.where(kept, teachers[use.sees].values - truth.at_inputs, torch.nan)
        found[name] = _plain(wrong.square().nanmean(1))
    return found


def _example(
    problems: Problems, truth: Truth, answers: Mapping[str, Tensor]
) -> dict[str, list[list[float | None]]]:
    thin = slice(None, None, 2)
    return {
        "train_x": _plain(problems.x[0]),
        "labels": _plain(problems.labels[0]),
        "x": _plain(truth.test_x[0, thin]),
        "truth": _plain(truth.at_test[0, thin]),
        **{name: _plain(said[0, thin]) for name, said in answers.items()},
    }


def _plain(values: Tensor) -> list[list[float | None]]:
    """Rows of numbers as JSON has them: NaN becomes None."""
    return [[None if v != v else round(v, 6) for v in row] for row in values.tolist()]
