"""What cheap cameras and thin networks do to an image: blur, noise and compression."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""(h, w, 3) uint8 RGB."""

WIDTH = 640
"""Of the images that a blur's pixels are said for."""

WORST_BLUR, WORST_NOISE, WORST_QUALITY, BEST_QUALITY = 2.5, 20.0, 15, 90
"""Bounds between which `degraded` draws."""


def blurred(image: Image, sigma: float) -> Image:
    """Out of focus: a Gaussian of that standard deviation, in pixels of an image 640 wide."""
    return cv2.GaussianBlur(image, (0, 0), sigma * image.shape[1] / WIDTH)  # type: ignore[return-value]


def noisy(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Gaussian noise of that standard deviation (of 255), each pixel and channel its own."""
    noise = rng.standard_normal(image.shape, np.float32)
    return np.clip(np.rint(image + np.float32(sigma) * noise), 0, 255).astype(np.uint8)


def compressed(image: Image, quality: int) -> Image:
    """Compressed to JPEG and decompressed, at that quality, 0..100."""
    bgr = np.ascontiguousarray(image[..., ::-1])
    data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(decoded[..., ::-1])  # type: ignore[index]


def degraded(image: Image, chance: float, rng: np.random.Generator) -> Image:
    """Blurred, then noisy, then compressed: each with that probability, and by chance how much."""
    blurs, makes_noise, compresses = rng.uniform(size=3) < chance
    if blurs:
        image = blurred(image, rng.uniform(0.3, WORST_BLUR))
    if makes_noise:
        image = noisy(image, rng.uniform(1.0, WORST_NOISE), rng)
    if compresses:
        image = compressed(image, int(rng.integers(WORST_QUALITY, BEST_QUALITY, endpoint=True)))
    return image
