"""Colours, and textures: periodic images with a pyramid, so that far surfaces do not flicker."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


Colour = tuple[float, float, float]


Rng = np.random.Generator


SIZE = 256
"""Texels along each side of a texture's finest level."""


def srgb_to_linear(image: npt.ArrayLike) -> Floats:
    """Display values in 0..1 to linear light."""
    shown = np.clip(np.asarray(image, np.float32), 0.0, 1.0)
    linear: Floats = np.power(shown, np.float32(2.2))
    return linear


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """A colour from hue (wraps around), saturation and value (clipped to 0..1)."""
    return colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0))


def likely_hue(rng: Rng) -> float:
    """A hue as interiors have them: mostly warm, then blue, green, and now and then any."""
    kind = rng.random()
    if kind < 0.55:
        return float(rng.normal(0.07, 0.045))
    if kind < 0.75:
        return float(rng.normal(0.59, 0.05))
    if kind < 0.88:
        return float(rng.normal(0.32, 0.08))
    return float(rng.random())


def random_colour(rng: Rng, saturation: float = 0.6, value: float = 0.7) -> Colour:
    """A likely hue, around the given saturation and value."""
    return hsv(likely_hue(rng), saturation * rng.uniform(0.4, 1.4), value * rng.uniform(0.5, 1.3))


@dataclass(frozen=True, eq=False)
class Texture:
    """A periodic texture in linear light and its levels of half the size each, down to one texel.

    texels: (sum of the levels' sizes squared, 3) float32; sizes, starts: one entry per level.
    """

    texels: Floats
    sizes: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]

    @classmethod
    def from_srgb(cls, image: Floats) -> Texture:
        """Build the pyramid of an sRGB image (SIZE, SIZE, 3)."""
        levels = [srgb_to_linear(image)]
        while len(levels[-1]) > 1:
            top = levels[-1]
            tall = top[::2] + top[1::2]
            levels.append((tall[:, ::2] + tall[:, 1::2]) * np.float32(0.25))
        sizes = np.array([len(level) for level in levels], np.int32)
        starts = np.concatenate([[0], np.cumsum(sizes**2)[:-1]]).astype(np.int32)
        return cls(np.concatenate([level.reshape(-1, 3) for level in levels]), sizes, starts)

    def sample(self, u: Floats, v: Floats, footprint: Floats) -> Floats:
        """Bilinear look-up in the level whose texels are as large as the pixels.

        Args:
            u: (N,) position along the rows, in periods.
            v: (N,) position along the columns, in periods.
            footprint: (N,) size of a pixel, in periods.

        Returns:
            (3, N) float32 linear colours.
        """
        scale = np.log2(np.maximum(footprint * np.float32(SIZE), 1.0)) + np.float32(0.3)
        level = np.minimum(scale.astype(np.int32), len(self.sizes) - 1)
        size, start = self.sizes[level], self.starts[level]
        left, right, fu = _neighbours(u, size)
        upper, lower, fv = _neighbours(v, size)
        upper, lower = start + upper * size, start + lower * size
        take = self.texels.take
        top = take(upper + left, 0)
        top += (take(upper + right, 0) - top) * fu[:, None]
        bottom = take(lower + left, 0)
        bottom += (take(lower + right, 0) - bottom) * fu[:, None]
        top += (bottom - top) * fv[:, None]
        return np.ascontiguousarray(top.T)


def _neighbours(
    position: Floats, size: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Floats]:
    """Texels before and after a position, wrapped around, and the weight of the second."""
    place = position * size.astype(np.float32) - np.float32(0.5)
    floor = np.floor(place)
    first = floor.astype(np.int32)
    return first & (size - 1), (first + 1) & (size - 1), (place - floor).astype(np.float32)
