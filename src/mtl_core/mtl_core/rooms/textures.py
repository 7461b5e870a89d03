"""Procedural textures: periodic colour images with a pyramid, so that far surfaces do not flicker.

Every generator takes a generator of random numbers and sRGB colours in 0..1, and returns an sRGB
image (SIZE, SIZE, 3). `Texture` holds it in linear light, which is what shading adds up.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Colour = tuple[float, float, float]
Rng = np.random.Generator

SIZE = 256
"""Texels along each side of a texture's finest level."""

_ROWS, _COLUMNS = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE


def srgb_to_linear(image: npt.ArrayLike) -> Floats:
    """Display values in 0..1 to linear light."""
    return np.power(np.clip(np.asarray(image, np.float32), 0.0, 1.0), np.float32(2.2))


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
            half = len(top) // 2
            levels.append(top.reshape(half, 2, half, 2, 3).mean((1, 3), dtype=np.float32))
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


def noise(rng: Rng, roughness: float = 1.6, along: float = 1.0, cut: float = 0.0) -> Floats:
    """Periodic noise (SIZE, SIZE) of mean 0 and deviation 1 with an amplitude of frequency^-r.

    Args:
        rng: Source of randomness.
        roughness: 0 is white noise, 2 is clouds.
        along: How many times slower it varies along the rows than along the columns.
        cut: Frequencies below this (cycles per period) are left out.
    """
    white = rng.standard_normal((SIZE, SIZE), dtype=np.float32)
    fy = np.fft.fftfreq(SIZE, 1 / SIZE)[:, None]
    fx = np.fft.rfftfreq(SIZE, 1 / SIZE)[None, :] * along
    frequency = np.sqrt(fx**2 + fy**2)
    frequency[0, 0] = np.inf
    gain = np.where(frequency >= cut, frequency**-roughness, 0.0)
    field = np.fft.irfft2(np.fft.rfft2(white) * gain, s=(SIZE, SIZE))
    result: Floats = ((field - field.mean()) / field.std()).astype(np.float32)
    return result


def _tinted(colour: Colour, brightness: Floats) -> Floats:
    """A colour times (1 + brightness), (SIZE, SIZE, 3)."""
    return np.asarray(colour, np.float32) * (1.0 + brightness[..., None]).astype(np.float32)


def _mix(first: Floats, second: Floats, weight: Floats) -> Floats:
    mixed: Floats = first + (second - first) * weight[..., None].astype(np.float32)
    return mixed


def plaster(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Painted wall: nearly even, with faint stains."""
    del second
    return _tinted(first, 0.012 * noise(rng, 0.4) + 0.02 * noise(rng, 1.8))


def carpet(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Pile: strong fine grain, faint patches, flecks of the second colour."""
    grain = noise(rng, 0.3)
    base = _tinted(first, 0.10 * grain + 0.05 * noise(rng, 1.6))
    return _mix(base, _tinted(second, 0.1 * grain), (noise(rng, 0.5) > 1.6) * 0.6)


def fabric(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Woven cloth of one colour."""
    del second
    weave = np.sin(_ROWS * 2 * np.pi * 64) * np.sin(_COLUMNS * 2 * np.pi * 64)
    return _tinted(first, 0.05 * weave + 0.04 * noise(rng, 0.6) + 0.02 * noise(rng, 1.8))


def wood(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Grain along the rows."""
    rings = np.sin(2 * np.pi * (_ROWS * rng.integers(4, 9) + 0.35 * noise(rng, 2.0, 4.0)))
    fine = noise(rng, 0.7, 24.0)
    weight = np.clip(0.35 + 0.22 * rings + 0.16 * fine, 0.0, 1.0)
    return _mix(_tinted(first, 0.03 * fine), _tinted(second, 0.03 * fine), weight)


def planks(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Floor boards along the rows, each of its own tone, with dark joints."""
    rows, columns = int(rng.choice([6, 8, 10])), int(rng.choice([1, 2]))
    row = (_ROWS * rows).astype(np.int32)
    shift = rng.random(rows).astype(np.float32)[row]
    along = (_COLUMNS + shift) % 1.0 * columns
    tone = rng.normal(0, 0.10, (rows, columns)).astype(np.float32)[row, along.astype(np.int32)]
    seam = ((_ROWS * rows) % 1.0 < 0.05) | (along % 1.0 < 0.012)
    grain = noise(rng, 0.8, 20.0)
    base = _mix(
        _tinted(first, tone), _tinted(second, tone), np.clip(0.4 + 0.25 * grain, 0, 1)
    )
    return base * (1.0 - 0.5 * seam[..., None].astype(np.float32))


def tiles(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Square tiles of slightly different tone with joints of the second colour."""
    count = int(rng.choice([2, 4, 4, 6]))
    row, column = (_ROWS * count).astype(np.int32), (_COLUMNS * count).astype(np.int32)
    tone = rng.normal(0, 0.03, (count, count)).astype(np.float32)[row, column]
    base = _tinted(first, tone + 0.03 * noise(rng, 1.5))
    joint = ((_ROWS * count) % 1.0 < 0.035) | ((_COLUMNS * count) % 1.0 < 0.035)
    return _mix(base, _tinted(second, 0.05 * noise(rng, 0.5)), joint * 0.9)


def brick(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Running bond: 8 courses of 4 bricks, mortar of the second colour."""
    row = (_ROWS * 8).astype(np.int32)
    along = (_COLUMNS * 4 + 0.5 * (row % 2)) % 4
    tone = rng.normal(0, 0.13, (8, 4)).astype(np.float32)[row, along.astype(np.int32)]
    mortar = ((_ROWS * 8) % 1.0 < 0.12) | (along % 1.0 < 0.05)
    base = _tinted(first, tone + 0.07 * noise(rng, 0.8))
    return _mix(base, _tinted(second, 0.06 * noise(rng, 0.5)), mortar * 1.0)


def stripes(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Stripes along the columns."""
    count = int(rng.choice([3, 4, 6, 10]))
    phase = (_COLUMNS * count) % 1.0
    weight = np.clip((np.abs(phase - 0.5) - rng.uniform(0.12, 0.3)) * 30, 0, 1)
    shade = 0.03 * noise(rng, 0.7)
    return _mix(_tinted(second, shade), _tinted(first, shade), weight)


def checks(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Gingham: two families of translucent stripes."""
    count = int(rng.choice([3, 5, 8]))
    width = rng.uniform(0.3, 0.5)
    across = ((_COLUMNS * count) % 1.0 < width) * 0.5 + ((_ROWS * count) % 1.0 < width) * 0.5
    shade = 0.04 * noise(rng, 0.6)
    return _mix(_tinted(first, shade), _tinted(second, shade), across)


def ornament(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Wallpaper or rug: a mirrored blob pattern, repeated."""
    blob = noise(rng, 2.0, cut=2.0)[: SIZE // 2, : SIZE // 2]
    motif = np.block([[blob, blob[:, ::-1]], [blob[::-1], blob[::-1, ::-1]]])
    small = motif[::2, ::2]
    pattern = np.block([[small, small], [small, small]])
    shade = 0.03 * noise(rng, 0.6)
    return _mix(_tinted(first, shade), _tinted(second, shade), np.clip(pattern * 4 - 1.5, 0, 1))


def marble(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Stone with veins."""
    vein = np.exp(-np.abs(noise(rng, 1.8)) * 9)
    return _mix(_tinted(first, 0.04 * noise(rng, 1.5)), _tinted(second, 0 * vein), 0.7 * vein)


def leafage(rng: Rng, first: Colour, second: Colour) -> Floats:
    """Mottled green of leaves, or soil."""
    weight = np.clip(0.5 + 0.4 * noise(rng, 1.0), 0, 1)
    return _mix(_tinted(first, 0 * weight), _tinted(second, 0 * weight), weight)


def random_colour(rng: Rng, saturation: float = 0.6, value: float = 0.7) -> Colour:
    """A likely hue, around the given saturation and value."""
    return hsv(likely_hue(rng), saturation * rng.uniform(0.4, 1.4), value * rng.uniform(0.5, 1.3))


def painting(rng: Rng) -> Floats:
    """Random art: a landscape or abstract shapes."""
    return _landscape(rng) if rng.random() < 0.5 else _abstract(rng)


def _landscape(rng: Rng) -> Floats:
    """Sky, and three to five ranges of hills that darken towards the viewer (row 0 = bottom)."""
    sky, haze = random_colour(rng, 0.35, 0.85), random_colour(rng, 0.3, 0.95)
    image = _mix(_tinted(haze, 0 * _ROWS), _tinted(sky, 0.05 * noise(rng, 1.8, 3.0)), _ROWS)
    hue, layers = rng.random(), int(rng.integers(3, 6))
    for layer in range(layers):
        ridge = rng.uniform(0.5, 0.8) * (1 - layer / layers) + 0.07 * noise(rng, 2.0)[0]
        colour = hsv(hue + rng.normal(0, 0.08), 0.35 + 0.1 * layer, 0.75 - 0.5 * layer / layers)
        hill = _tinted(colour, 0.12 * noise(rng, 1.2, 2.0))
        image = _mix(image, hill, (_ROWS < ridge[None, :]) * 1.0)
    return image


def _abstract(rng: Rng) -> Floats:
    """Rectangles, discs and strokes on a ground."""
    image = _tinted(random_colour(rng, 0.4, 0.8), 0.05 * noise(rng, 1.2))
    for _ in range(int(rng.integers(5, 14))):
        x, y = rng.random(2)
        a, b = rng.uniform(0.03, 0.3, 2)
        dx, dy = np.abs(_COLUMNS - x) / a, np.abs(_ROWS - y) / b
        inside = (dx**2 + dy**2 < 1) if rng.random() < 0.5 else (np.maximum(dx, dy) < 1)
        paint = _tinted(random_colour(rng, 0.7, 0.7), 0.06 * noise(rng, 1.0, 5.0))
        image = _mix(image, paint, inside * rng.uniform(0.6, 1.0))
    return image


def spines(rng: Rng) -> Floats:
    """A row of book spines across the columns, with dark gaps and title bands."""
    image = np.zeros((SIZE, SIZE, 3), np.float32)
    left, style = 0, rng.random()
    while left < SIZE:
        width = min(int(rng.integers(9, 24)), SIZE - left)
        saturation = 0.8 if style < 0.7 else 0.3
        colour = np.array(random_colour(rng, saturation, rng.choice([0.35, 0.6, 0.9])))
        book = np.broadcast_to(colour, (SIZE, width, 3)).copy()
        _print_spine(rng, book)
        book *= 1.0 - 0.35 * np.abs(np.linspace(-1, 1, width))[None, :, None] ** 3
        book[:, :1] *= 0.3
        image[:, left : left + width] = book
        left += width
    return image


def _print_spine(rng: Rng, book: npt.NDArray[np.float64]) -> None:
    """Title and bands of one spine, in place; row 0 is its foot."""
    ink = np.array(random_colour(rng, 0.3, 0.9)) if book.mean() < 0.5 else np.array((0.1, 0.1, 0.12))
    low, high = sorted(rng.integers(SIZE // 5, SIZE - 20, 2))
    letters = rng.random((SIZE, 1, 1)) < 0.6
    margin = max(book.shape[1] // 3, 2)
    title = book[low:high, margin:-margin]
    title[:] = np.where(letters[low:high], ink, title)
    if rng.random() < 0.5:
        book[12:26] = ink


def screen(rng: Rng) -> Floats:
    """A switched-off display: nearly black, with the ghost of a reflection."""
    ghost = 0.5 + 0.5 * np.sin(2 * np.pi * (_COLUMNS * 0.5 + _ROWS * 0.3 + rng.random()))
    return _tinted((0.045, 0.048, 0.055), 0.8 * ghost)


def outside(rng: Rng) -> Floats:
    """What a window shows: a bright sky over blurred greenery or houses."""
    sky = _mix(
        _tinted((0.97, 0.97, 0.95), 0 * _ROWS),
        _tinted((0.66, 0.80, 0.97), 0.06 * noise(rng, 1.9, 2.0)),
        np.clip(1.6 * _ROWS - 0.5, 0, 1),
    )
    edge = rng.uniform(0.1, 0.6) + 0.08 * noise(rng, 1.6)[0]
    green = hsv(rng.uniform(0.2, 0.4), rng.uniform(0.1, 0.45), rng.uniform(0.5, 0.8))
    trees = _tinted(green, 0.25 * noise(rng, 1.3))
    return _mix(sky, trees, np.clip((edge[None, :] - _ROWS) * 12, 0, 1))


def blinds(rng: Rng) -> Floats:
    """Closed slats: bright, with dark lines along the rows."""
    phase = (_ROWS * 32) % 1.0
    return _tinted((0.92, 0.91, 0.88), -0.35 * np.abs(phase - 0.3) + 0.01 * noise(rng, 1.0))


def door_leaf(rng: Rng, colour: Colour) -> Floats:
    """A panelled door: sunk fields drawn by their light and dark edges."""
    shade = 0.02 * noise(rng, 0.8, 12.0)
    columns, rows = int(rng.choice([1, 2])), int(rng.choice([1, 2, 3]))
    x, y = (_COLUMNS * columns) % 1.0, (_ROWS * rows) % 1.0
    inset = np.minimum(np.minimum(x, 1 - x) / columns * 0.4, np.minimum(y, 1 - y) / rows)
    rim = np.exp(-(((inset - 0.06) / 0.012) ** 2))
    light = np.where((y > 0.5), -0.35, 0.12)
    return _tinted(colour, shade + rim * light)



Pattern = Callable[[Rng, Colour, Colour], Floats]
WALLS: tuple[Pattern, ...] = (*(plaster,) * 14, stripes, stripes, ornament, ornament, brick)
FLOORS: tuple[Pattern, ...] = (planks, planks, planks, carpet, carpet, carpet, tiles, marble)
CLOTHS: tuple[Pattern, ...] = (fabric, fabric, fabric, stripes, checks, ornament)
