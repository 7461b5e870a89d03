"""Augmentation that keeps labels, pseudo-labels and intrinsics right.

Zooming an image by s multiplies its focal length by s and leaves depth alone; the depth *at a
canonical focal length*, which is what is learned, is divided by s (and inverse depth multiplied).
Here that falls out of the intrinsics, which each step carries along, and of one call of
`Task.zoomed` in `loader.Collate`. Where the camera is not known, the scale stands for it: the whole
image, as prediction fits it into the input, is taken to be seen at the canonical focal length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mtl_core.geometry import Intrinsics
from mtl_core.images import resized
from mtl_core.interface import STRIDE
from mtl_training.data.degradation import degraded
from mtl_training.data.sample import PseudoLabel, Sample
from mtl_training.tasks.base import Task

_INTERPOLATION = {"nearest": cv2.INTER_NEAREST_EXACT, "linear": cv2.INTER_LINEAR}


@dataclass(frozen=True)
class View:
    """A sample at a network's size.

    Attributes:
        sample: The sample; its pseudo-labels lie on a grid of stride 4.
        focal_ratio: Its focal length over the canonical one.
    """

    sample: Sample
    focal_ratio: float


@dataclass(frozen=True)
class Window:
    """A part of an image, in pixels of that image."""

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def place(
        cls,
        size: tuple[int, int],
        target: tuple[int, int],
        zoom: float,
        at: npt.NDArray[np.float64],
    ) -> Window:
        """1 / zoom of the largest window of the target's aspect, `at` saying where (x, y in 0..1).

        Sizes are (height, width).
        """
        (rows, columns), (height, width) = size, target
        scale = min(columns / width, rows / height) / zoom
        w, h = round(width * scale), round(height * scale)
        return cls(round(at[0] * (columns - w)), round(at[1] * (rows - h)), w, h)

    def cut(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The window's part of an array (H, W, ...)."""
        return array[self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True)
class Augmentation:
    """Brings samples to the size that is trained on, each time another way.

    Attributes:
        tasks: By name; labels of other tasks are left out.
        height: Of the network's input when it predicts.
        width: Likewise.
        canonical_fx: Focal length that labels are brought to, pixels at `width`.
        crop: Height and width of views; () = those of the network's input.
        max_zoom: Zoom is drawn from 1, the whole image filling the view, to this.
        flip: Probability of a mirror image.
        colour: Relative change of brightness, contrast and saturation, at most.
        degrade: Probability of blur, of noise, and of compression.
    """

    tasks: Mapping[str, Task]
    height: int
    width: int
    canonical_fx: float
    crop: tuple[int, ...] = ()
    max_zoom: float = 1.5
    flip: float = 0.5
    colour: float = 0.3
    degrade: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of views."""
        height, width = self.crop or (self.height, self.width)
        return height, width

    def __call__(self, sample: Sample, rng: np.random.Generator) -> View:
        """A random view of the sample."""
        zoom = float(rng.uniform(1.0, self.max_zoom))
        view = self.zoomed(sample, zoom, rng.uniform(size=2))
        if rng.uniform() < self.flip:
            view = self.mirrored(view)
        image = jitter(view.sample.image, self.colour, rng)
        if self.degrade:
            image = degraded(image, self.degrade, rng)
        return replace(view, sample=replace(view.sample, image=image))

    def zoomed(self, sample: Sample, zoom: float, at: npt.NDArray[np.float64]) -> View:
        """A window of the sample at the views' size; labels stay the camera's own.

        Args:
            sample: Any size.
            zoom: At least 1.
            at: (2,) in 0..1: where the window lies between left and right, top and bottom.
        """
        size = sample.image.shape[:2]
        window = Window.place(size, self.size, zoom, at)
        view = replace(
            sample,
            image=self._image(window.cut(sample.image)),
            truth={
                name: self._labels(self.tasks[name], window.cut(labels))
                for name, labels in sample.truth.items()
                if name in self.tasks
            },
            pseudo={
                name: self._pseudo(pseudo, window, size)
                for name, pseudo in sample.pseudo.items()
                if name in self.tasks
            },
            intrinsics=self._camera(sample.intrinsics, window),
        )
        return View(view, self._focal_ratio(view.intrinsics, window, size))

    def _image(self, part: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return resized(part, self.size[::-1])

    def _labels(self, task: Task, part: npt.NDArray[Any]) -> npt.NDArray[Any]:
        how = _INTERPOLATION[task.interpolation]
        return cv2.resize(part, self.size[::-1], interpolation=how)

    def _pseudo(self, pseudo: PseudoLabel, window: Window, size: tuple[int, ...]) -> PseudoLabel:
        """The window's part, to sub-cell accuracy, on the network's output grid."""
        grid = (self.size[1] // STRIDE, self.size[0] // STRIDE)
        rows, columns = pseudo.confidence.shape
        matrix = _resampling(window, (size[0] / rows, size[1] / columns), grid)

        def resampled(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            border = cv2.BORDER_REPLICATE
            out = cv2.warpAffine(array, matrix, grid, flags=flags, borderMode=border)
            return out.reshape(grid[1], grid[0], *array.shape[2:])  # type: ignore[return-value]

        planes = [resampled(plane) for plane in cv2.split(pseudo.value)]  # type: ignore[arg-type]
        # What was dropped must not come back as the mean of itself and a neighbour.
        kept = resampled((pseudo.confidence > 0).astype(np.float32)) > 0.5
        return PseudoLabel(np.stack(planes, axis=2), resampled(pseudo.confidence) * kept)

    def _camera(self, camera: Intrinsics | None, window: Window) -> Intrinsics | None:
        if camera is None:
            return None
        cropped = camera.cropped(window.left, window.top, window.width, window.height)
        return cropped.resized(*self.size[::-1])

    def _focal_ratio(
        self, camera: Intrinsics | None, window: Window, size: tuple[int, ...]
    ) -> float:
        """The view's focal length over the canonical one; of an unknown camera its scale alone."""
        if camera is not None:
            return camera.fx / self.canonical_fx
        fitted = min(self.height / size[0], self.width / size[1])
        return self.size[1] / window.width / fitted

    def mirrored(self, view: View) -> View:
        """The mirror image, left to right."""
        sample = view.sample
        return replace(
            view,
            sample=replace(
                sample,
                image=np.ascontiguousarray(sample.image[:, ::-1]),
                truth={n: self.tasks[n].mirrored(labels) for n, labels in sample.truth.items()},
                pseudo={n: mirrored_pseudo(self.tasks[n], p) for n, p in sample.pseudo.items()},
                intrinsics=sample.intrinsics and sample.intrinsics.flipped(),
            ),
        )


def mirrored_pseudo(task: Task, pseudo: PseudoLabel) -> PseudoLabel:
    """The pseudo-label of the mirror image."""
    confidence = np.ascontiguousarray(pseudo.confidence[:, ::-1])
    return PseudoLabel(task.mirrored(pseudo.value), confidence)


def _resampling(
    window: Window, cell: tuple[float, float], grid: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Affine map (2, 3) from a target cell to the source grid's; centres at whole numbers.

    Args:
        window: In pixels of the image.
        cell: Height and width of a source cell in pixels.
        grid: Target (width, height).
    """
    sx, sy = window.width / cell[1] / grid[0], window.height / cell[0] / grid[1]
    tx = window.left / cell[1] + 0.5 * sx - 0.5
    ty = window.top / cell[0] + 0.5 * sy - 0.5
    return np.array([[sx, 0, tx], [0, sy, ty]])


def jitter(
    image: npt.NDArray[np.uint8], strength: float, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Change brightness, contrast, saturation and white balance of an RGB image at random.

    All four are linear in the pixel's value, its grey and the image's mean: one matrix.
    """
    gain, contrast, saturation = 1 + strength * rng.uniform(-1, 1, 3)
    balance = 1 + 0.25 * strength * rng.uniform(-1, 1, 3)
    mean = gain * float(np.mean(cv2.mean(image)[:3]))
    mixed = saturation * np.eye(3) + (1 - saturation) / 3
    matrix = np.empty((3, 4))
    matrix[:, :3] = balance[:, None] * contrast * gain * mixed
    matrix[:, 3] = balance * (1 - contrast) * mean
    return cv2.transform(image, matrix)  # type: ignore[return-value]
