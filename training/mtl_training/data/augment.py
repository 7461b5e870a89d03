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

from mtl_core.card import InputSpec
from mtl_core.geometry import Intrinsics
from mtl_core.images import resized
from mtl_core.interface import STRIDE
from mtl_training.data.degradation import degraded
from mtl_training.data.sample import PseudoLabel, Sample
from mtl_training.tasks.base import Task

LEAST_HEIGHT = 0.75
"""Of a wide view, over that of the others: an image of 16:9 in an input of 4:3."""

_INTERPOLATION = {"nearest": cv2.INTER_NEAREST_EXACT, "linear": cv2.INTER_LINEAR}


@dataclass(frozen=True)
class View:
    """A sample at the size that is trained on.

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

    def camera(self, whole: Intrinsics) -> Intrinsics:
        """The camera of the window's part alone."""
        return whole.cropped(self.left, self.top, self.width, self.height)

    def cut(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The window's part of an array (H, W, ...)."""
        return array[self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True)
class Augmentation:
    """Brings samples to the size that is trained on, each time another way.

    Attributes:
        tasks: By name; labels of other tasks are left out.
        spec: The network's input when it predicts.
        canonical_fx: Focal length that labels are brought to, pixels at the input's width.
        crop: Height and width of views; () = those of the network's input.
        max_zoom: Zoom is drawn from 1, as much of the image as has the view's aspect, to this.
        flip: Probability of a mirror image.
        colour: Relative change of brightness, contrast and saturation, at most.
        degrade: Probability of blur, of noise, and of compression.
        wide: Probability of a view as a wide camera's is, up to 4/3 of the others' aspect, above a
            bar.
    """

    tasks: Mapping[str, Task]
    spec: InputSpec
    canonical_fx: float
    crop: tuple[int, ...] = ()
    max_zoom: float = 1.5
    flip: float = 0.5
    colour: float = 0.3
    degrade: float = 0.0
    wide: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of views."""
        height, width = self.crop or (self.spec.height, self.spec.width)
        return height, width

    def __call__(self, sample: Sample, rng: np.random.Generator) -> View:
        """A random view of the sample."""
        zoom = float(rng.uniform(1.0, self.max_zoom))
        at, rows = rng.uniform(size=2), self.size[0]
        if self.wide and rng.uniform() < self.wide:
            rows = STRIDE * round(rows * rng.uniform(LEAST_HEIGHT, 1.0) / STRIDE)
        view = self.zoomed(sample, zoom, at, rows)
        if rng.uniform() < self.flip:
            view = self.mirrored(view)
        image = jitter(view.sample.image, self.colour, rng)
        if self.degrade:
            image = degraded(image, self.degrade, rng)
        view = replace(view, sample=replace(view.sample, image=image))
        return view if rows == self.size[0] else self.barred(view)

    def zoomed(
        self, sample: Sample, zoom: float, at: npt.NDArray[np.float64], rows: int | None = None
    ) -> View:
        """A window of the sample at the views' width; labels stay the camera's own.

        Args:
            sample: Any size.
            zoom: At least 1.
            at: (2,) in 0..1: where the window lies between left and right, top and bottom.
            rows: Height of the view, a multiple of 4; None = that of the others.
        """
        size, target = sample.image.shape[:2], (rows or self.size[0], self.size[1])
        window = Window.place(size, target, zoom, at)
        camera = sample.intrinsics and window.camera(sample.intrinsics).resized(*target[::-1])
        view = replace(
            sample,
            image=resized(window.cut(sample.image), target[::-1]),
            truth={
                name: _labels(self.tasks[name], window.cut(labels), target)
                for name, labels in sample.truth.items()
                if name in self.tasks
            },
            pseudo={
                name: _pseudo(pseudo, window, size, target)
                for name, pseudo in sample.pseudo.items()
                if name in self.tasks
            },
            intrinsics=camera,
        )
        return View(view, self._focal_ratio(camera, window, size))

    def barred(self, view: View) -> View:
        """A view that is less high than the others, on top of a bar that has no labels.

        So prediction lays a wide image into a network's input (`mtl_core.predictor.Letterbox`).
        """
        sample, (height, width) = view.sample, self.size
        bar = np.tile(np.rint(255 * np.array(self.spec.mean)).astype(np.uint8), (height, width, 1))
        truth = {
            name: _over(labels, self.tasks[name].absent(height, width))
            for name, labels in sample.truth.items()
        }
        pseudo = {
            name: PseudoLabel(_over_none(label.value, height), _over_none(label.confidence, height))
            for name, label in sample.pseudo.items()
        }
        camera = sample.intrinsics and replace(sample.intrinsics, height=height)
        image = _over(sample.image, bar)
        whole = replace(sample, image=image, truth=truth, pseudo=pseudo, intrinsics=camera)
        return replace(view, sample=whole)

    def _focal_ratio(
        self, camera: Intrinsics | None, window: Window, size: tuple[int, ...]
    ) -> float:
        """The view's focal length over the canonical one; of an unknown camera its scale alone."""
        if camera is not None:
            return camera.fx / self.canonical_fx
        fitted = min(self.spec.height / size[0], self.spec.width / size[1])
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


def _labels(task: Task, part: npt.NDArray[Any], target: tuple[int, int]) -> npt.NDArray[Any]:
    """A part of an image's labels at the target's height and width."""
    return cv2.resize(part, target[::-1], interpolation=_INTERPOLATION[task.interpolation])


def _pseudo(
    pseudo: PseudoLabel, window: Window, size: tuple[int, ...], target: tuple[int, int]
) -> PseudoLabel:
    """The window's part, to sub-cell accuracy, on the network's output grid.

    Args:
        pseudo: Of the whole image.
        window: In pixels of the image.
        size: The image's (height, width).
        target: The view's (height, width).
    """
    grid = (target[1] // STRIDE, target[0] // STRIDE)
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


def _over(part: npt.NDArray[Any], ground: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A part (h, W, ...) over the upper rows of a ground (H, W, ...)."""
    return np.concatenate([part, ground[len(part) :]])


def _over_none(part: npt.NDArray[np.float32], height: int) -> npt.NDArray[np.float32]:
    """A grid (h, w, ...) over the upper cells of an empty one, that of a view of this height."""
    return _over(part, np.zeros((height // STRIDE, *part.shape[1:]), np.float32))


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
