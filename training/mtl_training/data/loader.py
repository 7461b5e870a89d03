"""Batches in one reproducible order: batch k follows from the seed and k alone.

So training goes on after a kill without a saved generator's state, and the number of workers, of
devices or of earlier runs changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mtl_training.data.augment import Augmentation, View
from mtl_training.data.sample import PseudoLabel
from mtl_training.data.source import SampleSource
from mtl_training.errors import ConfigError
from mtl_training.tasks.base import Task

Draw = tuple[int, int]
"""An epoch and an index into the joined sources: all that a sample's randomness depends on."""

Batch = dict[str, Any]
"""See `collate`."""


class Pool:
    """Indices drawn over and over, each once before any comes again."""

    def __init__(self, indices: Sequence[int], seed: tuple[int, ...]) -> None:
        """The indices and what their order follows from."""
        self._indices, self._seed = np.asarray(indices), seed

    def draw(self, number: int) -> Draw:
        """The epoch and the index of a draw."""
        epoch, place = divmod(number, len(self._indices))
        return epoch, int(self._order(epoch)[place])

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        if epoch != getattr(self, "_epoch", None):
            rng = np.random.default_rng((*self._seed, epoch))
            self._epoch, self._permuted = epoch, rng.permutation(self._indices)
        return self._permuted


class BatchOrder(Sampler[list[Draw]]):
    """Batches `first` to `last`; each pool gives its share of every batch.

    Args:
        pools: Indices by pool; one pool is plain sampling.
        batch_size: Over all devices together, a multiple of pools times devices.
        seed: Of all orders.
        first: Number of the first batch.
        last: One past the last batch.
        part: This device's number and how many there are: it gets every so many-th draw.
    """

    def __init__(
        self,
        pools: Sequence[Sequence[int]],
        batch_size: int,
        seed: int,
        first: int,
        last: int,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        """Refuse what gives uneven batches."""
        if batch_size % (len(pools) * part[1]):
            raise ConfigError(
                f"a batch of {batch_size} cannot be shared by {len(pools)} pools and "
                f"{part[1]} devices"
            )
        self._pools = [Pool(pool, (seed, number)) for number, pool in enumerate(pools)]
        self._share, self._range, self._part = batch_size // len(pools), (first, last), part

    def __len__(self) -> int:
        """Batches to come."""
        return self._range[1] - self._range[0]

    def __iter__(self) -> Iterator[list[Draw]]:
        """The draws of each batch."""
        for number in range(*self._range):
            yield self._batch(number)

    def _batch(self, number: int) -> list[Draw]:
        """This device's part, with as much of each pool as any other device has."""
        rank, devices = self._part
        turns = range(number * self._share, (number + 1) * self._share)[rank::devices]
        return [pool.draw(turn) for turn in turns for pool in self._pools]


class Views(Dataset[View]):
    """Sources joined end to end, augmented.

    Args:
        sources: In the order of their indices.
        augment: To the network's size.
        seed: With a draw, all that a view's randomness depends on.
    """

    def __init__(self, sources: Sequence[SampleSource], augment: Augmentation, seed: int) -> None:
        """Nothing is read yet."""
        self._sources, self._augment, self._seed = list(sources), augment, seed

    def __len__(self) -> int:
        """Samples of one epoch."""
        return sum(len(source) for source in self._sources)

    def __getitem__(self, draw: Draw) -> View:
        """The view of a draw; the same each time it is asked for."""
        epoch, index = draw
        rng = np.random.default_rng((self._seed, epoch, index))
        for source in self._sources:
            if index < len(source):
                return self._augment(source.sample(index, epoch), rng)
            index -= len(source)
        raise IndexError(f"index beyond the {len(self)} samples of an epoch")


@dataclass(frozen=True)
class Collate:
    """Stacks views to a batch.

    `image` (N, 3, H, W) uint8 RGB, channels last in memory; `truth` {task: (N, H, W) or
    (N, H, W, C)}, labels at the canonical focal length, where there are none the task's mark;
    `value` {task: (N, C, H/4, W/4) float32} and `weight` {task: (N, H/4, W/4) float32}, the
    pseudo-labels of tasks that have any in this batch.
    """

    tasks: Mapping[str, Task]

    def __call__(self, views: Sequence[View]) -> Batch:
        """See the class."""
        images = np.stack([view.sample.image for view in views])
        batch: Batch = {
            "image": torch.from_numpy(images).permute(0, 3, 1, 2),
            "truth": {name: self._truth(task, views) for name, task in self.tasks.items()},
            "value": {},
            "weight": {},
        }
        for name, task in self.tasks.items():
            if any(name in view.sample.pseudo for view in views):
                batch["value"][name], batch["weight"][name] = self._pseudo(task, views)
        return batch

    def _truth(self, task: Task, views: Sequence[View]) -> Tensor:
        size = views[0].sample.image.shape[:2]
        return torch.from_numpy(
            np.stack(
                [
                    task.zoomed(view.sample.truth[task.name], view.focal_ratio)
                    if task.name in view.sample.truth
                    else task.absent(*size)
                    for view in views
                ]
            )
        )

    def _pseudo(self, task: Task, views: Sequence[View]) -> tuple[Tensor, Tensor]:
        found = [view.sample.pseudo.get(task.name) for view in views]
        some = next(pseudo for pseudo in found if pseudo is not None)
        empty = PseudoLabel(np.zeros_like(some.value), np.zeros_like(some.confidence))
        value = [
            task.zoomed((pseudo or empty).value, view.focal_ratio)
            for pseudo, view in zip(found, views, strict=True)
        ]
        weight = [(pseudo or empty).confidence for pseudo in found]
        stacked = torch.from_numpy(np.stack(value)).permute(0, 3, 1, 2).contiguous()
        return stacked, torch.from_numpy(np.stack(weight))


def batches(
    views: Views, order: BatchOrder, tasks: Mapping[str, Task], workers: int
) -> DataLoader[Batch]:
    """The batches of an order, prepared by that many processes (0 = this one)."""
    return DataLoader(
        views,  # type: ignore[arg-type]
        batch_sampler=order,
        num_workers=workers,
        collate_fn=Collate(tasks),
        worker_init_fn=_one_thread,
        persistent_workers=False,
    )


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


def pools(
    sources: Sequence[SampleSource], tasks: Sequence[str], balanced: bool, unlabelled: bool
) -> list[list[int]]:
    """Indices into the joined sources, by pool.

    Args:
        sources: In the order of their indices.
        tasks: What is learned.
        balanced: Whether the samples with truth of the rarest task make a pool, the rest another.
        unlabelled: Whether samples without any labels of the tasks are of use.
    """
    by_task = [labelled(sources, task) for task in tasks]
    taught = [*by_task, *(pseudo_labelled(sources, task) for task in tasks)]
    count = sum(len(source) for source in sources)
    useful = set(range(count)) if unlabelled else {index for found in taught for index in found}
    rare = min(by_task, key=len) if balanced else []
    rest = sorted(useful - set(rare))
    return [pool for pool in (rare, rest) if pool]


def labelled(sources: Sequence[SampleSource], task: str) -> list[int]:
    """Indices into the joined sources of the samples that have truth of a task."""
    return _indices(sources, lambda source: source.labelled(task))


def pseudo_labelled(sources: Sequence[SampleSource], task: str) -> list[int]:
    """Indices into the joined sources of the samples that have pseudo-labels of a task."""
    return _indices(sources, lambda source: source.pseudo_labelled(task))


def _indices(
    sources: Sequence[SampleSource], of: Callable[[SampleSource], Sequence[int]]
) -> list[int]:
    """Indices into the joined sources, from those that `of` gives for each."""
    starts = accumulate((len(source) for source in sources), initial=0)
    return [
        start + index
        for start, source in zip(starts, sources, strict=False)
        for index in of(source)
    ]
