"""Procedural patterns of surfaces.

Each takes a generator of random numbers and two sRGB colours in 0..1 and returns a periodic sRGB
image (SIZE, SIZE, 3), row 0 at the bottom; `Texture` makes it ready for use.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from mtl_core.rooms.textures import SIZE, Colour, Floats, Rng

ROWS, COLUMNS = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE


def noise(rng: Rng, roughness: float = 1.6, along: float = 1.0, cut: float = 0.0) -> Floats:
    """Periodic noise (SIZE, SIZE) of mean 0 and deviation 1 with an amplitude of frequency^-r.

    Args:
        rng: Source of randomness.
        roughness: 0 is white noise, 2 is clouds.
        along: How many times slower it varies along the rows than along the columns.
        cut: Frequencies below this (cycles per period) are left out.
    """
    white = rng.standard_normal((SIZE, SIZE), dtype=np.float32)
    field = np.fft.irfft2(np.fft.rfft2(white) * _gain(roughness, along, cut), s=(SIZE, SIZE))
    result: Floats = ((field - field.mean()) / field.std()).astype(np.float32)
    return result


@cache
def _gain(roughness: float, along: float, cut: float) -> npt.NDArray[np.float64]:
    """What each frequency of white noise is multiplied with (SIZE, SIZE / 2 + 1)."""
    fy = np.fft.fftfreq(SIZE, 1 / SIZE)[:, None]
    fx = np.fft.rfftfreq(SIZE, 1 / SIZE)[None, :] * along
    frequency = np.sqrt(fx**2 + fy**2)
    frequency[0, 0] = np.inf
    return np.where(frequency >= cut, frequency**-roughness, 0.0)


def tinted(colour: Colour, brightness: Floats) -> Floats:
    """A colour times (1 + brightness), (SIZE, SIZE, 3)."""
    return np.asarray(colour, np.float32) * (1.0 + brightness[..., None]).astype(np.float32)


def mix(first: Floats, second: Floats, weight: npt.NDArray[np.generic]) -> Floats:
    """From the first image (weight 0) to the second (weight 1), weights (SIZE, SIZE)."""
    mixed: Floats = first + (second - first) * weight[..., None].astype(np.float32)
    return mixed


def plaster(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Painted wall: nearly even, with faint stains."""
    del second
    return tinted(first, 0.012 * noise(rng, 0.4) + 0.02 * noise(rng, 1.8))


def carpet(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Pile: strong fine grain, faint patches, flecks of the second colour."""
    grain = noise(rng, 0.3)
    base = tinted(first, 0.10 * grain + 0.05 * noise(rng, 1.6))
    return mix(base, tinted(second, 0.1 * grain), (noise(rng, 0.5) > 1.6) * 0.6)


def fabric(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Woven cloth of one colour."""
    del second
    weave = np.sin(ROWS * 2 * np.pi * 64) * np.sin(COLUMNS * 2 * np.pi * 64)
    return tinted(first, 0.05 * weave + 0.04 * noise(rng, 0.6) + 0.02 * noise(rng, 1.8))


def wood(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Grain along the rows."""
    rings = np.sin(2 * np.pi * (ROWS * rng.integers(4, 9) + 0.35 * noise(rng, 2.0, 4.0)))
    fine = noise(rng, 0.7, 24.0)
    weight = np.clip(0.35 + 0.22 * rings + 0.16 * fine, 0.0, 1.0)
    return mix(tinted(first, 0.03 * fine), tinted(second, 0.03 * fine), weight)


def planks(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Floor boards along the rows, each of its own tone, with dark joints."""
    rows, columns = int(rng.choice([6, 8, 10])), int(rng.choice([1, 2]))
    row = (ROWS * rows).astype(np.int32)
    shift = rng.random(rows).astype(np.float32)[row]
    along = (COLUMNS + shift) % 1.0 * columns
    tone = rng.normal(0, 0.10, (rows, columns)).astype(np.float32)[row, along.astype(np.int32)]
    seam = ((ROWS * rows) % 1.0 < 0.05) | (along % 1.0 < 0.012)
    grain = noise(rng, 0.8, 20.0)
    base = mix(tinted(first, tone), tinted(second, tone), np.clip(0.4 + 0.25 * grain, 0, 1))
    boards: Floats = base * (1.0 - 0.5 * seam[..., None].astype(np.float32))
    return boards


def tiles(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Square tiles of slightly different tone with joints of the second colour."""
    count = int(rng.choice([2, 4, 4, 6]))
    row, column = (ROWS * count).astype(np.int32), (COLUMNS * count).astype(np.int32)
    tone = rng.normal(0, 0.03, (count, count)).astype(np.float32)[row, column]
    base = tinted(first, tone + 0.03 * noise(rng, 1.5))
    joint = ((ROWS * count) % 1.0 < 0.035) | ((COLUMNS * count) % 1.0 < 0.035)
    return mix(base, tinted(second, 0.05 * noise(rng, 0.5)), joint * 0.9)


def brick(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Running bond: 8 courses of 4 bricks, mortar of the second colour."""
    row = (ROWS * 8).astype(np.int32)
    along = (COLUMNS * 4 + 0.5 * (row % 2)) % 4
    tone = rng.normal(0, 0.13, (8, 4)).astype(np.float32)[row, along.astype(np.int32)]
    mortar = ((ROWS * 8) % 1.0 < 0.12) | (along % 1.0 < 0.05)
    base = tinted(first, tone + 0.07 * noise(rng, 0.8))
    return mix(base, tinted(second, 0.06 * noise(rng, 0.5)), mortar * 1.0)


def stripes(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Stripes along the columns."""
    count = int(rng.choice([3, 4, 6, 10]))
    phase = (COLUMNS * count) % 1.0
    weight = np.clip((np.abs(phase - 0.5) - rng.uniform(0.12, 0.3)) * 30, 0, 1)
    shade = 0.03 * noise(rng, 0.7)
    return mix(tinted(second, shade), tinted(first, shade), weight)


def checks(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Gingham: two families of translucent stripes."""
    count = int(rng.choice([3, 5, 8]))
    width = rng.uniform(0.3, 0.5)
    across = ((COLUMNS * count) % 1.0 < width) * 0.5 + ((ROWS * count) % 1.0 < width) * 0.5
    shade = 0.04 * noise(rng, 0.6)
    return mix(tinted(first, shade), tinted(second, shade), across)


def ornament(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Wallpaper or rug: a mirrored blob pattern, repeated."""
    blob = noise(rng, 2.0, cut=2.0)[: SIZE // 2, : SIZE // 2]
    motif = np.block([[blob, blob[:, ::-1]], [blob[::-1], blob[::-1, ::-1]]])
    small = motif[::2, ::2]
    pattern = np.block([[small, small], [small, small]])
    shade = 0.03 * noise(rng, 0.6)
    return mix(tinted(first, shade), tinted(second, shade), np.clip(pattern * 4 - 1.5, 0, 1))


def marble(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Stone with veins."""
    vein = np.exp(-np.abs(noise(rng, 1.8)) * 9)
    return mix(tinted(first, 0.04 * noise(rng, 1.5)), tinted(second, 0 * vein), 0.7 * vein)


def leafage(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Mottled green of leaves, or soil."""
    weight = np.clip(0.5 + 0.4 * noise(rng, 1.0), 0, 1)
    return mix(tinted(first, 0 * weight), tinted(second, 0 * weight), weight)


Pattern = Callable[[Rng, Colour, Colour], Floats]


WALLS: tuple[Pattern, ...] = (*(plaster,) * 14, stripes, stripes, ornament, ornament, brick)


FLOORS: tuple[Pattern, ...] = (planks, planks, planks, carpet, carpet, carpet, tiles, marble)


CLOTHS: tuple[Pattern, ...] = (fabric, fabric, fabric, stripes, checks, ornament)
