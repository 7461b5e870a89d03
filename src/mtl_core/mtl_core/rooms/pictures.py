"""Procedural images that span a whole face: art, book spines, screens, views, doors.

Like patterns: sRGB (SIZE, SIZE, 3) in 0..1, row 0 at the bottom.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mtl_core.rooms.patterns import COLUMNS, ROWS, mix, noise, tinted
from mtl_core.rooms.textures import SIZE, Colour, Floats, Rng, hsv, random_colour


def painting(rng: Rng) -> Floats:
    """Random art: a landscape or abstract shapes."""
    return _landscape(rng) if rng.random() < 0.5 else _abstract(rng)


def _landscape(rng: Rng) -> Floats:
    """Sky, and three to five ranges of hills that darken towards the viewer (row 0 = bottom)."""
    sky, haze = random_colour(rng, 0.35, 0.85), random_colour(rng, 0.3, 0.95)
    image = mix(tinted(haze, 0 * ROWS), tinted(sky, 0.05 * noise(rng, 1.8, 3.0)), ROWS)
    hue, layers = rng.random(), int(rng.integers(3, 6))
    for layer in range(layers):
        ridge = rng.uniform(0.5, 0.8) * (1 - layer / layers) + 0.07 * noise(rng, 2.0)[0]
        colour = hsv(hue + rng.normal(0, 0.08), 0.35 + 0.1 * layer, 0.75 - 0.5 * layer / layers)
        hill = tinted(colour, 0.12 * noise(rng, 1.2, 2.0))
        image = mix(image, hill, (ridge[None, :] > ROWS) * 1.0)
    return image


def _abstract(rng: Rng) -> Floats:
    """Rectangles, discs and strokes on a ground."""
    image = tinted(random_colour(rng, 0.4, 0.8), 0.05 * noise(rng, 1.2))
    for _ in range(int(rng.integers(5, 14))):
        x, y = rng.random(2)
        a, b = rng.uniform(0.03, 0.3, 2)
        dx, dy = np.abs(COLUMNS - x) / a, np.abs(ROWS - y) / b
        inside = (dx**2 + dy**2 < 1) if rng.random() < 0.5 else (np.maximum(dx, dy) < 1)
        paint = tinted(random_colour(rng, 0.7, 0.7), 0.06 * noise(rng, 1.0, 5.0))
        image = mix(image, paint, inside * rng.uniform(0.6, 1.0))
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
    ink = (
        np.array(random_colour(rng, 0.3, 0.9)) if book.mean() < 0.5 else np.array((0.1, 0.1, 0.12))
    )
    low, high = sorted(rng.integers(SIZE // 5, SIZE - 20, 2))
    letters = rng.random((SIZE, 1, 1)) < 0.6
    margin = max(book.shape[1] // 3, 2)
    title = book[low:high, margin:-margin]
    title[:] = np.where(letters[low:high], ink, title)
    if rng.random() < 0.5:
        book[12:26] = ink


def screen(rng: Rng) -> Floats:
    """A switched-off display: nearly black, with the ghost of a reflection."""
    ghost = 0.5 + 0.5 * np.sin(2 * np.pi * (COLUMNS * 0.5 + ROWS * 0.3 + rng.random()))
    return tinted((0.045, 0.048, 0.055), 0.8 * ghost)


def outside(rng: Rng) -> Floats:
    """What a window shows: a bright sky over blurred greenery or houses."""
    sky = mix(
        tinted((0.97, 0.97, 0.95), 0 * ROWS),
        tinted((0.66, 0.80, 0.97), 0.06 * noise(rng, 1.9, 2.0)),
        np.clip(1.6 * ROWS - 0.5, 0, 1),
    )
    edge = rng.uniform(0.1, 0.6) + 0.08 * noise(rng, 1.6)[0]
    green = hsv(rng.uniform(0.2, 0.4), rng.uniform(0.1, 0.45), rng.uniform(0.5, 0.8))
    trees = tinted(green, 0.25 * noise(rng, 1.3))
    return mix(sky, trees, np.clip((edge[None, :] - ROWS) * 12, 0, 1))


def blinds(rng: Rng) -> Floats:
    """Closed slats: bright, with dark lines along the rows."""
    phase = (ROWS * 32) % 1.0
    return tinted((0.92, 0.91, 0.88), -0.35 * np.abs(phase - 0.3) + 0.01 * noise(rng, 1.0))


def door_leaf(rng: Rng, colour: Colour) -> Floats:
    """A panelled door: sunk fields drawn by their light and dark edges."""
    shade = 0.02 * noise(rng, 0.8, 12.0)
    columns, rows = int(rng.choice([1, 2])), int(rng.choice([1, 2, 3]))
    x, y = (COLUMNS * columns) % 1.0, (ROWS * rows) % 1.0
    inset = np.minimum(np.minimum(x, 1 - x) / columns * 0.4, np.minimum(y, 1 - y) / rows)
    rim = np.exp(-(((inset - 0.06) / 0.012) ** 2))
    light = np.where((y > 0.5), -0.35, 0.12)
    return tinted(colour, shade + rim * light)
