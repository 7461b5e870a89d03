"""Measure one model under all conditions, and how well its confidence is calibrated there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mtl_core.prediction import Prediction
from mtl_core.predictor import Predictor
from mtl_training.data.sample import Sample
from mtl_training.data.source import SampleSource
from mtl_training.errors import DatasetError
from mtl_training.evaluate import PerImage, predicted
from mtl_training.pseudo.calibrate import Observations, fit, observe
from mtl_training.pseudo.generate import progress
from mtl_training.pseudo.quality import Reliability
from mtl_training.randomness import rng_for
from mtl_training.robustness.conditions import CONDITIONS, UNCHANGED, Change
from mtl_training.statistics import paired_bootstrap
from mtl_training.tasks.base import Labels, Task

RESAMPLES = 2000
"""Of the images, for an interval."""


class Outcome:
    """What a model said for one task under one condition.

    Attributes:
        task: The task.
        errors: Its errors.
        unchanged: Those of its answer to the unchanged images, moved to where the same pixels are
            now: what was turned or cut out of sight counts for neither.
        seen: By image, some labelled pixels and what was said there.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.errors, self.unchanged = PerImage(task.metric), PerImage(task.metric)
        self.seen: list[Observations] = []

    def add(self, sample: Sample, answer: Prediction, unchanged: Labels, seed: int) -> None:
        """Take a changed image, what is said of it, and what was said of the unchanged one.

        The seed, task and image choose the pixels that calibration looks at: under each condition
        that moves none, the same ones.
        """
        truth = sample.truth[self.task.name]
        self.errors.add(sample.name, self.task.predicted(answer), truth)
        self.unchanged.add(sample.name, unchanged, truth)
        rng = rng_for(seed, f"{self.task.name}/{sample.name}")
        self.seen.append(observe(self.task, [answer], truth, rng))

    def reliability(self, temperature: float, images: slice = slice(None)) -> Reliability:
        """Confidence at a temperature against the share that is right, over some images."""
        seen = Observations.joined(self.seen[images])
        if not len(seen.truth):
            return Reliability.of(np.zeros(0), np.zeros(0, bool))
        return Reliability.of(*seen.judged(self.task, temperature))


Outcomes = Mapping[str, Mapping[str, Outcome]]
"""By condition and task."""

FITTED, HELD_OUT = slice(0, None, 2), slice(1, None, 2)
"""Of the images with truth of a task: those that fit its temperature, and those that judge it."""


def ask(
    predictor: Predictor,
    sample: Sample,
    tasks: Sequence[Task],
    condition: tuple[str, Change],
    seed: int,
) -> tuple[Sample, Prediction]:
    """A sample under a condition, and what the model says of it."""
    name, change = condition
    changed = change(sample, tasks, rng_for(seed, f"{name}/{sample.name}"))
    return changed, predicted(predictor, changed)


def measure(
    predictor: Predictor,
    source: SampleSource,
    tasks: Sequence[Task],
    indices: Sequence[int],
    conditions: Mapping[str, Change] = CONDITIONS,
    seed: int = 0,
) -> Outcomes:
    """Predict images under each condition, from the image alone.

    Args:
        predictor: The model.
        source: Where the images are from.
        tasks: What to measure.
        indices: Of the images.
        conditions: By name.
        seed: Of noise, and of the pixels that calibration looks at.

    Raises:
        DatasetError: A file is damaged.
    """
    found = {name: {task.name: Outcome(task) for task in tasks} for name in conditions}
    for index in progress(indices, "robustness"):
        sample = source.sample(index)
        present = [task for task in tasks if task.name in sample.truth]
        as_it_is = predicted(predictor, sample)
        said = {task.name: task.predicted(as_it_is) for task in present}
        for name, change in conditions.items():
            changed, answer = ask(predictor, sample, tasks, (name, change), seed)
            for task in present:
                moved = change.labels(task, said[task.name], sample)
                found[name][task.name].add(changed, answer, moved, seed)
    return found


def temperatures(outcomes: Mapping[str, Outcome]) -> dict[str, float]:
    """By task, fitted on every second image.

    Raises:
        DatasetError: There are no two halves with labelled pixels.
    """
    found: dict[str, float] = {}
    for name, outcome in outcomes.items():
        halves = [outcome.seen[part] for part in (FITTED, HELD_OUT)]
        if not all(any(len(one.truth) for one in half) for half in halves):
            raise DatasetError(
                f"calibration: 2 images or more with truth of {name} expected, one half to fit and "
                f"one to judge, got {len(outcome.seen)}"
            )
        found[name] = fit(outcome.task, Observations.joined(halves[0]))
    return found


@dataclass(frozen=True)
class Report:
    """All outcomes with the temperatures that fit the unchanged images."""

    outcomes: Outcomes
    temperatures: Mapping[str, float]
    seed: int

    @classmethod
    def of(cls, outcomes: Outcomes, seed: int) -> Report:
        """Fit; errors are those of `temperatures`."""
        return cls(outcomes, temperatures(outcomes[UNCHANGED]), seed)

    def figures(self) -> dict[str, Any]:
        """`temperatures`, and `conditions` by name and task; NaN where nothing was measured."""
        conditions = {
            name: {task: self._of_task(outcome) for task, outcome in of_tasks.items()}
            for name, of_tasks in self.outcomes.items()
        }
        return {"temperatures": dict(self.temperatures), "conditions": conditions}

    def _of_task(self, outcome: Outcome) -> dict[str, Any]:
        held_out = {
            when: outcome.reliability(temperature, HELD_OUT).ece()
            for when, temperature in self.choices(outcome.task.name).items()
        }
        return {
            "figures": outcome.errors.figures(),
            "unchanged": outcome.unchanged.figures(),
            "difference": {name: self._difference(outcome, name) for name in outcome.task.figures},
            "ece": outcome.reliability(1.0).ece(),
            "ece_held_out": held_out,
        }

    def choices(self, task: str) -> dict[str, float]:
        """The temperatures that are compared."""
        return {"before": 1.0, "after": self.temperatures[task]}

    def _difference(self, outcome: Outcome, figure: str) -> dict[str, float]:
        now, before = outcome.errors, outcome.unchanged
        rng = rng_for(self.seed, "bootstrap")
        return asdict(
            paired_bootstrap(now.rows, before.rows, now.statistic(figure), rng, RESAMPLES)
        )
