"""Temperatures: so that of the labels with confidence c, the share c is right.

Fitted on the labels as they will be written, that is after flip averaging, at pixels of images
that the teacher was not trained on. Source: Guo et al., "On Calibration of Modern Neural Networks",
ICML 2017; here of the binary likelihood of being right, which every task has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from mtl_core.prediction import Prediction
from mtl_core.predictor import ModelPredictor
from mtl_training.data.source import SampleSource
from mtl_training.errors import DatasetError
from mtl_training.files import write_json
from mtl_training.learning.checkpoint import TEMPERATURES, load_trained
from mtl_training.models import TorchModel
from mtl_training.pseudo.generate import Labeller, Outputs, merged, outputs_of, progress
from mtl_training.tasks.base import Labels, Task
from mtl_training.tasks.registry import build_tasks

RANGE = (0.05, 20.0)
"""Temperatures that are looked at."""

PER_IMAGE = 500
"""Pixels of an image that are looked at; neighbours would say the same once more."""

_LEAST = 1e-6
"""Of a probability whose logarithm is taken."""


@dataclass(frozen=True)
class Observations:
    """What a head said of some labelled pixels.

    Attributes:
        passes: The task's outputs by name, (1, C, 1, n) as if the pixels were one row of an image,
            for the image and, if it was asked, for the same pixels of the mirror image.
        truth: (n,) or (n, C) labels at the canonical focal length.
    """

    passes: tuple[Outputs, ...]
    truth: Labels

    @classmethod
    def joined(cls, parts: Sequence[Observations]) -> Observations:
        """Those of several images."""
        passes = zip(*(part.passes for part in parts), strict=True)
        truth = np.concatenate([part.truth for part in parts])
        return cls(tuple(_side_by_side(rows) for rows in passes), truth)

    def judged(
        self, task: Task, temperature: float
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Confidence and correctness (n,) of the pseudo-labels at a temperature."""
        first, *mirrors = self.passes
        # In the mirror a row runs the other way.
        rows = [first, *({name: v.flip(3) for name, v in row.items()} for row in mirrors)]
        label = merged(task, [task.tempered(row, temperature) for row in rows])
        answer = task.decoded(label.value, 1, len(self.truth))
        right = task.correct(answer, self.truth[None])[0]
        return label.confidence[0].astype(np.float64), right


def _side_by_side(rows: Sequence[Outputs]) -> dict[str, Tensor]:
    return {name: torch.cat([row[name] for row in rows], dim=3) for name in rows[0]}


def observe(
    task: Task, answers: Sequence[Prediction], truth: Labels, rng: np.random.Generator
) -> Observations:
    """Some labelled pixels of an image.

    Args:
        task: Whose.
        answers: To the image and, if there is a second, to its mirror image; see `Labeller.ask`.
        truth: (H, W) or (H, W, C).
        rng: Chooses the pixels.
    """
    passes = [outputs_of(task, answer) for answer in answers]
    rows, columns = answers[0].grid(task.name).shape[1:]
    height, width = truth.shape[:2]
    y = ((np.arange(rows) + 0.5) * height / rows).astype(np.int64)
    x = ((np.arange(columns) + 0.5) * width / columns).astype(np.int64)
    centres = task.zoomed(truth[y[:, None], x], answers[0].focal_ratio)
    known = np.flatnonzero(task.known(centres))
    chosen = np.sort(rng.choice(known, min(PER_IMAGE, len(known)), replace=False))
    i, j = np.divmod(chosen, columns)
    at = [j, *(columns - 1 - j for _ in passes[1:])]
    picked = (
        {name: values[:, :, i, x][:, :, None] for name, values in one.items()}
        for one, x in zip(passes, at, strict=True)
    )
    return Observations(tuple(picked), centres[i, j])


def fit(task: Task, seen: Observations) -> float:
    """The temperature of the greatest likelihood."""

    def loss(log_temperature: float) -> float:
        confidence, right = seen.judged(task, math.exp(log_temperature))
        chance = np.where(right, confidence, 1 - confidence)
        return float(-np.log(np.clip(chance, _LEAST, 1)).mean())

    bounds = tuple(map(math.log, RANGE))
    return math.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x)


def temperatures(
    labeller: Labeller, source: SampleSource, tasks: Sequence[Task], seed: int = 0
) -> dict[str, float]:
    """Temperatures by task; a task that no sample has truth of is left out.

    Args:
        labeller: Asks the teacher without temperatures, as it will be asked for pseudo-labels.
        source: Labelled samples that the teacher was not trained on.
        tasks: The teacher's.
        seed: Of the choice of pixels.

    Raises:
        DatasetError: No sample has truth of any of the tasks.
    """
    rng = np.random.default_rng(seed)
    parts: dict[str, list[Observations]] = {task.name: [] for task in tasks}
    for index in progress(range(len(source)), "calibration"):
        sample = source.sample(index)
        labelled = [task for task in tasks if task.name in sample.truth]
        answers = labeller.ask(sample) if labelled else []
        for task in labelled:
            parts[task.name].append(observe(task, answers, sample.truth[task.name], rng))
    seen = {name: Observations.joined(some) for name, some in parts.items() if some}
    found = {
        t.name: fit(t, seen[t.name]) for t in tasks if t.name in seen and len(seen[t.name].truth)
    }
    if not found:
        raise DatasetError(
            f"calibration: truth of {', '.join(parts)} expected, {len(source)} samples have none"
        )
    return found


def calibrate(
    run: Path,
    source: SampleSource,
    signals: Sequence[Task] = (),
    *,
    flip: bool = True,
    device: str = "cpu",
    seed: int = 0,
) -> dict[str, float]:
    """Fit a trained network's temperatures and write them beside its weights.

    Args:
        run: Folder of a finished run, or its weights.
        source: Labelled samples that it was not trained on.
        signals: What it will be given for pseudo-labels beside the image.
        flip: Whether its answers to the mirror image will be merged.
        device: Where torch runs it.
        seed: Of the choice of pixels.

    Returns:
        Temperatures by task, see `temperatures`.

    Raises:
        CheckpointError: There is no such network.
        DatasetError: No sample has labels.
        OutputError: The file cannot be written.
    """
    trained = load_trained(run)
    tasks = build_tasks(trained.config.tasks)
    predictor = ModelPredictor(TorchModel(replace(trained, temperatures={}), device))
    found = temperatures(Labeller(predictor, signals, flip), source, tasks, seed)
    write_json(trained.path.with_name(TEMPERATURES), found)
    return found
