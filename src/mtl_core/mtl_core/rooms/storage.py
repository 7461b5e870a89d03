"""Cabinets, shelves and what stands in them."""

from __future__ import annotations

import numpy as np

from mtl_core.rooms import decor, hangings
from mtl_core.rooms.kit import Palette, Piece
from mtl_core.rooms.textures import hsv


def chest(
    kit: Palette,
    width: float,
    depth: float,
    height: float,
    grid: tuple[int, int],
    label: str = "furniture",
) -> Piece:
    """A chest: a box with columns x rows of fronts, and a knob or bar on each."""
    rng, wood, metal = kit.rng, kit.wood(), kit.metal()
    front = wood if rng.random() < 0.7 else kit.wood()
    columns, rows = grid
    piece = Piece(width, depth)
    piece.box(label, wood, (-width / 2, -depth / 2, 0.04), (width / 2, depth / 2 - 0.02, height))
    piece.box(
        label,
        wood,
        (-width / 2 + 0.03, -depth / 2, 0.0),
        (width / 2 - 0.03, depth / 2 - 0.06, 0.05),
    )
    cell_x, cell_z = width / columns, (height - 0.08) / rows
    bar = rng.random() < 0.5
    for i in range(columns):
        for j in range(rows):
            x, z = (i + 0.5) * cell_x - width / 2, 0.06 + (j + 0.5) * cell_z
            piece.add(
                "box",
                label,
                front,
                (x, depth / 2 - 0.01, z),
                (cell_x - 0.015, 0.024, cell_z - 0.015),
                bevel=0.008,
            )
            tall = cell_z > 1.2 * cell_x
            side = (0.38 * cell_x * (1 if i % 2 == 0 else -1)) if tall else 0.0
            size = (
                (0.02, 0.02, 0.02)
                if not bar
                else ((0.015, 0.02, 0.14) if tall else (0.12, 0.02, 0.015))
            )
            piece.add(
                "ball" if not bar else "box", label, metal, (x + side, depth / 2 + 0.012, z), size
            )
    piece.top(0, 0, height, width - 0.08, depth - 0.1)
    return piece


def nightstand(kit: Palette) -> Piece:
    """A small chest beside a bed."""
    rng = kit.rng
    return chest(
        kit,
        rng.uniform(0.4, 0.55),
        rng.uniform(0.36, 0.45),
        rng.uniform(0.45, 0.6),
        (1, int(rng.integers(1, 3))),
    )


def dresser(kit: Palette) -> Piece:
    """A chest of drawers."""
    rng = kit.rng
    grid = (int(rng.integers(1, 4)), int(rng.integers(3, 5)))
    return chest(kit, rng.uniform(0.8, 1.5), rng.uniform(0.4, 0.52), rng.uniform(0.75, 1.2), grid)


def wardrobe(kit: Palette) -> Piece:
    """Two to four tall doors."""
    rng, columns = kit.rng, int(kit.rng.integers(2, 5))
    width = columns * rng.uniform(0.42, 0.55)
    return chest(kit, width, rng.uniform(0.55, 0.65), rng.uniform(1.85, 2.2), (columns, 1))


def sideboard(kit: Palette) -> Piece:
    """A low cabinet."""
    rng, columns = kit.rng, int(kit.rng.integers(2, 5))
    width = columns * rng.uniform(0.35, 0.5)
    return chest(
        kit,
        width,
        rng.uniform(0.38, 0.5),
        rng.uniform(0.6, 0.95),
        (columns, int(rng.integers(1, 3))),
    )


def tv_stand(kit: Palette) -> Piece:
    """A low cabinet with a television on it."""
    rng, columns = kit.rng, int(kit.rng.integers(2, 4))
    piece = chest(
        kit, rng.uniform(1.1, 1.7), rng.uniform(0.4, 0.48), rng.uniform(0.4, 0.65), (columns, 1)
    )
    height = piece.height
    piece.tops = [(np.array([s * piece.width * 0.42, 0.05, height]), 0.05, 0.08) for s in (-1, 1)]
    tv = hangings.television(kit, rng.uniform(0.8, min(1.25, piece.width)))
    piece.put(tv, 0, -0.02, height + 0.06)
    piece.add(
        "box",
        "tv",
        kit.paint((0.05, 0.05, 0.05), 0.1),
        (0, -0.02, height + 0.01),
        (0.45, 0.22, 0.02),
    )
    piece.add(
        "box",
        "tv",
        kit.paint((0.05, 0.05, 0.05), 0.1),
        (0, -0.02, height + 0.06),
        (0.08, 0.04, 0.12),
    )
    return piece


def kitchenette(kit: Palette) -> Piece:
    """A counter with cupboards below and above."""
    rng, columns = kit.rng, int(kit.rng.integers(3, 6))
    width, depth = columns * rng.uniform(0.45, 0.6), 0.6
    piece = chest(kit, width, depth, 0.86, (columns, int(rng.integers(1, 4))))
    slab = (
        kit.paint(hsv(0.1, 0.1, rng.choice([0.12, 0.4, 0.8])), 0.2)
        if rng.random() < 0.6
        else kit.wood()
    )
    piece.box("furniture", slab, (-width / 2, -depth / 2, 0.86), (width / 2, depth / 2 + 0.01, 0.9))
    piece.tops.clear()
    piece.top(0, 0.02, 0.9, width - 0.1, depth - 0.1)
    if rng.random() < 0.8:
        upper = chest(kit, width, 0.34, rng.uniform(0.6, 0.75), (columns, 1))
        piece.put(Piece(width, 0.34, upper.solids), 0, -depth / 2 + 0.17, 1.4)
    return piece


def bookshelf(kit: Palette) -> Piece:
    """Open shelves with rows of books and a few other things."""
    rng, wood = kit.rng, kit.wood()
    width, depth = rng.uniform(0.7, 1.3), rng.uniform(0.26, 0.36)
    rows = int(rng.integers(2, 7))
    gap = rng.uniform(0.28, 0.36)
    height = rows * gap + 0.1
    piece = Piece(width, depth)
    w, d = width / 2, depth / 2
    for x in (-w, w - 0.025):
        piece.box("furniture", wood, (x, -d, 0), (x + 0.025, d, height))
    piece.box("furniture", wood, (-w, -d, 0.02), (w, -d + 0.015, height - 0.01))
    for level in range(rows + 1):
        z = 0.06 + level * gap
        piece.box("furniture", wood, (-w + 0.02, -d, z), (w - 0.02, d - 0.005, z + 0.025))
        if level < rows:
            _fill_shelf(kit, piece, (w - 0.04, d, z + 0.025), gap - 0.03)
    piece.top(0, 0, 0.06 + rows * gap + 0.025, width - 0.1, depth - 0.06)
    return piece


def wall_shelf(kit: Palette) -> Piece:
    """A board on the wall with books and small things; origin in the middle of its back edge."""
    wood, width = kit.wood(), kit.rng.uniform(0.5, 1.2)
    shelf = Piece(width, 0.24)
    shelf.box("furniture", wood, (-width / 2, -0.12, -0.03), (width / 2, 0.12, 0.0))
    _fill_shelf(kit, shelf, (width / 2, 0.13, 0.0), 0.3)
    piece = Piece(width, 0.24)
    piece.put(shelf, 0, 0.12)
    return piece


def _fill_shelf(kit: Palette, piece: Piece, place: tuple[float, float, float], gap: float) -> None:
    """Blocks of books from left to right, with gaps, and now and then something else."""
    rng, (w, d, z) = kit.rng, place
    x = -w + rng.uniform(0, 0.1)
    while x < w - 0.08:
        kind = rng.random()
        width = min(rng.uniform(0.08, 0.35), w - x)
        if kind < 0.72:
            tall, deep = gap * rng.uniform(0.6, 0.95), rng.uniform(0.14, 0.2)
            front = d - rng.uniform(0.02, 0.06)
            piece.box("books", kit.books(), (x, front - deep, z), (x + width, front, z + tall))
            x += width
        elif kind < 0.84 and w - x > 0.2:
            piece.put(decor.small_thing(kit, 0.8 * gap), x + 0.09, 0.0, z)
            x += 0.18
        else:
            x += rng.uniform(0.05, 0.25)
