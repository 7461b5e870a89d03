"""A sample: one image, its camera, and the labels there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mtl_core.geometry import Intrinsics


@dataclass(frozen=True)
class Sample:
    """One labelled image.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8 class ids, 255 = none.
        depth: (H, W) float32, metres along Z, NaN = none.
        intrinsics: The camera, at this size.
    """

    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    intrinsics: Intrinsics


class SampleSource(Protocol):
    """A data set; the epoch's number is all that may change what a sample shows."""

    def __len__(self) -> int:
        """Samples in one epoch."""

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """The sample of that index, in that epoch."""
