"""A sample: one image, its camera, and for each task its labels, of whatever origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from mtl_core.geometry import Intrinsics
from mtl_training.errors import DatasetError


class LabelState(StrEnum):
    """Where a sample's labels of a task come from."""

    TRUTH = "truth"
    PSEUDO = "pseudo"
    NONE = "none"


@dataclass(frozen=True)
class PseudoLabel:
    """What a teacher said of one task, on a grid of its own that covers the whole image.

    Attributes:
        value: (h, w, C) float32, by task: class probabilities; metres for the image's own camera;
            unit normals.
        confidence: (h, w) float32 in 0..1, the probability of being right; 0 = not to be used.
    """

    value: npt.NDArray[np.float32]
    confidence: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        """Refuse grids that differ."""
        if self.value.ndim != 3 or self.value.shape[:2] != self.confidence.shape:
            raise DatasetError(
                "pseudo-label: (h, w, C) values and (h, w) confidences expected, got "
                f"{self.value.shape} and {self.confidence.shape}"
            )


@dataclass(frozen=True)
class Sample:
    """One image with the labels there are.

    Attributes:
        name: Unique in its source and the same each time.
        image: (H, W, 3) uint8 RGB.
        truth: Ground truth by task, (H, W) or (H, W, C): `segmentation` uint8 ids with 255 = none,
            `depth` float32 metres along Z with NaN = none, `normals` float32 unit vectors in the
            camera's optical frame, facing the camera, with NaN = none; else as the task says.
        intrinsics: The camera at this size; None = unknown.
        pseudo: Pseudo-labels by task.

    Raises:
        DatasetError: Sizes or types disagree.
    """

    name: str
    image: npt.NDArray[np.uint8]
    truth: Mapping[str, npt.NDArray[Any]]
    intrinsics: Intrinsics | None
    pseudo: Mapping[str, PseudoLabel] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the sizes of everything against the image's."""
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise DatasetError(
                f"{self.name}: image must be (H, W, 3) uint8, "
                f"got {self.image.shape} {self.image.dtype}"
            )
        size = self.image.shape[:2]
        for task, labels in self.truth.items():
            if labels.shape[:2] != size:
                raise DatasetError(
                    f"{self.name}: the image is {size[1]}x{size[0]}, "
                    f"its {task} labels are {labels.shape[1]}x{labels.shape[0]}"
                )
        camera = self.intrinsics
        if camera is not None and (camera.height, camera.width) != size:
            raise DatasetError(
                f"{self.name}: the image is {size[1]}x{size[0]}, "
                f"its intrinsics are for {camera.width}x{camera.height}"
            )

    def state(self, task: str) -> LabelState:
        """What labels there are of a task; where both kinds are, truth goes before."""
        if task in self.truth:
            return LabelState.TRUTH
        return LabelState.PSEUDO if task in self.pseudo else LabelState.NONE
