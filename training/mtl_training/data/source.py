"""What all data sets have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mtl_core.labels import LabelMap
from mtl_training.data.sample import Sample


class SampleSource(Protocol):
    """A data set; the epoch's number is all that may change what a sample shows."""

    @property
    def label_map(self) -> LabelMap | None:
        """Of its segmentation; None where it has none."""

    @property
    def names(self) -> Sequence[str]:
        """The samples' names, in the order of recording, in which neighbours are alike."""

    @property
    def tasks(self) -> frozenset[str]:
        """Tasks that samples have ground truth of."""

    def __len__(self) -> int:
        """Samples in one epoch."""

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """The sample of that index, in that epoch.

        Raises:
            DatasetError: A file is missing, damaged or contradicts another; it is named.
        """

    def labelled(self, task: str) -> Sequence[int]:
        """Indices of the samples that have ground truth of a task."""

    def pseudo_labelled(self, task: str) -> Sequence[int]:
        """Indices of the samples that have pseudo-labels of a task."""
