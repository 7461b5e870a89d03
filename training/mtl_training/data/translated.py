"""Labels of one label map as those of another that has all its classes, matched by name.

So one network learns from data sets that were labelled in different classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import cv2
import numpy as np

from mtl_core.card import CLASSES
from mtl_core.labels import LabelMap
from mtl_training.data.files import Mask
from mtl_training.data.sample import PseudoLabel, Sample
from mtl_training.data.source import SampleSource, Wrapped

T = TypeVar("T")


class Translated(Wrapped):
    """A source in other classes.

    Args:
        source: The samples.
        own: The label map that their masks and pseudo-labels are of.
        label_map: What they are to be of.

    Raises:
        LabelMapError: It lacks one of the source's classes.
    """

    def __init__(self, source: SampleSource, own: LabelMap, label_map: LabelMap) -> None:
        super().__init__(source)
        self._label_map, self._table = label_map, own.translation(label_map)
        self._ids = self._table[: len(own)]

    @property
    def label_map(self) -> LabelMap:
        """See `SampleSource`."""
        return self._label_map

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`."""
        sample = super().sample(index, epoch)
        truth = {name: self._mask(mask) for name, mask in _with_classes(sample.truth)}
        pseudo = {name: self._probabilities(label) for name, label in _with_classes(sample.pseudo)}
        return replace(sample, truth={**sample.truth, **truth}, pseudo={**sample.pseudo, **pseudo})

    def _mask(self, mask: Mask) -> Mask:
        return cv2.LUT(mask, self._table).astype(np.uint8, copy=False)

    def _probabilities(self, label: PseudoLabel) -> PseudoLabel:
        """None of the classes that only the other map has."""
        value = np.zeros((*label.confidence.shape, len(self._label_map)), np.float32)
        value[..., self._ids] = label.value
        return replace(label, value=value)


def _with_classes(labels: Mapping[str, T]) -> list[tuple[str, T]]:
    return [(name, one) for name, one in labels.items() if name in CLASSES]


def in_classes(source: SampleSource, label_map: LabelMap) -> SampleSource:
    """The source with labels of that map; itself where it has these classes, or none.

    Raises:
        LabelMapError: The map lacks one of the source's classes.
    """
    own = source.label_map
    if own is None or own.classes == label_map.classes:
        return source
    return Translated(source, own, label_map)
