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


class Wrapped:
    """A source that shows another one's samples; what it changes of them is up to subclasses.

    Args:
        source: The samples.
    """

    def __init__(self, source: SampleSource) -> None:
        self._source = source

    @property
    def label_map(self) -> LabelMap | None:
        """See `SampleSource`."""
        return self._source.label_map

    @property
    def names(self) -> Sequence[str]:
        """See `SampleSource`."""
        return self._source.names

    @property
    def scenes(self) -> Sequence[str] | None:
        """See `scenes_of`."""
        return scenes_of(self._source)

    @property
    def tasks(self) -> frozenset[str]:
        """See `SampleSource`."""
        return self._source.tasks

    def __len__(self) -> int:
        """Samples."""
        return len(self._source)

    def labelled(self, task: str) -> Sequence[int]:
        """See `SampleSource.labelled`."""
        return self._source.labelled(task)

    def pseudo_labelled(self, task: str) -> Sequence[int]:
        """See `SampleSource.pseudo_labelled`."""
        return self._source.pseudo_labelled(task)

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`."""
        return self._source.sample(index, epoch)


def scenes_of(source: SampleSource) -> Sequence[str] | None:
    """Where each sample was taken; None where the source does not know."""
    scenes: Sequence[str] | None = getattr(source, "scenes", None)
    return scenes
