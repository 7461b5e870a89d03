"""Which task's labels, given to a teacher, improve which other task.

Affinity b -> a is the metric of T(RGB, b) less that of T(RGB) on task a, so turned that positive
means that b helps. T(RGB) is the control of equal size. Both learn all tasks, so that b's labels
teach either of them, and what differs is that b is an input. T(RGB, b) is measured given b's ground
truth, given what it says itself of b from RGB alone, and with b left out.

The leak rule holds: for a pair of the same origin nothing is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from mtl_training.config import IMAGE, TrainConfig
from mtl_training.errors import ConfigError
from mtl_training.evaluate import json_types
from mtl_training.experiments.affinity_report import write_report
from mtl_training.experiments.chain import ProtocolStage, TrainStage
from mtl_training.experiments.design import (
    Recipe,
    Size,
    StudyData,
    check_known,
    check_seeds,
    merged,
    train_fields,
)
from mtl_training.experiments.evaluation import EvaluationStage, Given, figures_in
from mtl_training.experiments.results import Column, columns, estimated, over_images
from mtl_training.experiments.stages import Workshop, open_workshop
from mtl_training.files import write_json
from mtl_training.learning.machine import Machine
from mtl_training.provenance import commit
from mtl_training.settings import Settings, config_fields, parse_config
from mtl_training.tasks.base import Task
from mtl_training.tasks.registry import TaskConfig, build_tasks

SAME_ORIGIN = "same origin"
NO_INPUT = "no input of teachers"


@dataclass(frozen=True)
class Affinity(Settings):
    """What an affinity study is made of.

    Attributes:
        name: For titles.
        seeds: Of training, one repetition each.
        tasks: What all networks learn.
        network: The size of their input.
        data: What on.
        teacher: How they are trained.
        inputs: Tasks to try as an input; none = all.
        resamples: Of the bootstrap over images.
    """

    name: str
    seeds: tuple[int, ...]
    tasks: TaskConfig
    network: Size
    data: StudyData
    teacher: Recipe
    inputs: tuple[str, ...] = ()
    resamples: int = 1000

    def __post_init__(self) -> None:
        """Refuse what refers to nothing."""
        check_seeds(self.seeds)
        check_known("inputs", set(self.inputs), dict.fromkeys(self.tasks.names))

    def network_of(self, given: str, seed: int) -> TrainStage:
        """T(RGB, given); `image` is the control's."""
        base = train_fields("teacher", seed, self.tasks, self.network, self.data, self.teacher)
        fields = merged(base, {"network": {"inputs": [given]}})
        imbalance = self.data.imbalance(seed)
        protocol = ProtocolStage(self.data.train, imbalance) if imbalance else None
        return TrainStage(parse_config(TrainConfig, fields, self.name), protocol, None)

    def evaluation(self, input_name: str, seed: int, given: Given) -> EvaluationStage:
        """What one of the networks says when it is given that."""
        return EvaluationStage(self.network_of(input_name, seed), self.data.test, given)


@dataclass(frozen=True)
class Pair:
    """Whether one task's labels help another.

    Attributes:
        given: The input.
        target: What is predicted.
        excluded: Why nothing is trained for it; "" = it is measured.
    """

    given: Task
    target: Task
    excluded: str


def pairs(affinity: Affinity) -> list[Pair]:
    """All ordered pairs of different tasks."""
    tasks = build_tasks(affinity.tasks)
    inputs = [task for task in tasks if task.name in (affinity.inputs or affinity.tasks.names)]
    return [
        Pair(given, target, _excluded(given, target))
        for given in inputs
        for target in tasks
        if given.name != target.name
    ]


def _excluded(given: Task, target: Task) -> str:
    if given.encoder() is None:
        return NO_INPUT
    return SAME_ORIGIN if given.origin == target.origin else ""


def run(affinity: Affinity, out: Path, machine: Machine) -> dict[str, Any]:
    """Train and measure what is not done yet, and write the report.

    Args:
        affinity: What.
        out: Folder for `affinity.json`, `affinity.md`, `affinity.png` and `stages/`.
        machine: Trains the networks; one device.

    Returns:
        What `affinity.json` holds.

    Raises:
        ConfigError: No pair can be measured, or there are several devices.
        TrainingError: A stage failed; what was done before stays.
    """
    every = pairs(affinity)
    goals = evaluations(affinity, every)
    workshop = open_workshop(out, machine)
    return _made(affinity, every, goals, workshop, out)


def _made(
    affinity: Affinity,
    every: Sequence[Pair],
    goals: Sequence[EvaluationStage],
    workshop: Workshop,
    out: Path,
) -> dict[str, Any]:
    for number, goal in enumerate(goals, start=1):
        if not workshop.done(goal):
            workshop.say(f"{number}/{len(goals)} {goal.label} given {goal.given}")
            workshop.make(goal)
    found = {
        "settings": config_fields(affinity),
        "commit": commit(),
        "pairs": [_measured(affinity, pair, workshop) for pair in every],
    }
    plain: dict[str, Any] = json_types(found)
    write_json(out / "affinity.json", plain)
    write_report(plain, out)
    return plain


def evaluations(affinity: Affinity, every: Sequence[Pair]) -> list[EvaluationStage]:
    """All that must be measured, seed by seed.

    Raises:
        ConfigError: All pairs are excluded.
    """
    inputs = dict.fromkeys(pair.given.name for pair in every if not pair.excluded)
    if not inputs:
        reasons = ", ".join(f"{p.given.name} -> {p.target.name}: {p.excluded}" for p in every)
        raise ConfigError(f"{affinity.name}: no pair to measure: {reasons or 'one task alone'}")
    return [
        stage
        for seed in affinity.seeds
        for stage in (
            affinity.evaluation(IMAGE, seed, "nothing"),
            *(affinity.evaluation(name, seed, given) for name in inputs for given in _ways()),
        )
    ]


def _ways() -> tuple[Given, ...]:
    ways: tuple[Given, ...] = get_args(Given)
    return ways


def _measured(affinity: Affinity, pair: Pair, workshop: Workshop) -> dict[str, Any]:
    named = {"input": pair.given.name, "target": pair.target.name, "excluded": pair.excluded}
    if pair.excluded:
        return {**named, "figures": {}}
    figures = {
        column.figure: _of_figure(affinity, pair, column, workshop)
        for column in columns([pair.target])
    }
    return {**named, "figures": figures}


def _of_figure(
    affinity: Affinity, pair: Pair, column: Column, workshop: Workshop
) -> dict[str, Any]:
    """The control's values, and for each way to give the input the differences to them."""

    def folders(name: str, given: Given) -> list[Path]:
        stages = (affinity.evaluation(name, seed, given) for seed in affinity.seeds)
        return [workshop.at(stage) for stage in stages]

    control = folders(IMAGE, "nothing")
    return {
        "sign": column.sign,
        "control": _values(control, column),
        **{
            given: difference(folders(pair.given.name, given), control, column, affinity.resamples)
            for given in _ways()
        },
    }


def _values(folders: Sequence[Path], column: Column) -> list[float]:
    """A figure of evaluations; NaN where nothing was measured."""
    return [column.of({"figures": figures_in(folder)}) for folder in folders]


def difference(
    given: Sequence[Path], control: Sequence[Path], column: Column, resamples: int
) -> dict[str, Any]:
    """How much better one network is than another, seed by seed; positive = better.

    Args:
        given: Evaluations of one, a folder for each seed.
        control: Of the other.
        column: The figure.
        resamples: Of the bootstrap.

    Returns:
        `values` by seed; `estimate` over seeds (None where a figure is lacking); `images`, a
        bootstrap over images of the mean over seeds, and `images_by_seed`.
    """
    ours, theirs = _values(given, column), _values(control, column)
    values = [column.sign * (a - b) for a, b in zip(ours, theirs, strict=True)]
    found = estimated(values)
    # Where less is better, the control's figure less ours says by how much ours is better.
    a, b = (given, control) if column.sign > 0 else (control, given)
    by_seed = [over_images([x], [y], column, resamples) for x, y in zip(a, b, strict=True)]
    return {
        "values": values,
        "estimate": asdict(found) if found else None,
        "images": asdict(over_images(a, b, column, resamples)),
        "images_by_seed": [asdict(one) for one in by_seed],
    }
