"""What results say: means over seeds, multi-task gain, comparisons over images and seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mtl_training.errors import DatasetError
from mtl_training.evaluate import PerImage, Rows
from mtl_training.experiments.design import Experiment
from mtl_training.experiments.evaluation import rows_in
from mtl_training.experiments.stages import stages_in
from mtl_training.statistics import (
    Bootstrap,
    Estimate,
    estimate,
    paired_bootstrap,
    wilcoxon,
)
from mtl_training.tasks.base import Task
from mtl_training.tasks.registry import build_tasks

Result = Mapping[str, Any]
"""A line of `results.jsonl`."""

LEAST_SEEDS = 5
"""Of a Wilcoxon test; with fewer, its p cannot be small whatever the results are."""

BOOTSTRAP_SEED = 0


@dataclass(frozen=True)
class Column:
    """A figure of a task.

    Attributes:
        task: Whose.
        figure: Its name.
        sign: +1 where more is better, else -1.
    """

    task: Task
    figure: str
    sign: int

    @property
    def title(self) -> str:
        """With an arrow towards better."""
        return f"{self.figure} {'↑' if self.sign > 0 else '↓'}"

    def of(self, result: Result) -> float:
        """Its value in a result; NaN where nothing was measured."""
        value = result["figures"].get(self.task.name, {}).get(self.figure)
        return math.nan if value is None else float(value)


def columns(tasks: Iterable[Task]) -> list[Column]:
    """All figures that a comparison reports, the deciding one of each task first."""
    return [Column(task, figure, sign) for task in tasks for figure, sign in task.figures.items()]


@dataclass(frozen=True)
class Comparison:
    """One figure of two methods, a less b.

    Attributes:
        seeds: Which both have.
        differences: By seed.
        images: Over images, of the mean over seeds.
    """

    a: str
    b: str
    column: Column
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    images: Bootstrap

    @cached_property
    def p(self) -> float | None:
        """Wilcoxon's over seeds; None with too few."""
        if len(self.seeds) < LEAST_SEEDS:
            return None
        return wilcoxon(self.differences, np.zeros(len(self.seeds)))


class Results:
    """Results at one fraction of labels.

    Args:
        experiment: Whose.
        results: Lines of `results.jsonl`.
        out: The experiment's folder.
    """

    def __init__(self, experiment: Experiment, results: Iterable[Result], out: Path) -> None:
        self._by_method: dict[str, dict[int, Result]] = {name: {} for name in experiment.methods}
        for result in results:
            self._by_method[result["method"]][result["seed"]] = result
        self.columns = columns(build_tasks(experiment.tasks))
        self._report, self._stages = experiment.report, stages_in(out)

    @property
    def methods(self) -> list[str]:
        """Those with a result."""
        return [name for name, found in self._by_method.items() if found]

    def seeds(self, *methods: str) -> list[int]:
        """Those that all of these methods have results of."""
        sets = [set(self._by_method[method]) for method in methods]
        return sorted(set.intersection(*sets))

    def of(self, method: str) -> list[Result]:
        """A method's results by seed."""
        return [self._by_method[method][seed] for seed in self.seeds(method)]

    def estimate(self, method: str, column: Column) -> Estimate | None:
        """Over seeds; None where a seed has no such figure."""
        return estimated([column.of(result) for result in self.of(method)])

    def gain(self, method: str) -> Estimate | None:
        """Multi-task gain over seeds in percent; None where single-task students are lacking."""
        single = self._report.single_task
        seeds = self.seeds(method, single) if single else []
        pairs = ((self._by_method[method][seed], self._by_method[single][seed]) for seed in seeds)
        return estimated([gain(one, other, self.columns) for one, other in pairs])

    def comparisons(self) -> list[Comparison]:
        """All figures of all pairs of methods that are to be compared."""
        return [
            self._compared(a, b, column, seeds)
            for a, b in self._report.compare
            if (seeds := self.seeds(a, b))
            for column in self.columns
            if all(math.isfinite(column.of(r)) for m in (a, b) for r in self.of(m))
        ]

    def _compared(self, a: str, b: str, column: Column, seeds: Sequence[int]) -> Comparison:
        first, second = ([self._by_method[name][seed] for seed in seeds] for name in (a, b))
        differences = [
            column.of(one) - column.of(other) for one, other in zip(first, second, strict=True)
        ]
        ours, theirs = (
            [self._evaluation(result, column) for result in some] for some in (first, second)
        )
        images = over_images(ours, theirs, column, self._report.resamples)
        return Comparison(a, b, column, tuple(seeds), tuple(differences), images)

    def _evaluation(self, result: Result, column: Column) -> Path:
        return self._stages / str(result["evaluations"][column.task.name])


def estimated(values: Sequence[float]) -> Estimate | None:
    """None of no values, and where one is not finite."""
    return estimate(values) if len(values) and np.isfinite(values).all() else None


def gain(result: Result, single: Result, columns: Sequence[Column]) -> float:
    """Mean relative gain over tasks, by the deciding figure of each, in percent."""
    first = {column.task.name: column for column in reversed(columns)}.values()
    changes = [c.sign * (c.of(result) - c.of(single)) / c.of(single) for c in first]
    return 100 * float(np.mean(changes))


def over_images(a: Sequence[Path], b: Sequence[Path], column: Column, resamples: int) -> Bootstrap:
    """Paired bootstrap over images of a figure's mean over seeds.

    Args:
        a: Folders of evaluations, one for each seed.
        b: Likewise, of the other method.
        column: Which figure.
        resamples: How many.

    Raises:
        DatasetError: They were measured on other images.
    """
    first, images = _stacked(a, column.task.name)
    second, others = _stacked(b, column.task.name)
    if images != others:
        raise DatasetError(f"{a[0]} and {b[0]} were measured on other images")
    statistic = PerImage(column.task.metric).statistic(column.figure)

    def over_seeds(rows: npt.NDArray[Any]) -> float:
        return float(np.mean([statistic(rows[:, seed]) for seed in range(rows.shape[1])]))

    rng = np.random.default_rng(BOOTSTRAP_SEED)
    return paired_bootstrap(first, second, over_seeds, rng, resamples)


def _stacked(folders: Sequence[Path], task: str) -> tuple[Rows, list[str]]:
    """(images, seeds, K) and the images' names."""
    found = [rows_in(folder, task) for folder in folders]
    if any(names != found[0][0] for names, _ in found):
        raise DatasetError(f"{folders[0]} and others were measured on other images")
    return np.stack([rows for _, rows in found], axis=1), found[0][0]
