"""Imbalance protocols: which samples of a data set keep the labels of which tasks.

Labels are kept and taken away by blocks of successive samples, because neighbours in a recording
are almost the same picture: with single frames, a label that was taken away would be given by the
next. A block is a scene where the source knows its scenes, also where it was left and comes again;
else it is `block` samples.

Each task's blocks have an order of their own, drawn from the seed, and a task keeps the first of
them: the labels of a small fraction are therefore a subset of those of a larger one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from mtl_core.labels import LabelMap
from mtl_training.data.files import read_json
from mtl_training.data.sample import Sample
from mtl_training.data.source import SampleSource, scenes_of
from mtl_training.errors import ConfigError, DatasetError
from mtl_training.files import write_json
from mtl_training.randomness import rng_for

Block = tuple[str, ...]
"""Names of samples that keep and lose labels together."""

SCHEMA = 1


@dataclass(frozen=True)
class Imbalance:
    """How labels are distributed.

    Attributes:
        kind: A key of `KINDS`: `fraction` of the samples for each task, `one-label` (each block
            keeps exactly one task) or `random-label` (a random non-empty set of tasks).
        fractions: For `fraction`: by task, 0..1; tasks that are not named keep all labels.
        block: Samples of a block, where the source does not know its scenes.
        calibration: Share 0..1 of the blocks with labels that the teacher does not see, so that
            its confidence can be measured there; at least one block for each task, unless 0.
        seed: Of every draw.

    Raises:
        ConfigError: A setting is out of range.
    """

    kind: str
    fractions: Mapping[str, float] = field(default_factory=dict)
    block: int = 3
    calibration: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be distributed."""
        if self.kind not in KINDS:
            raise ConfigError(f"unknown protocol {self.kind!r}, known: {', '.join(KINDS)}")
        if bool(self.fractions) != (self.kind == "fraction"):
            raise ConfigError(f"fractions belong to the protocol `fraction` alone, got {self}")
        if any(not 0 <= share <= 1 for share in self.fractions.values()):
            raise ConfigError(f"fractions are 0 to 1, got {dict(self.fractions)}")
        if self.block < 1 or not 0 <= self.calibration < 1:
            raise ConfigError(
                f"block >= 1 and 0 <= calibration < 1 expected, "
                f"got {self.block} and {self.calibration}"
            )


@dataclass(frozen=True)
class Assignment:
    """Which samples keep which labels.

    Attributes:
        imbalance: What it was made by.
        names: All samples, in the source's order.
        labels: By task, the names of the samples that keep its labels.
        calibration: Names of samples that the teacher must not train on; students may.
    """

    imbalance: Imbalance
    names: Block
    labels: Mapping[str, frozenset[str]]
    calibration: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse names that are not in the list."""
        known = frozenset(self.names)
        if unknown := self.calibration.union(*self.labels.values()) - known:
            raise DatasetError(f"assignment: not among its samples: {min(unknown)!r}")

    def check(self, source: SampleSource) -> None:
        """Refuse a source that this was not made for.

        Raises:
            DatasetError: Names or tasks differ.
        """
        if tuple(source.names) != self.names:
            other = sorted(set(source.names) ^ set(self.names))
            detail = f"first difference: {other[0]!r}" if other else "their order differs"
            raise DatasetError(
                f"assignment of {len(self.names)} samples, the source has {len(source)}; {detail}"
            )
        if missing := self.labels.keys() ^ source.tasks:
            raise DatasetError(
                f"assignment of the tasks {_listed(self.labels)}, the source has "
                f"{_listed(source.tasks)}: {_listed(missing)} in one only"
            )

    def save(self, path: Path) -> None:
        """Write the assignment as JSON."""
        fields = {
            "schema": SCHEMA,
            "imbalance": {**vars(self.imbalance), "fractions": dict(self.imbalance.fractions)},
            "names": self.names,
            "labels": {task: self._ordered(kept) for task, kept in sorted(self.labels.items())},
            "calibration": self._ordered(self.calibration),
        }
        write_json(path, fields)

    @classmethod
    def load(cls, path: Path) -> Assignment:
        """Read what `save` wrote.

        Raises:
            DatasetError: The file is missing or not an assignment.
        """
        fields = read_json(path)
        try:
            if fields["schema"] != SCHEMA:
                raise DatasetError(f"schema {SCHEMA} expected, got {fields['schema']!r}")
            return cls(
                imbalance=Imbalance(**fields["imbalance"]),
                names=tuple(fields["names"]),
                labels={task: frozenset(names) for task, names in fields["labels"].items()},
                calibration=frozenset(fields["calibration"]),
            )
        except (AttributeError, KeyError, TypeError, ConfigError, DatasetError) as err:
            raise DatasetError(f"{path}: not an assignment of labels: {err!r}") from err

    def _ordered(self, names: Collection[str]) -> list[str]:
        return [name for name in self.names if name in names]


def assign(source: SampleSource, imbalance: Imbalance) -> Assignment:
    """Draw which samples keep which labels.

    Raises:
        ConfigError: A task is unknown to the source, or calibration would leave the teacher no
            labels of one.
    """
    if unknown := imbalance.fractions.keys() - source.tasks:
        raise ConfigError(
            f"fractions of {_listed(unknown)}, the source has: {_listed(source.tasks)}"
        )
    blocks = blocks_of(source, imbalance.block)
    chosen = KINDS[imbalance.kind](blocks, sorted(source.tasks), imbalance)
    labels = {task: _union(kept) for task, kept in chosen.items()}
    aside = _set_aside(chosen, len(blocks), imbalance.calibration)
    return Assignment(imbalance, tuple(source.names), labels, aside)


def blocks_of(source: SampleSource, size: int) -> list[Block]:
    """The source's samples by scene, else in runs of `size`; the last may be shorter."""
    keys = scenes_of(source) or [str(index // size) for index in range(len(source))]
    blocks: dict[str, list[str]] = {}
    for key, name in zip(keys, source.names, strict=True):
        blocks.setdefault(key, []).append(name)
    return [tuple(names) for names in blocks.values()]


def _fraction(
    blocks: list[Block], tasks: Sequence[str], imbalance: Imbalance
) -> dict[str, list[Block]]:
    """For each task the first blocks of its order that come nearest to its fraction."""
    chosen = {}
    for task in tasks:
        ordered = [blocks[at] for at in _order(len(blocks), imbalance.seed, task)]
        reached = np.cumsum([0, *map(len, ordered)])
        share = imbalance.fractions.get(task, 1.0)
        nearest = int(np.abs(reached - share * reached[-1]).argmin())
        chosen[task] = ordered[: max(nearest, int(share > 0))]
    return chosen


def _one_label(
    blocks: list[Block], tasks: Sequence[str], imbalance: Imbalance
) -> dict[str, list[Block]]:
    """Blocks dealt out to the tasks, equally many to each but for the remainder."""
    order = _order(len(blocks), imbalance.seed, "one-label")
    return {task: [blocks[at] for at in order[i :: len(tasks)]] for i, task in enumerate(tasks)}


def _random_label(
    blocks: list[Block], tasks: Sequence[str], imbalance: Imbalance
) -> dict[str, list[Block]]:
    """Each non-empty set of tasks is as likely as any other."""
    rng = rng_for(imbalance.seed, "random-label")
    sets = rng.integers(1, 2 ** len(tasks), len(blocks))
    order = rng.permutation(len(blocks))
    return {task: [blocks[at] for at in order if sets[at] >> i & 1] for i, task in enumerate(tasks)}


KINDS: Mapping[str, Callable[[list[Block], Sequence[str], Imbalance], dict[str, list[Block]]]] = {
    "fraction": _fraction,
    "one-label": _one_label,
    "random-label": _random_label,
}
"""What gives, for each task, its labelled blocks in the order in which they are set aside."""


def _set_aside(chosen: Mapping[str, list[Block]], blocks: int, share: float) -> frozenset[str]:
    """Blocks for calibration: of each task that lacks labels, else of all, its share.

    Scarce tasks choose first, and the others spare their blocks where they can.
    """
    if share == 0:
        return frozenset()
    scarce = {task: kept for task, kept in chosen.items() if 0 < len(kept) < blocks} or chosen
    aside: set[Block] = set()
    spared: set[Block] = set()
    for _, kept in sorted(scarce.items(), key=lambda item: (len(item[1]), item[0])):
        wanted = max(1, math.ceil(share * len(kept))) - len(aside.intersection(kept))
        free = sorted((block for block in kept if block not in aside), key=spared.__contains__)
        aside.update(free[: max(wanted, 0)])
        spared.update(kept)
    for task, kept in scarce.items():
        if aside.issuperset(kept):
            raise ConfigError(
                f"calibration {share:g} leaves no labels of {task} to train on: "
                f"it has {len(kept)} blocks"
            )
    return _union(aside)


def _union(blocks: Iterable[Block]) -> frozenset[str]:
    return frozenset(name for block in blocks for name in block)


def _order(count: int, seed: int, what: str) -> list[int]:
    return [int(at) for at in rng_for(seed, what).permutation(count)]


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"


@dataclass(frozen=True)
class Subset:
    """Some samples of a source, in its order."""

    source: SampleSource
    indices: tuple[int, ...]

    @property
    def label_map(self) -> LabelMap | None:
        """See `SampleSource`."""
        return self.source.label_map

    @cached_property
    def names(self) -> Block:
        """See `SampleSource`."""
        return tuple(self.source.names[index] for index in self.indices)

    @cached_property
    def scenes(self) -> Block | None:
        """The samples' scenes; None where the source does not know them."""
        scenes = scenes_of(self.source)
        return None if scenes is None else tuple(scenes[index] for index in self.indices)

    @property
    def tasks(self) -> frozenset[str]:
        """See `SampleSource`."""
        return frozenset(task for task in self.source.tasks if self.labelled(task))

    def labelled(self, task: str) -> Sequence[int]:
        """See `SampleSource.labelled`."""
        return self._among(self.source.labelled(task))

    def pseudo_labelled(self, task: str) -> Sequence[int]:
        """See `SampleSource.pseudo_labelled`."""
        return self._among(self.source.pseudo_labelled(task))

    def _among(self, indices: Sequence[int]) -> tuple[int, ...]:
        """Where those of the source's samples stand here."""
        there = frozenset(indices)
        return tuple(at for at, index in enumerate(self.indices) if index in there)

    def __len__(self) -> int:
        """Samples."""
        return len(self.indices)

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`."""
        return self.source.sample(self.indices[index], epoch)


@dataclass(frozen=True)
class Limited(Subset):
    """Samples with the ground truth of those names alone, by task."""

    labels: Mapping[str, frozenset[str]]

    def labelled(self, task: str) -> Sequence[int]:
        """See `SampleSource.labelled`."""
        kept = self.labels.get(task, frozenset())
        return tuple(at for at in super().labelled(task) if self.names[at] in kept)

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`."""
        sample = super().sample(index, epoch)
        truth = {t: y for t, y in sample.truth.items() if sample.name in self.labels[t]}
        return replace(sample, truth=truth)


def limit(source: SampleSource, assignment: Assignment, keep_calibration: bool = True) -> Limited:
    """All samples, with the labels that the assignment leaves.

    Args:
        source: What the assignment was made for.
        assignment: See `assign`.
        keep_calibration: Whether the samples set aside keep their labels; for a teacher they
            must not.

    Raises:
        DatasetError: The assignment was made for another source.
    """
    assignment.check(source)
    without: frozenset[str] = frozenset() if keep_calibration else assignment.calibration
    labels = {task: names - without for task, names in assignment.labels.items()}
    return Limited(source, tuple(range(len(source))), labels)


def subset(source: SampleSource, names: Collection[str]) -> Subset:
    """The samples of those names, in the source's order.

    Raises:
        DatasetError: The source has no sample of a name, or no name is given.
    """
    wanted = frozenset(names)
    if unknown := wanted.difference(source.names):
        raise DatasetError(f"no sample {min(unknown)!r} among the source's {len(source)}")
    if not wanted:
        raise DatasetError("a subset without samples")
    return Subset(source, tuple(i for i, name in enumerate(source.names) if name in wanted))


def hidden(source: SampleSource, assignment: Assignment, task: str) -> Subset:
    """The samples whose labels of a task were taken away, with them: to judge pseudo-labels by.

    Raises:
        DatasetError: The assignment was made for another source, or took none away.
    """
    assignment.check(source)
    if task not in assignment.labels:
        raise DatasetError(f"no task {task!r} in an assignment of {_listed(assignment.labels)}")
    there = frozenset(source.names[index] for index in source.labelled(task))
    return subset(source, there - assignment.labels[task])
