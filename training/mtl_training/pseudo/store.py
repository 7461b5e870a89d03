"""Pseudo-labels in a folder, one compact file per image, and a data set that shows them.

A file holds, for each task, the arrays of `Task.packed` and the confidence (h, w) as uint8 in
1 / 255. All are compressed; none would run code when read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from mtl_core.labels import LabelMap
from mtl_training.config import LossConfig
from mtl_training.data.sample import PseudoLabel, Sample
from mtl_training.data.source import SampleSource
from mtl_training.errors import DatasetError, ResumeError
from mtl_training.files import atomic
from mtl_training.pseudo.record import RECORD, Recipe, Record, writing
from mtl_training.pseudo.selection import LEVELS, confident, quantised, thresholds, usable
from mtl_training.tasks.base import Labels, Task


class PseudoStore:
    """A folder of pseudo-labels.

    Args:
        folder: Where.
        record: What its `pseudo.json` says.
    """

    def __init__(self, folder: Path, record: Record) -> None:
        self.folder, self.record = folder, record

    @classmethod
    def open(cls, folder: Path) -> PseudoStore:
        """A finished folder.

        Raises:
            DatasetError: It is none, of another schema, or was never finished.
        """
        record = Record.read(folder)
        if not record.finished:
            raise DatasetError(f"{folder}: unfinished; run the command that began it once more")
        return cls(folder, record)

    @classmethod
    def claim(cls, folder: Path, recipe: Recipe) -> PseudoStore:
        """A folder to write into: a new one, or one of the same recipe to go on with.

        Raises:
            ResumeError: It holds labels of another recipe, or files of something else.
            DatasetError: Its record is damaged, or nothing can be written there.
        """
        if (folder / RECORD).exists():
            Record.read(folder).check(recipe, folder)
        elif folder.exists() and any(folder.iterdir()):
            raise ResumeError(f"{folder}: not empty, and no {RECORD} in it says what it holds")
        store = cls(folder, Record(recipe))
        store.record.write(folder)
        return store

    def path(self, name: str) -> Path:
        """The file of a sample; no two names share one."""
        return self.folder / f"{quote(name, safe='')}.npz"

    def has(self, name: str) -> bool:
        """Whether a sample has labels."""
        return self.path(name).exists()

    def write(self, name: str, tasks: Iterable[Task], labels: Mapping[str, PseudoLabel]) -> None:
        """Write a sample's labels of some of the tasks.

        Raises:
            DatasetError: The file cannot be written; nothing is left of it.
        """
        arrays = {
            f"{task.name}.{key}": array
            for task in tasks
            if task.name in labels
            for key, array in _packed(task, labels[task.name]).items()
        }
        with writing(self.path(name)), atomic(self.path(name)) as part:
            np.savez_compressed(part, allow_pickle=False, **arrays)

    def read(self, name: str, tasks: Sequence[Task]) -> dict[str, PseudoLabel]:
        """A sample's labels of those tasks, as far as it has any.

        Raises:
            DatasetError: The file is damaged.
        """
        path = self.path(name)
        if not path.exists():
            return {}
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                found = ((task, _of(task, file)) for task in tasks)
                return {task.name: _unpacked(task, arrays) for task, arrays in found if arrays}
        except Exception as err:  # A damaged zip raises a dozen kinds, which share no other root.
            raise DatasetError(
                f"{path}: expected pseudo-labels of {', '.join(t.name for t in tasks)}, got a "
                f"damaged file ({err!r:.200}); delete it and run pseudo-label again"
            ) from err

    def finish(self, samples: int, histograms: Mapping[str, Mapping[str, Sequence[int]]]) -> None:
        """Write down that all is done; see `Record` for the arguments.

        Raises:
            DatasetError: The record cannot be written.
        """
        counts = {
            task: {group: tuple(row) for group, row in groups.items()}
            for task, groups in histograms.items()
        }
        self.record = replace(self.record, finished=True, samples=samples, histograms=counts)
        self.record.write(self.folder)

    def thresholds(self, task: Task, losses: LossConfig) -> npt.NDArray[np.float32]:
        """The least confidence of each of a task's groups.

        Raises:
            DatasetError: The labels are of other classes.
        """
        counts = self.record.histograms[task.name]
        if tuple(counts) != task.group_names:
            raise DatasetError(
                f"{self.folder}: {task.name} of {', '.join(task.group_names)} expected, "
                f"got {', '.join(counts)}"
            )
        return thresholds(counts, losses)


def teacher_of(folder: Path) -> dict[str, str]:
    """Name and SHA-256 of the teacher that wrote a folder of pseudo-labels.

    Raises:
        DatasetError: See `PseudoStore.open`.
    """
    recipe = PseudoStore.open(folder).record.recipe
    return {"teacher": recipe.teacher, "sha256": recipe.sha256}


def _packed(task: Task, label: PseudoLabel) -> dict[str, npt.NDArray[Any]]:
    return {**task.packed(label.value), "confidence": quantised(label.confidence)}


def _of(task: Task, file: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    start = f"{task.name}."
    return {key.removeprefix(start): file[key] for key in file if key.startswith(start)}


def _unpacked(task: Task, arrays: Mapping[str, npt.NDArray[Any]]) -> PseudoLabel:
    return PseudoLabel(task.unpacked(arrays), LEVELS[arrays["confidence"]])


class WithPseudo:
    """A source whose samples carry pseudo-labels where they lack ground truth.

    Args:
        source: The samples, with the labels that there are.
        folder: Pseudo-labels of these samples.
        tasks: What is trained; those that the folder does not have stay without.
        losses: Thresholds, and whether values are hardened.

    Raises:
        DatasetError: The folder is unfinished or damaged, holds labels of other classes, or of
            none of these samples.
    """

    def __init__(
        self, source: SampleSource, folder: Path, tasks: Sequence[Task], losses: LossConfig
    ) -> None:
        self._source, self._hard = source, losses.pseudo_hard
        self._store = PseudoStore.open(folder)
        made = self._store.record.recipe.tasks
        self._tasks = [task for task in tasks if task.name in made]
        self._least = {task.name: self._store.thresholds(task, losses) for task in self._tasks}
        if not any(self._store.has(name) for name in source.names):
            raise DatasetError(f"{folder}: has labels of none of these {len(source)} samples")

    @property
    def label_map(self) -> LabelMap | None:
        """See `SampleSource`."""
        return self._source.label_map

    @property
    def names(self) -> Sequence[str]:
        """See `SampleSource`."""
        return self._source.names

    @property
    def tasks(self) -> frozenset[str]:
        """Tasks that samples have ground truth of."""
        return self._source.tasks

    def __len__(self) -> int:
        """Samples."""
        return len(self._source)

    def labelled(self, task: str) -> Sequence[int]:
        """Indices of the samples that have ground truth of a task."""
        return self._source.labelled(task)

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`.

        Raises:
            DatasetError: A file of the data set or of the folder is damaged.
        """
        sample = self._source.sample(index, epoch)
        stored = self._store.read(sample.name, self._tasks)
        used = {
            task.name: self._used(task, stored[task.name], sample.truth.get(task.name))
            for task in self._tasks
            if task.name in stored
        }
        labels = {name: label for name, label in used.items() if label is not None}
        return replace(sample, pseudo={**sample.pseudo, **labels})

    def _used(self, task: Task, label: PseudoLabel, truth: Labels | None) -> PseudoLabel | None:
        left = usable(task, label, truth)
        if left is None:
            return None
        kept = confident(task, left, self._least[task.name])
        return replace(kept, value=task.hardened(kept.value)) if self._hard else kept
