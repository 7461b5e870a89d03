"""Tables, alone and with what belongs to them."""

from __future__ import annotations

import numpy as np

from mtl_core.rooms import decor, seating, storage
from mtl_core.rooms.kit import Palette, Piece


def _table(kit: Palette, width: float, depth: float, height: float) -> Piece:
    """A table of any height: rectangular with legs or panels, or round on a column."""
    rng, wood = kit.rng, kit.wood()
    top = wood if rng.random() < 0.75 else kit.paint(None, 0.08)
    thick = rng.uniform(0.025, 0.05)
    piece = Piece(width, depth)
    if abs(width - depth) < 0.25 and rng.random() < 0.5:
        piece.add("tube", "table", top, (0, 0, height - thick / 2), (width, depth, thick))
        piece.add("tube", "table", wood, (0, 0, height / 2), (0.09, 0.09, height - 2 * thick))
        piece.add("tube", "table", wood, (0, 0, 0.02), (0.5 * width, 0.5 * depth, 0.04), taper=0.4)
        piece.top(0, 0, height, 0.6 * width, 0.6 * depth)
        return piece
    piece.box(
        "table", top, (-width / 2, -depth / 2, height - thick), (width / 2, depth / 2, height)
    )
    legs = wood if rng.random() < 0.8 else kit.metal()
    piece.legs(
        "table", legs, (width - 0.06, depth - 0.06, height - thick), rng.uniform(0.035, 0.08)
    )
    apron = (width - 0.14, depth - 0.14, 0.07)
    piece.add("box", "table", wood, (0, 0, height - thick - 0.035), apron)
    piece.top(0, 0, height, width - 0.1, depth - 0.1)
    return piece


def side_table(kit: Palette) -> Piece:
    """A small table, square or round."""
    size = kit.rng.uniform(0.42, 0.6)
    return _table(kit, size, size, kit.rng.uniform(0.45, 0.65))


def dining(kit: Palette) -> Piece:
    """A dining table with chairs of one kind around it."""
    rng = kit.rng
    width = rng.uniform(0.9, 1.8)
    depth = rng.uniform(0.8, 0.95)
    piece = Piece(width + 1.1, depth + 1.1)
    piece.put(_table(kit, width, depth, rng.uniform(0.72, 0.77)), 0, 0)
    seat = seating.chair(kit)
    sides = 1 if width < 1.25 else 2
    for side in (0.0, np.pi):
        for k in range(sides):
            x = (k - (sides - 1) / 2) * width / sides + rng.normal(0, 0.02)
            away = depth / 2 + rng.uniform(0.0, 0.2)
            if rng.random() < 0.9:
                turn = side + np.pi + rng.normal(0, 0.12)
                piece.put(seat, x, away if side == 0 else -away, 0, float(turn))
    for side in (-1, 1):
        if rng.random() < 0.6:
            away = side * (width / 2 + rng.uniform(0.02, 0.2))
            piece.put(
                seat, away, rng.normal(0, 0.03), 0, float(side * np.pi / 2 + rng.normal(0, 0.1))
            )
    return piece


def desk(kit: Palette) -> Piece:
    """A desk against the wall with a chair before it, sometimes with drawers or a shelf."""
    rng, wood = kit.rng, kit.wood()
    width, depth, height = rng.uniform(1.0, 1.7), rng.uniform(0.55, 0.75), rng.uniform(0.71, 0.76)
    piece = Piece(width, depth + 0.6)
    table = Piece(width, depth)
    table.box(
        "table", wood, (-width / 2, -depth / 2, height - 0.03), (width / 2, depth / 2, height)
    )
    if rng.random() < 0.5:
        table.legs("table", kit.metal(), (width - 0.04, depth - 0.04, height - 0.03), 0.045)
    else:
        for x in (-1, 1):
            table.add(
                "box",
                "table",
                wood,
                (x * (width / 2 - 0.02), 0, height / 2 - 0.02),
                (0.03, depth - 0.02, height - 0.04),
            )
        table.box(
            "table",
            wood,
            (-width / 2, -depth / 2 + 0.05, 0.3),
            (width / 2, -depth / 2 + 0.07, height - 0.03),
        )
    if rng.random() < 0.5:
        block = storage.chest(kit, 0.4, depth - 0.08, height - 0.1, (1, 3), "table")
        table.put(block, (width / 2 - 0.24) * rng.choice([-1, 1]), -0.02)
    table.top(0, -0.05, height, width - 0.12, depth - 0.2)
    piece.put(table, 0, -0.3)
    seat = seating.office_chair(kit) if rng.random() < 0.6 else seating.chair(kit)
    piece.put(
        seat,
        rng.uniform(-0.12, 0.12),
        depth / 2 - 0.3 + rng.uniform(0.1, 0.3),
        0,
        float(np.pi + rng.normal(0, 0.4)),
    )
    if rng.random() < 0.6:
        piece.put(
            decor.laptop(kit), rng.normal(0, 0.1), -0.3 + 0.02, height, float(rng.normal(0, 0.15))
        )
    return piece


def lounge(kit: Palette) -> Piece:
    """A sofa with a coffee table before it, often on a rug."""
    rng, couch = kit.rng, seating.sofa(kit)
    gap, depth = rng.uniform(0.35, 0.5), rng.uniform(0.5, 0.65)
    width = min(rng.uniform(0.7, 1.2), max(couch.width, 0.8))
    piece = Piece(max(couch.width, width), couch.depth + gap + depth)
    piece.put(couch, 0, -piece.depth / 2 + couch.depth / 2)
    y = piece.depth / 2 - depth / 2
    piece.put(_table(kit, width, depth, rng.uniform(0.36, 0.48)), rng.normal(0, 0.05), y)
    if rng.random() < 0.6:
        size = (width + rng.uniform(0.4, 0.9), depth + rng.uniform(0.4, 0.8), 0.016)
        piece.add("box", "floor", kit.cloth(), (0, y, 0.008), size)
    return piece
