"""Making pseudo-labels: what a teacher says of images and of their mirror images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as Step
from rich.text import Text
from torch import Tensor

from mtl_core.card import ModelCard
from mtl_core.geometry import Intrinsics
from mtl_core.images import ColourImage
from mtl_core.prediction import Prediction
from mtl_core.predictor import Predictor, Signals
from mtl_training.config import DataConfig
from mtl_training.data.augment import mirrored_pseudo
from mtl_training.data.sample import PseudoLabel, Sample
from mtl_training.data.source import SampleSource
from mtl_training.errors import ConfigError
from mtl_training.pseudo.record import Recipe, described, sha256_of
from mtl_training.pseudo.selection import histogram, no_histogram, usable, wanted
from mtl_training.pseudo.store import PseudoStore
from mtl_training.tasks.base import Task

T = TypeVar("T")

Outputs = Mapping[str, Tensor]
"""A network's outputs by name, (1, C, h, w) each."""


@dataclass(frozen=True)
class Origin:
    """Which network labels come from.

    Attributes:
        name: Of the model.
        sha256: Of its file.
        data: What it was trained on, in its card's words.
        licence: Of its weights, in its card's words.
        temperatures: By task, where they are not part of that file.
    """

    name: str
    sha256: str
    data: tuple[str, ...]
    licence: str
    temperatures: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, card: ModelCard, path: Path, temperatures: Mapping[str, float] | None = None
    ) -> Origin:
        """The network of a file.

        Raises:
            DatasetError: The file cannot be read.
        """
        return cls(card.name, sha256_of(path), card.data, card.licence, temperatures or {})


class Labeller:
    """A teacher, and how it is asked.

    Args:
        predictor: Runs it.
        signals: Tasks whose ground truth it is given, where a sample has it.
        flip: Whether its answers to the image and to the mirror image are merged.

    Raises:
        ConfigError: A task cannot be an input of teachers.

    Attributes:
        signals: The teacher's inputs that they are.
    """

    def __init__(
        self, predictor: Predictor, signals: Sequence[Task] = (), flip: bool = True
    ) -> None:
        self.predictor, self.flip = predictor, flip
        self._inputs = {_input_name(task): task for task in signals}
        self.signals = tuple(self._inputs)

    def ask(self, sample: Sample) -> list[Prediction]:
        """What the teacher says of the image, and then of the mirror image."""
        known = {n: task for n, task in self._inputs.items() if task.name in sample.truth}
        signals = {name: sample.truth[task.name] for name, task in known.items()}
        answers = [self._predict(sample.image, sample.intrinsics, signals)]
        if self.flip:
            mirrored = {name: known[name].mirrored(signal) for name, signal in signals.items()}
            image = np.ascontiguousarray(sample.image[:, ::-1])
            answers.append(self._predict(image, sample.intrinsics, mirrored))
        return answers

    def _predict(
        self, image: npt.NDArray[np.uint8], camera: Intrinsics | None, signals: Signals
    ) -> Prediction:
        fx = camera.fx if camera else None
        return self.predictor.predict(ColourImage(image, "rgb"), fx, signals or None)

    def labels(self, sample: Sample, tasks: Iterable[Task]) -> dict[str, PseudoLabel]:
        """Pseudo-labels of a sample, for its own camera."""
        answers = self.ask(sample)
        return {task.name: _of_camera(task, answers) for task in tasks}


def _of_camera(task: Task, answers: Sequence[Prediction]) -> PseudoLabel:
    label = merged(task, [outputs_of(task, answer) for answer in answers])
    return replace(label, value=task.zoomed(label.value, 1 / answers[0].focal_ratio))


def merged(task: Task, answers: Sequence[Outputs]) -> PseudoLabel:
    """One pseudo-label of the answers to an image and, if there is a second, to its mirror image.

    Returns:
        For the canonical focal length.
    """
    first, *mirrors = (_label(task, outputs) for outputs in answers)
    return task.merged([first, *(mirrored_pseudo(task, label) for label in mirrors)])


def _label(task: Task, outputs: Outputs) -> PseudoLabel:
    value = task.value(outputs)[0].permute(1, 2, 0)
    return PseudoLabel(np.ascontiguousarray(value.numpy()), task.confidence(outputs)[0, 0].numpy())


def outputs_of(task: Task, prediction: Prediction) -> dict[str, Tensor]:
    """A task's outputs, (1, C, h, w) each, of what a model said of an image."""
    names = task.outputs(torch.zeros(1, task.channels, 1, 1))
    return {name: torch.from_numpy(prediction.grid(name).copy())[None] for name in names}


def _input_name(task: Task) -> str:
    encoder = task.encoder()
    if encoder is None:
        raise ConfigError(f"signals: {task.name} cannot be an input of a teacher")
    return encoder.input_name


def generate(
    labeller: Labeller,
    origin: Origin,
    source: SampleSource,
    tasks: Sequence[Task],
    out: Path,
    *,
    everywhere: bool = False,
    data: DataConfig | None = None,
) -> PseudoStore:
    """Label a data set; run again after an interruption, it goes on where it was.

    Args:
        labeller: The teacher.
        origin: Which it is.
        source: Images, with the ground truth that is not hidden; what has it is not labelled.
        tasks: What to label.
        out: Folder of the labels.
        everywhere: Label what has ground truth too, to judge the teacher by it.
        data: What `source` is.

    Raises:
        ResumeError: The folder holds labels of another teacher, of other tasks or data.
        DatasetError: The source is damaged, or there is no such protocol.
        OutputError: The disk is full.
    """
    recipe = Recipe(
        teacher=origin.name,
        sha256=origin.sha256,
        teacher_data=origin.data,
        licence=origin.licence,
        tasks=tuple(task.name for task in tasks),
        label_map=labeller.predictor.card.label_map,
        signals=labeller.signals,
        flip=labeller.flip,
        everywhere=everywhere,
        temperatures=dict(origin.temperatures),
        data=described(data) if data else None,
    )
    store = PseudoStore.claim(out, recipe)
    counts = {task.name: no_histogram(task) for task in tasks}
    labelled: dict[str, list[str]] = {task.name: [] for task in tasks}
    for index in progress(range(len(source)), "pseudo-labels"):
        stored = _stored(labeller, source, index, tasks, store)
        for task in (task for task in tasks if task.name in stored):
            labelled[task.name].append(source.names[index])
            counts[task.name] += histogram(task, stored[task.name])
    named = {t.name: dict(zip(t.group_names, counts[t.name].tolist(), strict=True)) for t in tasks}
    store.finish(labelled, named)
    return store


def _stored(
    labeller: Labeller, source: SampleSource, index: int, tasks: Sequence[Task], store: PseudoStore
) -> dict[str, PseudoLabel]:
    """A sample's labels as they lie in the folder, made if they are not there."""
    name = source.names[index]
    if not store.has(name):
        _label_sample(labeller, source.sample(index), tasks, store)
    return store.read(name, tasks)


def _label_sample(
    labeller: Labeller, sample: Sample, tasks: Sequence[Task], store: PseudoStore
) -> None:
    """Write a sample's labels of the tasks whose truth leaves room for some."""
    truth = {} if store.record.recipe.everywhere else sample.truth
    lacking = [task for task in tasks if wanted(task, truth.get(task.name))]
    if not lacking:
        return
    said = labeller.labels(sample, lacking)
    left = {task.name: usable(task, said[task.name], truth.get(task.name)) for task in lacking}
    if labels := {name: label for name, label in left.items() if label is not None}:
        store.write(sample, tasks, labels)


def progress(items: Sequence[T], what: str) -> Iterator[T]:
    """The items one by one, with a bar and their rate on the terminal."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar:
        yield from bar.track(items, description=what)


class _Rate(ProgressColumn):
    """Items per second."""

    def render(self, task: Step) -> Text:
        """As text."""
        return Text(f"{task.finished_speed or task.speed or 0:.1f}/s")
