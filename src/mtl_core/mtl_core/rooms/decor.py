"""Builder things, lamps and plants."""

from __future__ import annotations

import numpy as np

from mtl_core.rooms import pictures
from mtl_core.rooms.kit import Builder, Palette, Piece
from mtl_core.rooms.solids import pitch, yaw
from mtl_core.rooms.textures import hsv, random_colour


def vase(kit: Palette) -> Piece:
    """A bulb with a neck, sometimes with twigs."""
    rng, glaze = kit.rng, kit.paint(None, 0.2)
    radius, height = rng.uniform(0.04, 0.08), rng.uniform(0.12, 0.28)
    piece = Piece(2 * radius, 2 * radius)
    piece.add(
        "ball", "objects", glaze, (0, 0, 0.4 * height), (2 * radius, 2 * radius, 0.8 * height)
    )
    piece.add(
        "tube", "objects", glaze, (0, 0, 0.8 * height), (radius, radius, 0.4 * height), taper=-0.3
    )
    piece.add("tube", "objects", glaze, (0, 0, 0.01), (1.2 * radius, 1.2 * radius, 0.02))
    if rng.random() < 0.5:
        for _ in range(5):
            turn = yaw(rng.uniform(0, 6.28)) @ pitch(rng.uniform(0.1, 0.5))
            tip = turn @ np.array([0, 0, 0.12]) + (0, 0, height)
            piece.add("ball", "objects", kit.leaves(), tip, (0.05, 0.03, 0.2), turn)
            piece.add(
                "ball",
                "objects",
                kit.paint(),
                tip + turn @ np.array([0, 0, 0.1]),
                (0.05, 0.05, 0.04),
            )
    return piece


def cup(kit: Palette) -> Piece:
    """A cup with a handle."""
    glaze = kit.paint(None, 0.15)
    piece = Piece(0.1, 0.1)
    piece.add("tube", "objects", glaze, (0, 0, 0.05), (0.08, 0.08, 0.1), taper=-0.15)
    piece.add("box", "objects", glaze, (0.045, 0, 0.05), (0.025, 0.01, 0.05))
    return piece


def bottle(kit: Palette) -> Piece:
    """A bottle with a neck."""
    glass = kit.paint(hsv(kit.rng.choice([0.3, 0.08, 0.55, 0.0]), 0.6, 0.35), 0.3)
    piece = Piece(0.08, 0.08)
    piece.add("tube", "objects", glass, (0, 0, 0.09), (0.075, 0.075, 0.18))
    piece.add("tube", "objects", glass, (0, 0, 0.205), (0.07, 0.07, 0.05), taper=0.6)
    piece.add("tube", "objects", kit.paint(), (0, 0, 0.25), (0.03, 0.03, 0.06))
    return piece


def carton(kit: Palette) -> Piece:
    """A box: cardboard or coloured."""
    rng = kit.rng
    colour = hsv(0.09, 0.45, 0.65) if rng.random() < 0.4 else None
    size = rng.uniform(0.08, 0.25, 3)
    piece = Piece(size[0], size[1])
    piece.add("box", "objects", kit.paint(colour), (0, 0, size[2] / 2), size)
    if rng.random() < 0.5:
        band = (size[0] * 1.004, size[1] * 1.004, size[2] * 0.25)
        piece.add("box", "objects", kit.paint(), (0, 0, size[2] * 0.6), band)
    return piece


def ball(kit: Palette) -> Piece:
    """A ball."""
    size = kit.rng.uniform(0.08, 0.2)
    piece = Piece(size, size)
    piece.add("ball", "objects", kit.paint(None, 0.1), (0, 0, size / 2), (size, size, size))
    return piece


def bowl(kit: Palette) -> Piece:
    """A bowl with fruit."""
    rng, glaze = kit.rng, kit.paint(None, 0.15)
    piece = Piece(0.26, 0.26)
    piece.add("tube", "objects", glaze, (0, 0, 0.04), (0.26, 0.26, 0.08), taper=-0.5)
    fruit = kit.paint(hsv(rng.uniform(0, 0.3), 0.75, 0.75), 0.1)
    for k in range(4):
        angle = k * 1.57 + rng.random()
        centre = (0.06 * np.cos(angle), 0.06 * np.sin(angle), 0.09)
        piece.add("ball", "objects", fruit, centre, (0.075, 0.075, 0.07))
    return piece


def papers(kit: Palette) -> Piece:
    """A few sheets."""
    piece = Piece(0.25, 0.32)
    for k in range(int(kit.rng.integers(1, 4))):
        white = kit.paint((0.93, 0.93, 0.9), 0.0)
        place = (*kit.rng.normal(0, 0.03, 2), 0.002 + 0.004 * k)
        piece.add(
            "box", "objects", white, place, (0.21, 0.297, 0.004), float(kit.rng.normal(0, 0.4))
        )
    return piece


def book_pile(kit: Palette) -> Piece:
    """Books lying on each other."""
    rng, z = kit.rng, 0.0
    piece = Piece(0.24, 0.2)
    for _ in range(int(rng.integers(1, 6))):
        size = (rng.uniform(0.17, 0.25), rng.uniform(0.13, 0.19), rng.uniform(0.015, 0.045))
        cover = kit.paint(random_colour(rng, 0.7, 0.6), 0.05)
        turn = float(rng.normal(0, 0.15))
        piece.add("box", "books", cover, (0, 0, z + size[2] / 2), size, turn)
        pages = kit.paint((0.9, 0.87, 0.78), 0.0)
        inner = (size[0] * 0.97, size[1] * 1.01, size[2] * 0.7)
        piece.add("box", "books", pages, (0.004, 0, z + size[2] / 2), inner, turn)
        z += size[2]
    return piece


def book_row(kit: Palette) -> Piece:
    """Books standing in a row between two ends."""
    width = kit.rng.uniform(0.18, 0.38)
    piece = Piece(width + 0.04, 0.2)
    piece.box(
        "books", kit.books(), (-width / 2, -0.09, 0), (width / 2, 0.08, kit.rng.uniform(0.2, 0.27))
    )
    for x in (-1, 1):
        piece.add(
            "box", "objects", kit.metal(), (x * (width / 2 + 0.008), 0, 0.06), (0.012, 0.12, 0.12)
        )
    return piece


def laptop(kit: Palette) -> Piece:
    """An open notebook computer."""
    grey = kit.metal()
    piece = Piece(0.34, 0.3)
    piece.add("box", "objects", grey, (0, 0.0, 0.01), (0.33, 0.23, 0.02))
    face = kit.picture(pictures.painting(kit.rng), glow=0.8)
    turn = pitch(0.25)
    piece.add(
        "box",
        "objects",
        kit.paint((0.05, 0.05, 0.05)),
        (0, -0.145, 0.12),
        (0.33, 0.012, 0.21),
        turn,
    )
    piece.add("box", "objects", face, (0, -0.139, 0.122), (0.3, 0.012, 0.18), turn)
    keys = kit.paint((0.08, 0.08, 0.09), 0.02)
    piece.add("box", "objects", keys, (0, -0.02, 0.012), (0.28, 0.11, 0.018))
    return piece


def table_lamp(kit: Palette) -> Piece:
    """Foot, stem and a shining shade."""
    rng, metal = kit.rng, kit.paint(None, 0.15)
    height, width = rng.uniform(0.35, 0.55), rng.uniform(0.22, 0.34)
    piece = Piece(0.2, 0.2)
    piece.add("tube", "objects", metal, (0, 0, 0.015), (0.15, 0.15, 0.03))
    if rng.random() < 0.5:
        piece.add("ball", "objects", metal, (0, 0, 0.3 * height), (0.13, 0.13, 0.5 * height))
    piece.add("tube", "objects", metal, (0, 0, 0.4 * height), (0.025, 0.025, 0.7 * height))
    _shade(kit, piece, (0, 0, height - 0.08), (width, width, 0.2))
    return piece


def _shade(
    kit: Palette, piece: Piece, centre: tuple[float, float, float], size: tuple[float, float, float]
) -> None:
    glow = kit.rng.choice([0.25, 2.2])
    colour = hsv(kit.rng.uniform(0.06, 0.15), kit.rng.uniform(0.05, 0.35), 0.93)
    piece.add(
        "tube",
        "objects",
        kit.shining(colour, glow),
        centre,
        size,
        taper=float(kit.rng.uniform(0.1, 0.5)),
    )


def floor_lamp(kit: Palette) -> Piece:
    """A standard lamp."""
    height, metal = kit.rng.uniform(1.4, 1.7), kit.metal()
    piece = Piece(0.42, 0.42)
    piece.add("tube", "objects", metal, (0, 0, 0.015), (0.28, 0.28, 0.03))
    piece.add("tube", "objects", metal, (0, 0, height / 2), (0.028, 0.028, height - 0.1))
    _shade(kit, piece, (0, 0, height - 0.12), (0.4, 0.4, 0.28))
    return piece


def pot_plant(kit: Palette, scale: float = 1.0) -> Piece:
    """A pot and long leaves that bend outward."""
    rng, size = kit.rng, 0.2 * scale
    pot = kit.paint(
        hsv(rng.choice([0.05, 0.1, 0.6]), rng.uniform(0, 0.6), rng.uniform(0.3, 0.9)), 0.08
    )
    piece = Piece(2.4 * size, 2.4 * size)
    piece.add("tube", "objects", pot, (0, 0, size / 2), (size, size, size), taper=-0.3)
    leaf, long, wide = kit.leaves(), rng.uniform(1.2, 2.2) * size, rng.uniform(0.25, 0.55) * size
    for k in range(int(rng.integers(9, 18))):
        lean = rng.uniform(0.05, 1.0)
        turn = yaw(k * 2.4 + rng.normal(0, 0.2)) @ pitch(lean)
        reach = long * (1.3 - 0.5 * lean)
        centre = turn @ np.array([0, 0, reach / 2]) + (0, 0, 0.9 * size)
        piece.add("ball", "objects", leaf, centre, (wide, 0.15 * wide, reach), turn)
    return piece


def floor_plant(kit: Palette) -> Piece:
    """A large plant."""
    return pot_plant(kit, kit.rng.uniform(1.4, 2.0))


def waste_basket(kit: Palette) -> Piece:
    """A waste-paper basket."""
    piece = Piece(0.3, 0.3)
    piece.add(
        "tube", "objects", kit.paint(None, 0.08), (0, 0, 0.16), (0.28, 0.28, 0.32), taper=-0.25
    )
    return piece


def floor_boxes(kit: Palette) -> Piece:
    """One to three cartons on each other."""
    rng, z = kit.rng, 0.0
    piece = Piece(0.5, 0.45)
    for _ in range(int(rng.integers(1, 4))):
        size = rng.uniform((0.3, 0.25, 0.18), (0.48, 0.42, 0.34))
        colour = hsv(0.09, 0.45, rng.uniform(0.5, 0.7)) if rng.random() < 0.6 else None
        turn = float(rng.normal(0, 0.12))
        piece.add("box", "objects", kit.paint(colour), (0, 0, z + size[2] / 2), size, turn)
        tape = (size[0] * 1.002, 0.05, size[2] * 1.004)
        piece.add(
            "box", "objects", kit.paint(hsv(0.1, 0.3, 0.75)), (0, 0, z + size[2] / 2), tape, turn
        )
        z += size[2]
    return piece


def bag(kit: Palette) -> Piece:
    """A soft bag on the floor."""
    cloth, size = kit.cloth(), kit.rng.uniform((0.3, 0.18, 0.25), (0.5, 0.3, 0.4))
    piece = Piece(size[0], size[1])
    piece.add("ball", "objects", cloth, (0, 0, size[2] / 2), size)
    piece.add("box", "objects", cloth, (0, 0, size[2] * 0.3), size * (0.85, 0.85, 0.6), bevel=0.08)
    return piece


SMALL: tuple[Builder, ...] = (
    vase,
    cup,
    cup,
    bottle,
    carton,
    carton,
    ball,
    bowl,
    papers,
    book_pile,
    book_pile,
    book_row,
    table_lamp,
    pot_plant,
)


SHELVED: tuple[Builder, ...] = (vase, cup, bottle, carton, ball, book_pile)


def small_thing(kit: Palette, highest: float) -> Piece:
    """Something for a shelf, no higher than asked."""
    for _ in range(4):
        piece = SHELVED[kit.rng.integers(len(SHELVED))](kit)
        if piece.height <= highest and max(piece.width, piece.depth) < 0.22:
            return piece
    return cup(kit)
