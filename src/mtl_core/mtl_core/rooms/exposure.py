"""From light to bytes: exposure, colour cast, vignette, tone curve, sharpness and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mtl_core.rooms.textures import Floats


@dataclass(frozen=True, eq=False)
class Film:
    """A camera's rendering.

    key: mean brightness aimed at. gains: (3,) white balance. vignette: light lost in the corners.
    blur: share of a 3x3 binomial mean. noise: deviation of dark grey, in 0..1 display values.
    """

    key: float
    gains: Floats
    vignette: float
    blur: float
    noise: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Film:
        """A random camera."""
        warm, tint = rng.normal(0, 0.07), rng.normal(0, 0.02)
        gains = np.array([1 + warm, 1 + tint, 1 - warm], np.float32)
        return cls(
            key=float(rng.uniform(0.30, 0.62)),
            gains=gains,
            vignette=float(rng.uniform(0.05, 0.3)),
            blur=float(rng.uniform(0.4, 0.9)),
            noise=float(rng.uniform(0.004, 0.022)),
        )

    def develop(self, light: Floats, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Linear light (3, H, W) to an image (H, W, 3) uint8 sRGB; rng draws the noise."""
        height, width = light.shape[1:]
        luminance = light.mean(0)
        scale = self.key / float(np.minimum(luminance, 4 * np.median(luminance)).mean())
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        x = np.linspace(-1, 1, width, dtype=np.float32)
        fall = np.float32(scale) * (1 - np.float32(self.vignette / 2) * (x * x + y * y))
        shown = np.empty((height, width, 3), np.uint8)
        for channel in range(3):
            image = _tone(light[channel] * (fall * self.gains[channel]))
            image += np.float32(self.blur) * (binomial(image) - image)
            grain = rng.standard_normal(image.shape, dtype=np.float32)
            grain *= np.float32(self.noise) * (np.float32(1.3) - image)
            image += grain
            image *= 255
            shown[..., channel] = np.clip(image + np.float32(0.5), 0, 255)
        return shown


def _tone(exposed: Floats) -> Floats:
    """Linear exposure to display values in 0..1: highlights roll off, then gamma."""
    image = np.sqrt(np.maximum(1 - np.exp(-exposed), 0))
    toned: Floats = image * (np.float32(0.86) + np.float32(0.14) * image)
    return toned


def binomial(image: Floats) -> Floats:
    """Mean of (..., H, W) over 3x3 pixels with weights 1 2 1, edges repeated."""
    still = [(0, 0)] * (image.ndim - 2)
    tall = np.pad(image, [*still, (1, 1), (0, 0)], mode="edge")
    rows = tall[..., :-2, :] + tall[..., 2:, :]
    rows += 2 * image
    wide = np.pad(rows, [*still, (0, 0), (1, 1)], mode="edge")
    mean: Floats = wide[..., :-2] + wide[..., 2:]
    mean += 2 * rows
    mean *= np.float32(1 / 16)
    return mean
