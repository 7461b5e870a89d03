"""Augmentation that keeps depth and intrinsics right.

Zooming an image by s multiplies its focal length by s and leaves depth alone; the depth *at a
canonical focal length*, which is what is learned, is divided by s. Here that falls out of the
intrinsics, which each step carries along, and of one division in `to_tensors`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mtl_core.card import InputSpec
from mtl_training.data.sample import Sample


@dataclass(frozen=True)
class Augmentation:
    """Strengths; zoom is relative to the whole image filling the input.

    Attributes:
        max_zoom: Zoom is drawn from 1 to this.
        flip: Probability of a mirror image.
        colour: Relative change of brightness, contrast and saturation, at most.
    """

    max_zoom: float = 1.5
    flip: float = 0.5
    colour: float = 0.3

    def __call__(self, sample: Sample, spec: InputSpec, rng: np.random.Generator) -> Sample:
        """A random variant of the sample, at the network's size."""
        zoom = float(rng.uniform(1.0, self.max_zoom))
        sample = zoom_crop(sample, spec.height, spec.width, zoom, rng.uniform(size=2))
        if rng.uniform() < self.flip:
            sample = flip(sample)
        return replace(sample, image=jitter(sample.image, self.colour, rng))


def zoom_crop(
    sample: Sample, height: int, width: int, zoom: float, place: npt.NDArray[np.float64]
) -> Sample:
    """Cut a window 1 / zoom of the largest one of the target's aspect, resize it to the target.

    Args:
        sample: Any size.
        height: Target rows.
        width: Target columns.
        zoom: At least 1.
        place: (2,) in 0..1: where the window lies between left and right, top and bottom.
    """
    rows, columns = sample.labels.shape
    scale = min(columns / width, rows / height) / zoom
    w, h = round(width * scale), round(height * scale)
    left, top = round(place[0] * (columns - w)), round(place[1] * (rows - h))
    window = (slice(top, top + h), slice(left, left + w))
    shrinks = w > width

    def resized(array: npt.NDArray[np.generic], interpolation: int) -> npt.NDArray[np.generic]:
        return cv2.resize(array[window], (width, height), interpolation=interpolation)  # type: ignore[arg-type]

    return Sample(
        image=resized(sample.image, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR),  # type: ignore[arg-type]
        labels=resized(sample.labels, cv2.INTER_NEAREST_EXACT),  # type: ignore[arg-type]
        # Interpolation would invent depths between an object and what stands behind it.
        depth=resized(sample.depth, cv2.INTER_NEAREST_EXACT),  # type: ignore[arg-type]
        intrinsics=sample.intrinsics.cropped(left, top, w, h).resized(width, height),
    )


def flip(sample: Sample) -> Sample:
    """The mirror image, left to right."""
    return Sample(
        image=np.ascontiguousarray(sample.image[:, ::-1]),
        labels=np.ascontiguousarray(sample.labels[:, ::-1]),
        depth=np.ascontiguousarray(sample.depth[:, ::-1]),
        intrinsics=sample.intrinsics.flipped(),
    )


def jitter(
    image: npt.NDArray[np.uint8], strength: float, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Change brightness, contrast, saturation and white balance of an RGB image at random."""
    gain, contrast, saturation = 1 + strength * rng.uniform(-1, 1, 3)
    balance = 1 + 0.25 * strength * rng.uniform(-1, 1, 3)
    pixels = image.astype(np.float32) * np.float32(gain)
    grey = pixels.mean(axis=2, keepdims=True)
    pixels = grey + (pixels - grey) * np.float32(saturation)
    mean = grey.mean()
    pixels = mean + (pixels - mean) * np.float32(contrast)
    changed: npt.NDArray[np.uint8] = np.clip(pixels * balance, 0, 255).astype(np.uint8)
    return changed


def to_tensors(sample: Sample, spec: InputSpec, canonical_fx: float) -> dict[str, Tensor]:
    """What a batch is made of; the sample must have the network's size.

    Returns:
        `image` (3, H, W) float32 normalised RGB, `segmentation` (H, W) int64 with 255 = none,
        `depth` (H, W) float32 metres at the canonical focal length with NaN = none.
    """
    image = (sample.image.astype(np.float32) / 255.0 - spec.mean) / spec.std
    depth = sample.depth * np.float32(canonical_fx / sample.intrinsics.fx)
    return {
        "image": torch.from_numpy(image.astype(np.float32).transpose(2, 0, 1).copy()),
        "segmentation": torch.from_numpy(sample.labels.astype(np.int64)),
        "depth": torch.from_numpy(depth),
    }
