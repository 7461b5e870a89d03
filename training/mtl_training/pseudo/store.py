"""Pseudo-labels in a folder, one compact file per image, and a data set that shows them.

A file holds a checksum of the image, and for each task the arrays of `Task.packed` and the
confidence (h, w) as uint8 in 1 / 255. All are compressed; none would run code when read.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from mtl_training.config import DataConfig, LossConfig
from mtl_training.data.sample import PseudoLabel, Sample
from mtl_training.data.source import SampleSource, Wrapped
from mtl_training.errors import DatasetError, ResumeError
from mtl_training.files import atomic, remove_orphans
from mtl_training.pseudo.record import RECORD, Recipe, Record, described
from mtl_training.pseudo.selection import (
    LEVELS,
    confident,
    quantised,
    shuffled,
    thresholds,
    usable,
)
from mtl_training.randomness import rng_for
from mtl_training.settings import config_fields
from mtl_training.tasks.base import Task

_IMAGE = "image"
"""Name of the image's checksum in a file; those of labels have a dot."""

_ROWS = 8
"""Every so many rows of an image are looked at to tell it from others."""


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
            DatasetError: It is none, of another schema, was never finished, or lacks files.
        """
        store = cls(folder, Record.read(folder))
        if not store.record.finished:
            raise DatasetError(f"{folder}: unfinished; run the command that began it once more")
        if gone := [name for name in sorted(store.record.names) if not store.has(name)]:
            raise DatasetError(
                f"{folder}: the labels of {len(gone)} samples are gone, such as of {gone[0]!r}; "
                "run the command that made them once more"
            )
        return store

    @classmethod
    def claim(cls, folder: Path, recipe: Recipe) -> PseudoStore:
        """A folder to write into: a new one, or one of the same recipe to go on with.

        Raises:
            ResumeError: It holds labels of another recipe, or files of something else.
            DatasetError: Its record is damaged.
            OutputError: Nothing can be written there.
        """
        remove_orphans(folder)
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

    def write(
        self, sample: Sample, tasks: Iterable[Task], labels: Mapping[str, PseudoLabel]
    ) -> None:
        """Write labels of some of the tasks for a sample, whose own labels are not looked at.

        Raises:
            OutputError: The file cannot be written; nothing is left of it.
        """
        arrays: dict[str, npt.NDArray[Any]] = {
            f"{task.name}.{key}": array
            for task in tasks
            if task.name in labels
            for key, array in _packed(task, labels[task.name]).items()
        }
        arrays[_IMAGE] = np.uint32(checksum(sample.image))  # type: ignore[assignment]
        with atomic(self.path(sample.name)) as part:
            np.savez_compressed(part, allow_pickle=False, **arrays)

    def read(
        self, name: str, tasks: Sequence[Task], image: npt.NDArray[np.uint8] | None = None
    ) -> dict[str, PseudoLabel]:
        """A sample's labels of those tasks, as far as it has any.

        Args:
            name: The sample's.
            tasks: Whose labels.
            image: The sample's, where it is known: it must be the one that was labelled.

        Raises:
            DatasetError: The file is damaged or gone, or was made for another image.
        """
        path = self.path(name)
        if name not in self.record.names and not path.exists():
            return {}
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                made_for = int(file[_IMAGE])
                found = [(task, _of(task, file)) for task in tasks]
                labels = {task.name: _unpacked(task, arrays) for task, arrays in found if arrays}
        except Exception as err:  # A damaged zip raises a dozen kinds, which share no other root.
            raise DatasetError(
                f"{path}: expected pseudo-labels of {', '.join(t.name for t in tasks)}, got a "
                f"damaged file ({err!r:.200}); delete it and run pseudo-label again"
            ) from err
        if image is not None and checksum(image) != made_for:
            raise DatasetError(
                f"{name}: its pseudo-label in {self.folder} was made for another image"
            )
        return labels

    def finish(
        self,
        labelled: Mapping[str, Sequence[str]],
        histograms: Mapping[str, Mapping[str, Sequence[int]]],
    ) -> None:
        """Write down that all is done; see `Record` for the arguments.

        Raises:
            OutputError: The record cannot be written.
        """
        names = {task: tuple(some) for task, some in labelled.items()}
        counts = {
            task: {group: tuple(row) for group, row in groups.items()}
            for task, groups in histograms.items()
        }
        self.record = replace(self.record, finished=True, labelled=names, histograms=counts)
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


def checksum(image: npt.NDArray[np.uint8]) -> int:
    """What tells an image (H, W, 3) from others of the same name; cheap, of some of its rows."""
    return zlib.crc32(image[::_ROWS].tobytes(), zlib.crc32(repr(image.shape).encode()))


def teacher_of(folder: Path) -> dict[str, Any]:
    """Where a folder of pseudo-labels comes from, as plain types for the record of a student.

    Returns:
        `teacher`, its `sha256`, its `data` and `licence` in its card's words, and `recipe`, the
        SHA-256 of all that decides the labels.

    Raises:
        DatasetError: See `PseudoStore.open`.
    """
    recipe = PseudoStore.open(folder).record.recipe
    plain = json.dumps(config_fields(recipe), sort_keys=True)
    return {
        "teacher": recipe.teacher,
        "sha256": recipe.sha256,
        "recipe": hashlib.sha256(plain.encode()).hexdigest(),
        "data": list(recipe.teacher_data),
        "licence": recipe.licence,
    }


def _packed(task: Task, label: PseudoLabel) -> dict[str, npt.NDArray[Any]]:
    return {**task.packed(label.value), "confidence": quantised(label.confidence)}


def _of(task: Task, file: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    start = f"{task.name}."
    return {key.removeprefix(start): file[key] for key in file if key.startswith(start)}


def _unpacked(task: Task, arrays: Mapping[str, npt.NDArray[Any]]) -> PseudoLabel:
    return PseudoLabel(task.unpacked(arrays), LEVELS[arrays["confidence"]])


class Filtered(Wrapped):
    """A source whose own pseudo-labels, such as a recording's, are used as the settings say.

    Of these there are no histograms, so that `pseudo_threshold` holds for all groups.

    Args:
        source: The samples.
        tasks: What is trained.
        losses: The threshold, and whether values are hardened.
    """

    def __init__(self, source: SampleSource, tasks: Iterable[Task], losses: LossConfig) -> None:
        super().__init__(source)
        self._losses = losses
        least = np.float32(losses.pseudo_threshold)
        self._own = [(task, np.full(len(task.group_names), least)) for task in tasks]

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`."""
        sample = super().sample(index, epoch)
        used = {
            task.name: self._chosen(task, sample.pseudo[task.name], least, sample.name)
            for task, least in self._own
            if task.name in sample.pseudo
        }
        return replace(sample, pseudo={**sample.pseudo, **used}) if used else sample

    def _chosen(
        self, task: Task, label: PseudoLabel, least: npt.NDArray[np.float32], name: str
    ) -> PseudoLabel:
        kept = confident(task, label, least)
        if self._losses.pseudo_noise:
            rng = rng_for(0, f"{task.name}/{name}")
            kept = shuffled(kept, self._losses.pseudo_noise, rng)
        return replace(kept, value=task.hardened(kept.value)) if self._losses.pseudo_hard else kept


class WithPseudo(Filtered):
    """A source whose samples carry a folder's pseudo-labels: where they lack truth, or beside it.

    Args:
        source: The samples, with the labels that there are.
        folder: Pseudo-labels of these samples.
        tasks: What is trained; those that the folder does not have stay without.
        losses: Thresholds, and whether values are hardened.
        data: What `source` is; None = it is not compared with what was labelled.

    Raises:
        DatasetError: The folder is unfinished or damaged, holds labels of other classes, of none of
            these samples, of what another protocol left, or only of what lacks labels where
            `pseudo_everywhere` asks for more.
    """

    def __init__(
        self,
        source: SampleSource,
        folder: Path,
        tasks: Sequence[Task],
        losses: LossConfig,
        data: DataConfig | None = None,
    ) -> None:
        super().__init__(source, tasks, losses)
        self._store = PseudoStore.open(folder)
        recipe = self._store.record.recipe
        _check_protocol(recipe, data, folder)
        if losses.pseudo_everywhere and not recipe.everywhere:
            raise DatasetError(
                f"{folder}: has labels of what lacks truth alone, pseudo_everywhere expects those "
                "that `mtl-train pseudo-label --everywhere` makes"
            )
        self._tasks = [task for task in tasks if task.name in recipe.tasks]
        self._least = {task.name: self._store.thresholds(task, losses) for task in self._tasks}
        if self._store.record.names.isdisjoint(source.names):
            raise DatasetError(f"{folder}: has labels of none of these {len(source)} samples")

    def pseudo_labelled(self, task: str) -> Sequence[int]:
        """See `SampleSource.pseudo_labelled`."""
        found = set(super().pseudo_labelled(task))
        for one in (one for one in self._tasks if one.name == task):
            stored = frozenset(self._store.record.labelled[task])
            there = {index for index, name in enumerate(self.names) if name in stored}
            everywhere = one.fills_holes or self._losses.pseudo_everywhere
            found |= there if everywhere else there - set(self.labelled(task))
        return sorted(found)

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`.

        Raises:
            DatasetError: A file of the data set or of the folder is damaged, or the labels were
                made for another image.
        """
        sample = super().sample(index, epoch)
        stored = self._store.read(sample.name, self._tasks, sample.image)
        used = {
            task.name: self._used(task, stored[task.name], sample)
            for task in self._tasks
            if task.name in stored
        }
        labels = {name: label for name, label in used.items() if label is not None}
        return replace(sample, pseudo={**sample.pseudo, **labels})

    def _used(self, task: Task, label: PseudoLabel, sample: Sample) -> PseudoLabel | None:
        truth = None if self._losses.pseudo_everywhere else sample.truth.get(task.name)
        left = usable(task, label, truth)
        least = self._least[task.name]
        return None if left is None else self._chosen(task, left, least, sample.name)


def _check_protocol(recipe: Recipe, data: DataConfig | None, folder: Path) -> None:
    """Refuse labels of what another protocol left; where all is labelled, there is none."""
    if data is None or recipe.data is None or recipe.everywhere:
        return
    made, now = recipe.data.protocol, described(data).protocol
    if made != now:
        raise DatasetError(
            f"{folder}: labels what the protocol with SHA-256 {made or '(none)'} leaves unlabelled,"
            f" expected {now or '(none)'}"
        )
