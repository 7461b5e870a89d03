"""Measure a model the way a robot runs it: image by image, at the labels' own resolution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from mtl_core.card import ModelCard
from mtl_core.images import ColourImage
from mtl_core.interface import main_outputs
from mtl_core.model import Model
from mtl_core.prediction import Prediction
from mtl_core.predictor import ModelPredictor, Predictor, Signals
from mtl_training.config import DataConfig
from mtl_training.data.catalogue import (
    HELD_OUT_FRAMES,
    check_same_classes,
    open_source,
    recognise,
    with_classes_of,
)
from mtl_training.data.sample import Sample
from mtl_training.data.source import SampleSource
from mtl_training.errors import ConfigError, DatasetError
from mtl_training.models import open_model
from mtl_training.tasks.base import Metric, Task
from mtl_training.tasks.registry import TASKS, TaskConfig, build_tasks

Rows = npt.NDArray[np.float64]

ROOMS = "rooms:"
"""`rooms:20` in place of a folder: so many synthetic rooms that no training sees."""


class PerImage:
    """A task's errors, one row of numbers for each image; sums of rows are those of all pixels.

    So a metric that is pooled over pixels can be had of any choice of images, as a bootstrap needs:
    `paired_bootstrap(a.rows, b.rows, a.statistic("miou"), rng)`.

    Args:
        new_metric: Makes an empty accumulator.

    Attributes:
        names: Of the images that have truth of the task.
    """

    def __init__(self, new_metric: Callable[[], Metric]) -> None:
        self._new, self._empty = new_metric, new_metric()
        self._rows: list[Rows] = []
        self.names: list[str] = []

    def add(self, name: str, predicted: npt.NDArray[Any], truth: npt.NDArray[Any]) -> None:
        """One image."""
        metric = self._new()
        metric.update(predicted, truth)
        self._rows.append(metric.sums())
        self.names.append(name)

    @property
    def rows(self) -> Rows:
        """(images, K) float64."""
        return np.array(self._rows).reshape(-1, self._empty.sums().size)

    def figures(self, rows: Rows | None = None) -> dict[str, Any]:
        """The metric's figures over these rows, or over all images."""
        rows = self.rows if rows is None else rows
        return self._empty.with_sums(rows.sum(axis=0)).figures()

    def statistic(self, figure: str) -> Callable[[npt.NDArray[Any]], float]:
        """From rows to one figure."""
        return lambda rows: float(self.figures(rows)[figure])


@dataclass(frozen=True)
class Evaluation:
    """What was measured of a model.

    Attributes:
        images: How many had truth of any task.
        tasks: Errors by task.
    """

    images: int
    tasks: Mapping[str, PerImage]

    def figures(self) -> dict[str, Any]:
        """`images`, `labelled` (images with truth, by task) and the figures of all tasks."""
        found: dict[str, Any] = {}
        for name, errors in self.tasks.items():
            figures = errors.figures()
            if twice := sorted(found.keys() & figures.keys()):
                raise ConfigError(f"two tasks have figures named {', '.join(twice)}, one is {name}")
            found |= figures
        labelled = {name: len(errors.names) for name, errors in self.tasks.items()}
        return {**found, "images": self.images, "labelled": labelled}


def measure(
    predictor: Predictor, source: SampleSource, tasks: Sequence[Task], signals: Sequence[str] = ()
) -> Evaluation:
    """Predict every image of a data set and compare with its truth, at the truth's size.

    Args:
        predictor: The model.
        source: Images of any size; those without truth of any of the tasks are passed over.
        tasks: What to measure.
        signals: Names of a teacher's inputs that are given each sample's truth, where it has some.

    Raises:
        ConfigError: The classes of model and data differ, or no task has an input of such a name.
        DatasetError: No sample has truth of any of the tasks, or a file is damaged.
        ModelError: The model has no such input or output.
    """
    check_classes(predictor.card, source, tasks, signals)
    teaching = signal_tasks(predictor.card, signals)
    errors = {task.name: PerImage(task.metric) for task in tasks}
    indices = labelled(source, tasks)
    quiet = Console(stderr=True)
    for index in track(indices, "evaluate", console=quiet, transient=True):
        sample = source.sample(index)
        given = {n: sample.truth[t] for n, t in teaching.items() if t in sample.truth}
        prediction = predicted(predictor, sample, given)
        for task in tasks:
            if task.name in sample.truth:
                errors[task.name].add(
                    sample.name, task.predicted(prediction), sample.truth[task.name]
                )
    return Evaluation(len(indices), errors)


def labelled(source: SampleSource, tasks: Sequence[Task]) -> list[int]:
    """Indices of the samples that have truth of any of the tasks.

    Raises:
        DatasetError: There is none.
    """
    indices = sorted({index for task in tasks for index in source.labelled(task.name)})
    if not indices:
        names = ", ".join(task.name for task in tasks) or "any task that the model has"
        there = ", ".join(sorted(source.tasks)) or "none"
        raise DatasetError(f"no sample has truth of {names}, there is some of: {there}")
    return indices


def predicted(predictor: Predictor, sample: Sample, signals: Signals | None = None) -> Prediction:
    """What a model says of a sample's image, seen through the sample's camera."""
    fx = sample.intrinsics.fx if sample.intrinsics else None
    return predictor.predict(ColourImage(sample.image, "rgb"), fx, signals or None)


def evaluate(
    predictor: Predictor, source: SampleSource, tasks: Sequence[Task], signals: Sequence[str] = ()
) -> dict[str, Any]:
    """The figures of `measure`, by name, over all tasks; NaN where nothing was measured."""
    return measure(predictor, source, tasks, signals).figures()


def check_classes(
    card: ModelCard, source: SampleSource, tasks: Sequence[Task], signals: Sequence[str] = ()
) -> None:
    """Refuse data of other classes than the model's where classes are compared or given.

    Raises:
        ConfigError: They differ.
    """
    check_same_classes(card.label_map, source, {*signals, *(task.name for task in tasks)})


def tasks_of(card: ModelCard, names: Sequence[str]) -> list[Task]:
    """Registered tasks with a model's classes and depth; a model without them needs none."""
    label_map = card.label_map.name if card.label_map else "nyu13"
    low, high, focal = (0.1, 100.0, 1.0)
    if card.depth:
        low, high, focal = card.depth.min_m, card.depth.max_m, card.depth.canonical_fx
    return build_tasks(TaskConfig(tuple(names), label_map, focal, low, high))


def shared_tasks(model: Model, source: SampleSource) -> list[Task]:
    """Tasks that a model predicts and a data set has truth of."""
    said = [name for name in main_outputs(model.outputs) if name in TASKS]
    names = [name for name in said if name in source.tasks]
    if not names:
        raise ConfigError(
            f"nothing to measure: the model says {', '.join(said)}, "
            f"the data have truth of {', '.join(sorted(source.tasks)) or 'nothing'}"
        )
    return tasks_of(model.card, names)


def signal_tasks(card: ModelCard, signals: Sequence[str]) -> dict[str, str]:
    """The task whose truth each of these inputs takes, by input name.

    Raises:
        ConfigError: No task has an input of that name.
    """
    encoders = {task.name: task.encoder() for task in tasks_of(card, tuple(TASKS))}
    known = {encoder.input_name: name for name, encoder in encoders.items() if encoder}
    if unknown := [name for name in signals if name not in known]:
        raise ConfigError(f"unknown signals {', '.join(unknown)}, known: {', '.join(known)}")
    return {name: known[name] for name in signals}


def data_config(data: str, split: str, card: ModelCard | None = None) -> DataConfig:
    """What a data set's folder, or `rooms:20`, means to `open_source`.

    Args:
        data: The folder or file, or so many held-out rooms.
        split: Which part of it.
        card: Of the model, whose classes are taken where they have all of the data's.

    Raises:
        ConfigError: The number of rooms is none.
        DatasetError: The folder holds no data set that is known.
    """
    found = _held_out(data) if data.startswith(ROOMS) else _on_disk(data, split)
    return with_classes_of(found, card.label_map if card else None)


def _held_out(data: str) -> DataConfig:
    count = data.removeprefix(ROOMS)
    if not count.isdecimal() or int(count) < 1:
        raise ConfigError(f"{ROOMS}N with a number N of 1 or more expected, got {data}")
    return DataConfig("held-out-rooms", frames=int(count) * HELD_OUT_FRAMES)


def _on_disk(data: str, split: str) -> DataConfig:
    root = Path(data).absolute()
    return DataConfig(recognise(root), root=str(root), split=split)


def evaluate_file(
    path: Path, data: str, split: str = "", signals: Sequence[str] = (), device: str = "cpu"
) -> dict[str, Any]:
    """What `mtl-train evaluate` prints.

    Args:
        path: An ONNX file, a `weights.safetensors` or a finished run's folder.
        data: A data set's folder, or `rooms:20` for 20 held-out rooms.
        split: Which part of the data set.
        signals: A teacher's inputs that are given the truth.
        device: Where torch runs a checkpoint.

    Returns:
        JSON types: `model`, `data`, `split`, `signals`, and the figures; null for NaN.
    """
    model = open_model(path, device)
    source = open_source(data_config(data, split, model.card))
    tasks = shared_tasks(model, source)
    figures = evaluate(ModelPredictor(model), source, tasks, signals)
    about = {"model": model.card.name, "data": data, "split": split, "signals": list(signals)}
    plain: dict[str, Any] = json_types({**about, **figures})
    return plain


def json_types(value: Any) -> Any:
    """A result as JSON has it: NaN and infinities become null."""
    if isinstance(value, Mapping):
        return {key: json_types(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
