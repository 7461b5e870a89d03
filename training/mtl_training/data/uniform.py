"""What data sets share whose samples all have ground truth of the same tasks."""

from __future__ import annotations

from collections.abc import Sequence

from mtl_core.labels import LabelMap


class Uniform:
    """The part of a `SampleSource` that follows from names and tasks.

    Attributes:
        label_map: Of the segmentation.
        names: Of the samples, in the order of recording.
        tasks: Of which each sample has ground truth.
        scenes: Where each sample was taken; None = unknown. Protocols never share out the samples
            of one scene, also where it comes again.
    """

    label_map: LabelMap
    names: Sequence[str]
    tasks: frozenset[str]
    scenes: Sequence[str] | None = None

    def __len__(self) -> int:
        """Samples of an epoch."""
        return len(self.names)

    def labelled(self, task: str) -> Sequence[int]:
        """Indices of the samples that have ground truth of a task."""
        return range(len(self)) if task in self.tasks else ()

    def pseudo_labelled(self, task: str) -> Sequence[int]:
        """See `SampleSource.pseudo_labelled`."""
        return ()
