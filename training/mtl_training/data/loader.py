"""Batches of several sources in one reproducible order, whatever the number of workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mtl_core.card import InputSpec
from mtl_training.data.augment import Augmentation, to_tensors
from mtl_training.data.sample import SampleSource

Draw = tuple[int, int]
"""An epoch and an index into the joined sources: all that a sample's randomness depends on."""


class EpochOrder(Sampler[Draw]):
    """A new permutation each epoch, from the seed and the epoch's number alone."""

    def __init__(self, length: int, seed: int) -> None:
        """Epoch 0 comes first; set `epoch` before each pass."""
        self._length, self._seed = length, seed
        self.epoch = 0

    def __len__(self) -> int:
        """Draws of one epoch."""
        return self._length

    def __iter__(self) -> Iterator[Draw]:
        """(epoch, index) for each sample."""
        order = np.random.default_rng((self._seed, self.epoch)).permutation(self._length)
        return iter([(self.epoch, int(index)) for index in order])


class AugmentedSamples(Dataset[dict[str, Tensor]]):
    """Sources joined end to end, augmented and turned to tensors."""

    def __init__(
        self, sources: Sequence[SampleSource], spec: InputSpec, canonical_fx: float, seed: int
    ) -> None:
        """See `to_tensors` for what an item holds."""
        self._sources, self._spec = list(sources), spec
        self._canonical_fx, self._seed = canonical_fx, seed
        self._augment = Augmentation()

    def __len__(self) -> int:
        """Samples of one epoch."""
        return sum(len(source) for source in self._sources)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        """The sample of an epoch and an index; the same each time it is asked for."""
        epoch, index = draw
        rng = np.random.default_rng((self._seed, epoch, index))
        for source in self._sources:
            if index < len(source):
                sample = self._augment(source.sample(index, epoch), self._spec, rng)
                return to_tensors(sample, self._spec, self._canonical_fx)
            index -= len(source)
        raise IndexError(f"index beyond the {len(self)} samples of an epoch")


def batches(
    samples: AugmentedSamples, order: EpochOrder, batch_size: int, workers: int
) -> DataLoader[dict[str, Tensor]]:
    """Whole batches only, in the given order."""
    return DataLoader(
        samples,
        batch_size=batch_size,
        sampler=order,
        num_workers=workers,
        drop_last=True,
        worker_init_fn=_one_thread,
    )


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
