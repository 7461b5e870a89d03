"""What hangs on walls and under the ceiling, doors and windows included.

The origin lies on the wall, y points into the room.
"""

from __future__ import annotations

import numpy as np

from mtl_core.rooms import pictures
from mtl_core.rooms.kit import Palette, Piece
from mtl_core.rooms.solids import pitch, yaw
from mtl_core.rooms.textures import hsv, random_colour


def television(kit: Palette, width: float) -> Piece:
    """A flat screen; its origin is below the middle of its lower edge."""
    rng, height = kit.rng, width * 0.58
    piece = Piece(width, 0.05)
    case = kit.paint((0.045, 0.045, 0.05), 0.2)
    on = rng.random() < 0.3
    face = pictures.painting(rng) if on else pictures.screen(rng)
    piece.box("tv", case, (-width / 2, -0.025, 0), (width / 2, 0.02, height))
    inner = (width / 2 - 0.025, 0.023, height - 0.025)
    piece.box(
        "tv", kit.picture(face, glow=0.9 if on else 0.0, gloss=0.5), (-inner[0], 0.0, 0.03), inner
    )
    return piece


def picture(kit: Palette) -> Piece:
    """A framed picture; its origin is in the middle of its back."""
    rng = kit.rng
    width, height = rng.uniform(0.25, 1.0), rng.uniform(0.25, 0.8)
    edge = rng.uniform(0.015, 0.05)
    frame = (
        kit.wood()
        if rng.random() < 0.6
        else kit.paint(hsv(0.12, 0.3, rng.choice([0.08, 0.6, 0.92])), 0.1)
    )
    piece = Piece(width, 0.03)
    w, h = width / 2, height / 2
    for side in (-1, 1):
        piece.add("box", "picture", frame, (0, 0.015, side * (h - edge / 2)), (width, 0.03, edge))
        piece.add("box", "picture", frame, (side * (w - edge / 2), 0.015, 0), (edge, 0.03, height))
    if rng.random() < 0.5:
        mat = kit.paint((0.93, 0.92, 0.88), 0.0)
        piece.box("picture", mat, (-w + edge, 0, -h + edge), (w - edge, 0.012, h - edge))
        edge += 0.12 * min(width, height)
    art = kit.picture(pictures.painting(rng))
    piece.box("picture", art, (-w + edge, 0, -h + edge), (w - edge, 0.014, h - edge))
    return piece


def window(kit: Palette, width: float, height: float, sill: float) -> Piece:
    """Pane, frame with bars, sill at a height, curtains or blinds; origin: middle of the sill."""
    rng = kit.rng
    paint = kit.paint((0.93, 0.93, 0.91), 0.05) if rng.random() < 0.7 else kit.wood()
    piece = Piece(width, 0.12)
    w, bar = width / 2, rng.uniform(0.04, 0.07)
    shut = rng.random() < 0.2
    pane = kit.picture(
        pictures.blinds(rng) if shut else pictures.outside(rng), glow=0.9 if shut else 2.6
    )
    piece.box("window", pane, (-w, 0, 0), (w, 0.012, height))
    for z in (bar / 2, height - bar / 2):
        piece.add("box", "window", paint, (0, 0.025, z), (width, 0.05, bar))
    posts = np.linspace(-w + bar / 2, w - bar / 2, int(rng.integers(2, 5)))
    for x in posts:
        piece.add("box", "window", paint, (x, 0.02, height / 2), (bar * 0.8, 0.04, height))
    if rng.random() < 0.4:
        piece.add(
            "box",
            "window",
            paint,
            (0, 0.02, height * rng.uniform(0.45, 0.7)),
            (width, 0.036, bar * 0.7),
        )
    piece.add("box", "window", paint, (0, 0.05, -0.015), (width + 0.1, 0.1, 0.03))
    if not shut and rng.random() < 0.7:
        _curtains(kit, piece, (width, height), sill)
    return piece


def _curtains(kit: Palette, piece: Piece, size: tuple[float, float], sill: float) -> None:
    """Two curtains of upright folds on a rod, clear of the floor."""
    rng, cloth, (width, height) = kit.rng, kit.cloth(), size
    drop, fold = rng.choice([0.1, 0.25, 0.6]), rng.uniform(0.07, 0.11)
    spread = int(max(2, width * rng.uniform(0.12, 0.3) / fold))
    low, high = -min(drop, sill - 0.02), height + 0.1
    for side in (-1, 1):
        for k in range(spread):
            x = side * (width / 2 + 0.12 - k * fold * 0.8)
            folded = (fold, rng.uniform(0.05, 0.09), high - low)
            piece.add("tube", "window", cloth, (x, 0.1, (low + high) / 2), folded)
    rod = (0.022, 0.022, width + 0.4)
    piece.add(
        "tube", "window", kit.metal(), (0, 0.1, high + 0.01), rod, yaw(np.pi / 2) @ pitch(np.pi / 2)
    )
    piece.width = width + 0.4


def door(kit: Palette) -> Piece:
    """A closed door with its frame and handle, part of the wall."""
    rng = kit.rng
    width, height = rng.uniform(0.78, 0.92), rng.uniform(1.98, 2.08)
    colour = (
        hsv(0.1, rng.uniform(0, 0.1), rng.uniform(0.8, 0.95))
        if rng.random() < 0.65
        else hsv(0.07, 0.55, rng.uniform(0.25, 0.65))
    )
    leaf = kit.picture(pictures.door_leaf(rng, colour))
    trim = kit.paint(colour, 0.04)
    piece = Piece(width + 0.16, 0.06)
    w = width / 2
    piece.box("wall", leaf, (-w, 0, 0), (w, 0.02, height))
    for side in (-1, 1):
        piece.add(
            "box",
            "wall",
            trim,
            (side * (w + 0.04), 0.02, height / 2),
            (0.08, 0.04, height),
            bevel=0.015,
        )
    piece.add(
        "box", "wall", trim, (0, 0.02, height + 0.04), (width + 0.16, 0.04, 0.08), bevel=0.015
    )
    piece.add(
        "ball",
        "wall",
        kit.metal(),
        ((w - 0.07) * rng.choice([-1, 1]), 0.05, 1.0),
        (0.06, 0.06, 0.06),
    )
    return piece


def ceiling_lamp(kit: Palette, height: float) -> Piece:
    """A lamp under the ceiling, its origin on the floor: a disc, or a shade on a cord."""
    rng = kit.rng
    piece = Piece(0.4, 0.4)
    colour = hsv(rng.uniform(0.08, 0.16), rng.uniform(0.02, 0.2), 0.97)
    if height < 2.55 or rng.random() < 0.5:
        size = rng.uniform(0.28, 0.45)
        piece.add(
            "tube",
            "objects",
            kit.shining(colour, 2.6),
            (0, 0, height - 0.04),
            (size, size, 0.08),
            taper=-0.2,
        )
        return piece
    drop = rng.uniform(0.25, 0.5)
    piece.add(
        "tube",
        "objects",
        kit.paint((0.1, 0.1, 0.1)),
        (0, 0, height - drop / 2),
        (0.012, 0.012, drop),
    )
    width = rng.uniform(0.28, 0.5)
    if rng.random() < 0.4:
        piece.add(
            "ball", "objects", kit.shining(colour, 2.4), (0, 0, height - drop), (0.3, 0.3, 0.3)
        )
    else:
        shade = kit.shining(random_colour(rng, 0.4, 0.8), 1.2)
        piece.add("tube", "objects", shade, (0, 0, height - drop), (width, width, 0.22), taper=0.6)
    return piece
