"""Conditions that a model is measured under: the same scenes, seen otherwise.

A change of the image alone keeps labels and camera. A change of the view moves labels along with
pixels and says what camera sees the result, so that metric depth has to follow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mtl_core.geometry import Intrinsics
from mtl_training.data.augment import Window
from mtl_training.data.degradation import Image, blurred, compressed, noisy
from mtl_training.data.sample import Sample
from mtl_training.tasks.base import Labels, Task


class Change:
    """Makes another sample of a sample; this one leaves everything as it is."""

    def __call__(self, sample: Sample, tasks: Sequence[Task], rng: np.random.Generator) -> Sample:
        """The changed sample, with the truth of these tasks and without pseudo-labels."""
        truth = {
            task.name: self.labels(task, sample.truth[task.name], sample)
            for task in tasks
            if task.name in sample.truth
        }
        return Sample(sample.name, self.image(sample, rng), truth, self.camera(sample))

    def image(self, sample: Sample, rng: np.random.Generator) -> Image:
        """The changed image (h, w, 3) uint8 RGB."""
        return sample.image

    def labels(self, task: Task, labels: Labels, sample: Sample) -> Labels:
        """A task's labels of the sample's image, true or predicted, as those of the changed one."""
        return labels

    def camera(self, sample: Sample) -> Intrinsics | None:
        """What the predictor is told of the camera that sees the changed image."""
        return sample.intrinsics


@dataclass(frozen=True)
class Exposure(Change):
    """Values times a gain, cut off at white."""

    gain: float

    def image(self, sample: Sample, rng: np.random.Generator) -> Image:
        """See `Change.image`."""
        return cv2.convertScaleAbs(sample.image, alpha=self.gain)  # type: ignore[return-value]


@dataclass(frozen=True)
class Blur(Change):
    """Out of focus: a Gaussian of that standard deviation, in pixels of an image 640 wide."""

    sigma: float

    def image(self, sample: Sample, rng: np.random.Generator) -> Image:
        """See `Change.image`."""
        return blurred(sample.image, self.sigma)


@dataclass(frozen=True)
class Noise(Change):
    """Gaussian noise of that standard deviation (of 255), each pixel and channel its own."""

    sigma: float

    def image(self, sample: Sample, rng: np.random.Generator) -> Image:
        """See `Change.image`."""
        return noisy(sample.image, self.sigma, rng)


@dataclass(frozen=True)
class Jpeg(Change):
    """Compressed and decompressed at that quality, 0..100."""

    quality: int

    def image(self, sample: Sample, rng: np.random.Generator) -> Image:
        """See `Change.image`."""
        return compressed(sample.image, self.quality)


@dataclass(frozen=True)
class Roll(Change):
    """The image turns about the optical axis; clockwise is positive.

    Depth along that axis stays. What was out of sight is a mirror image and has no labels.
    """

    degrees: float

    def image(self, sample: Sample, rng: np.random.Generator) -> Image:
        """See `Change.image`."""
        size = sample.image.shape[1::-1]
        border = cv2.BORDER_REFLECT_101
        return cv2.warpAffine(sample.image, self._map(sample), size, borderMode=border)  # type: ignore[return-value]

    def labels(self, task: Task, labels: Labels, sample: Sample) -> Labels:
        """See `Change.labels`."""
        none = task.absent(1, 1).ravel().tolist()
        size = labels.shape[1::-1]
        flags = cv2.INTER_NEAREST
        moved = cv2.warpAffine(labels, self._map(sample), size, flags=flags, borderValue=none)
        return task.rolled(moved, self.degrees)

    def _map(self, sample: Sample) -> npt.NDArray[np.float64]:
        """Affine map (2, 3) from pixels to where they go; of an unknown camera about its middle."""
        height, width = sample.image.shape[:2]
        centre = ((width - 1) / 2, (height - 1) / 2)
        camera = sample.intrinsics or Intrinsics(width, height, width, width, *centre)
        projection = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
        turn = math.radians(self.degrees)
        cos, sin = math.cos(turn), math.sin(turn)
        rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        return np.asarray((projection @ rotation @ np.linalg.inv(projection))[:2])


@dataclass(frozen=True)
class NarrowerLens(Change):
    """The middle of the image, as a camera of a longer focal length sees it.

    Attributes:
        zoom: That focal length over the sample's, both in shares of the image's width.
        told: Whether the predictor is told of it; else it is told the focal length of before, as a
            share of the width.
    """

    zoom: float
    told: bool = True

    def image(self, sample: Sample, rng: np.random.Generator) -> Image:
        """See `Change.image`."""
        return np.ascontiguousarray(self._window(sample).cut(sample.image))

    def labels(self, task: Task, labels: Labels, sample: Sample) -> Labels:
        """See `Change.labels`."""
        return np.ascontiguousarray(self._window(sample).cut(labels))

    def camera(self, sample: Sample) -> Intrinsics | None:
        """See `Change.camera`."""
        if sample.intrinsics is None:
            return None
        window = self._window(sample)
        if not self.told:
            return sample.intrinsics.resized(window.width, window.height)
        return sample.intrinsics.cropped(window.left, window.top, window.width, window.height)

    def _window(self, sample: Sample) -> Window:
        height, width = sample.image.shape[:2]
        size = (height, width)
        return Window.place(size, size, self.zoom, np.array([0.5, 0.5]))


UNCHANGED = "as it is"

CONDITIONS: Mapping[str, Change] = {
    UNCHANGED: Change(),
    "darker x 0.5": Exposure(0.5),
    "brighter x 1.5": Exposure(1.5),
    "blur 2 px": Blur(2.0),
    "noise 15": Noise(15.0),
    "JPEG 20": Jpeg(20),
    "roll +5 deg": Roll(5.0),
    "roll -5 deg": Roll(-5.0),
    "lens x 1.5": NarrowerLens(1.5),
    "lens x 1.5, not told": NarrowerLens(1.5, told=False),
}
"""By name, in the order of the report; each is compared with the first one."""
