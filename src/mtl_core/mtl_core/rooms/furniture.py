"""Furniture that stands on the floor. Every builder draws its own sizes and materials."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mtl_core.rooms import decor
from mtl_core.rooms.kit import Palette, Piece
from mtl_core.rooms.solids import Material, pitch, yaw
from mtl_core.rooms.textures import hsv

Builder = Callable[[Palette], Piece]


def _legs(
    piece: Piece, label: str, material: Material, size: tuple[float, float, float], thick: float
) -> None:
    """Four legs under the corners of a slab of (width, depth) whose underside is at height."""
    width, depth, height = size
    for x in (-1, 1):
        for y in (-1, 1):
            centre = (x * (width - thick) / 2, y * (depth - thick) / 2, height / 2)
            piece.add("box", label, material, centre, (thick, thick, height))


def bed(kit: Palette) -> Piece:
    """Frame, mattress, blanket, pillows, headboard."""
    rng, wood = kit.rng, kit.wood()
    width, length = rng.uniform(0.95, 1.8), rng.uniform(1.95, 2.1)
    low, high = rng.uniform(0.22, 0.32), rng.uniform(0.45, 0.58)
    piece = Piece(width + 0.08, length)
    w, back = width / 2, -length / 2
    piece.box("bed", wood, (-w - 0.02, back, 0.05), (w + 0.02, -back, low))
    linen, cover = kit.bedding(), kit.bedding()
    piece.box("bed", linen, (-w, back + 0.08, low), (w, -back - 0.02, high), bevel=0.06)
    start = back + rng.uniform(0.5, 0.9)
    drop = rng.uniform(0.08, 0.3)
    piece.box(
        "bed", cover, (-w - 0.03, start, high - drop), (w + 0.03, -back + 0.01, high + 0.05), 0.07
    )
    if rng.random() < 0.35:
        band = kit.cloth()
        piece.box("bed", band, (-w - 0.04, -back - 0.6, high - drop), (w + 0.04, -back - 0.15, high + 0.065), 0.04)
    head = rng.uniform(0.75, 1.25)
    board = wood if rng.random() < 0.6 else kit.upholstery()
    piece.box("bed", board, (-w - 0.04, back, 0.0), (w + 0.04, back + 0.07, head), bevel=0.02)
    if rng.random() < 0.3:
        piece.box("bed", wood, (-w - 0.04, -back - 0.04, 0.0), (w + 0.04, -back, low + 0.25))
    _pillows(kit, piece, linen, high, w, back + 0.32)
    return piece


def _pillows(
    kit: Palette, piece: Piece, linen: Material, high: float, half_width: float, y: float
) -> None:
    count = 2 if half_width > 0.6 else 1
    linen = linen if kit.rng.random() < 0.4 else kit.bedding()
    for i in range(count):
        x = (i - (count - 1) / 2) * half_width
        size = (min(0.7, 1.7 * half_width / count), 0.48, 0.2)
        turn = yaw(kit.rng.normal(0, 0.08)) @ pitch(-kit.rng.uniform(0.1, 0.5))
        piece.add("ball", "objects", linen, (x, y, high + 0.11), size, turn)


def sofa(kit: Palette) -> Piece:
    """Base, arms, seat and back cushions, loose pillows; two to four seats."""
    rng, cover = kit.rng, kit.upholstery()
    seats = int(rng.choice([1, 2, 3, 3], p=(0.2, 0.3, 0.25, 0.25)))
    arm, seat = rng.uniform(0.12, 0.25), rng.uniform(0.55, 0.72)
    width, depth = seats * seat + 2 * arm, rng.uniform(0.82, 1.0)
    piece = Piece(width, depth)
    w, back = width / 2, -depth / 2
    foot, level, arm_top = rng.uniform(0.03, 0.12), rng.uniform(0.38, 0.46), rng.uniform(0.55, 0.68)
    top = rng.uniform(0.75, 0.95)
    piece.box("sofa", cover, (-w, back, foot), (w, -back - 0.04, level - 0.14), 0.03)
    piece.box("sofa", cover, (-w, back, foot), (w, back + 0.2, top - 0.06), 0.05)
    for side in (-1, 1):
        x = side * (w - arm / 2)
        piece.add("box", "sofa", cover, (x, 0, (foot + arm_top) / 2), (arm, depth, arm_top - foot), bevel=0.06)
        if arm_top < 0.62:
            piece.add("tube", "sofa", cover, (x, 0, arm_top), (arm, arm, depth), pitch(np.pi / 2))
    for i in range(seats):
        x = (i - (seats - 1) / 2) * seat
        size = (seat - 0.01, depth - 0.2, 0.16)
        piece.add("box", "sofa", cover, (x, 0.09, level - 0.07), size, bevel=0.06)
        size = (seat - 0.02, 0.18, top - level)
        lean = pitch(0.2) if rng.random() < 0.8 else pitch(0.1)
        piece.add("box", "sofa", cover, (x, back + 0.27, (top + level) / 2), size, lean, bevel=0.07)
    _legs(piece, "sofa", kit.wood(), (width - 0.1, depth - 0.1, foot), 0.06)
    for _ in range(int(rng.integers(0, 4))):
        x = rng.uniform(-1, 1) * (w - arm - 0.22)
        turn = yaw(rng.normal(0, 0.25)) @ pitch(-1.2)
        piece.add("ball", "objects", kit.cloth(), (x, back + 0.46, level + 0.2), (0.46, 0.46, 0.18), turn)
    return piece


def chair(kit: Palette) -> Piece:
    """A chair with four legs: solid, slatted or upholstered back, sometimes with arms."""
    rng, frame = kit.rng, (kit.wood() if kit.rng.random() < 0.7 else kit.metal())
    seat = frame if rng.random() < 0.45 else kit.upholstery()
    width, depth, level = rng.uniform(0.42, 0.52), rng.uniform(0.42, 0.52), rng.uniform(0.43, 0.48)
    top, thick = rng.uniform(0.82, 1.05), rng.uniform(0.03, 0.05)
    piece = Piece(width, depth + 0.04)
    w, d = width / 2, depth / 2
    soft = 0.02 if seat is frame else 0.04
    piece.box("chair", seat, (-w, -d, level - 0.02 - soft), (w, d, level), soft)
    _legs(piece, "chair", frame, (width, depth, level - 0.03), thick)
    for x in (-1, 1):
        centre = (x * (w - thick / 2), -d + thick / 2, (level + top) / 2)
        piece.add("box", "chair", frame, centre, (thick, thick, top - level), pitch(0.06))
    _chair_back(kit, piece, (frame, seat), (w - thick, -d - 0.005, level, top))
    if rng.random() < 0.25:
        for x in (-1, 1):
            piece.add("box", "chair", frame, (x * w, 0, level + 0.22), (thick, depth, 0.03))
            piece.add("box", "chair", frame, (x * w, d - 0.04, level + 0.1), (thick, thick, 0.24))
    return piece


def _chair_back(
    kit: Palette,
    piece: Piece,
    materials: tuple[Material, Material],
    place: tuple[float, float, float, float],
) -> None:
    (frame, seat), (w, y, level, top) = materials, place
    kind = kit.rng.integers(3)
    if kind == 0:
        low = level + kit.rng.uniform(0.05, 0.2)
        piece.add("box", "chair", seat, (0, y, (low + top) / 2), (2 * w + 0.04, 0.05, top - low), pitch(0.06), bevel=0.025)
    elif kind == 1:
        for z in np.linspace(level + 0.15, top - 0.04, int(kit.rng.integers(2, 5))):
            piece.add("box", "chair", frame, (0, y, z), (2 * w + 0.02, 0.025, 0.06), pitch(0.06))
    else:
        piece.add("box", "chair", frame, (0, y - 0.02, top - 0.03), (2 * w + 0.02, 0.03, 0.07))
        for x in np.linspace(-w, w, int(kit.rng.integers(5, 8)))[1:-1]:
            piece.add("box", "chair", frame, (x, y, (level + top) / 2), (0.02, 0.02, top - level), pitch(0.06))


def office_chair(kit: Palette) -> Piece:
    """Seat and back on a column with five feet."""
    rng, cover, metal = kit.rng, kit.upholstery(), kit.paint((0.1, 0.1, 0.11), 0.08)
    level = rng.uniform(0.44, 0.52)
    piece = Piece(0.6, 0.6)
    piece.box("chair", cover, (-0.25, -0.24, level - 0.09), (0.25, 0.25, level), 0.05)
    tall = rng.uniform(0.45, 0.65)
    piece.add("box", "chair", cover, (0, -0.27, level + 0.1 + tall / 2), (0.46, 0.07, tall), pitch(0.12), bevel=0.05)
    piece.add("box", "chair", metal, (0, -0.26, level + 0.05), (0.08, 0.03, 0.25))
    piece.add("tube", "chair", metal, (0, 0, level / 2), (0.06, 0.06, level - 0.1))
    start = rng.random() * 2
    for k in range(5):
        angle = start + k * 2 * np.pi / 5
        x, y = 0.15 * np.cos(angle), 0.15 * np.sin(angle)
        piece.add("box", "chair", metal, (x, y, 0.09), (0.3, 0.04, 0.03), float(angle))
        piece.add("ball", "chair", metal, (1.85 * x, 1.85 * y, 0.04), (0.06, 0.06, 0.08))
    if rng.random() < 0.6:
        for side in (-1, 1):
            piece.add("box", "chair", metal, (side * 0.28, 0, level + 0.2), (0.05, 0.28, 0.03), bevel=0.01)
            piece.add("box", "chair", metal, (side * 0.28, -0.03, level + 0.06), (0.03, 0.06, 0.28))
    return piece


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
    piece.box("table", top, (-width / 2, -depth / 2, height - thick), (width / 2, depth / 2, height))
    legs = wood if rng.random() < 0.8 else kit.metal()
    _legs(piece, "table", legs, (width - 0.06, depth - 0.06, height - thick), rng.uniform(0.035, 0.08))
    apron = (width - 0.14, depth - 0.14, 0.07)
    piece.add("box", "table", wood, (0, 0, height - thick - 0.035), apron)
    piece.top(0, 0, height, width - 0.1, depth - 0.1)
    return piece


def dining(kit: Palette) -> Piece:
    """A dining table with chairs of one kind around it."""
    rng = kit.rng
    width = rng.uniform(0.9, 1.8)
    depth = rng.uniform(0.8, 0.95)
    piece = Piece(width + 1.1, depth + 1.1)
    piece.put(_table(kit, width, depth, rng.uniform(0.72, 0.77)), 0, 0)
    seat = chair(kit)
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
            piece.put(seat, away, rng.normal(0, 0.03), 0, float(side * np.pi / 2 + rng.normal(0, 0.1)))
    return piece


def desk(kit: Palette) -> Piece:
    """A desk against the wall with a chair before it, sometimes with drawers or a shelf."""
    rng, wood = kit.rng, kit.wood()
    width, depth, height = rng.uniform(1.0, 1.7), rng.uniform(0.55, 0.75), rng.uniform(0.71, 0.76)
    piece = Piece(width, depth + 0.6)
    table = Piece(width, depth)
    table.box("table", wood, (-width / 2, -depth / 2, height - 0.03), (width / 2, depth / 2, height))
    if rng.random() < 0.5:
        _legs(table, "table", kit.metal(), (width - 0.04, depth - 0.04, height - 0.03), 0.045)
    else:
        for x in (-1, 1):
            table.add("box", "table", wood, (x * (width / 2 - 0.02), 0, height / 2 - 0.02), (0.03, depth - 0.02, height - 0.04))
        table.box("table", wood, (-width / 2, -depth / 2 + 0.05, 0.3), (width / 2, -depth / 2 + 0.07, height - 0.03))
    if rng.random() < 0.5:
        block = _drawers(kit, 0.4, depth - 0.08, height - 0.1, (1, 3), "table")
        table.put(block, (width / 2 - 0.24) * rng.choice([-1, 1]), -0.02)
    table.top(0, -0.05, height, width - 0.12, depth - 0.2)
    piece.put(table, 0, -0.3)
    seat = office_chair(kit) if rng.random() < 0.6 else chair(kit)
    piece.put(seat, rng.uniform(-0.12, 0.12), depth / 2 - 0.3 + rng.uniform(0.1, 0.3), 0, float(np.pi + rng.normal(0, 0.4)))
    if rng.random() < 0.6:
        piece.put(decor.laptop(kit), rng.normal(0, 0.1), -0.3 + 0.02, height, float(rng.normal(0, 0.15)))
    return piece


def _drawers(
    kit: Palette, width: float, depth: float, height: float, grid: tuple[int, int], label: str = "furniture"
) -> Piece:
    """A chest: a box with columns x rows of fronts, and a knob or bar on each."""
    rng, wood, metal = kit.rng, kit.wood(), kit.metal()
    front = wood if rng.random() < 0.7 else kit.wood()
    columns, rows = grid
    piece = Piece(width, depth)
    piece.box(label, wood, (-width / 2, -depth / 2, 0.04), (width / 2, depth / 2 - 0.02, height))
    piece.box(label, wood, (-width / 2 + 0.03, -depth / 2, 0.0), (width / 2 - 0.03, depth / 2 - 0.06, 0.05))
    cell_x, cell_z = width / columns, (height - 0.08) / rows
    bar = rng.random() < 0.5
    for i in range(columns):
        for j in range(rows):
            x, z = (i + 0.5) * cell_x - width / 2, 0.06 + (j + 0.5) * cell_z
            piece.add("box", label, front, (x, depth / 2 - 0.01, z), (cell_x - 0.015, 0.024, cell_z - 0.015), bevel=0.008)
            tall = cell_z > 1.2 * cell_x
            side = (0.38 * cell_x * (1 if i % 2 == 0 else -1)) if tall else 0.0
            size = (0.02, 0.02, 0.02) if not bar else ((0.015, 0.02, 0.14) if tall else (0.12, 0.02, 0.015))
            piece.add("ball" if not bar else "box", label, metal, (x + side, depth / 2 + 0.012, z), size)
    piece.top(0, 0, height, width - 0.08, depth - 0.1)
    return piece


def nightstand(kit: Palette) -> Piece:
    """A small chest beside a bed."""
    rng = kit.rng
    return _drawers(kit, rng.uniform(0.4, 0.55), rng.uniform(0.36, 0.45), rng.uniform(0.45, 0.6), (1, int(rng.integers(1, 3))))


def dresser(kit: Palette) -> Piece:
    """A chest of drawers."""
    rng = kit.rng
    grid = (int(rng.integers(1, 4)), int(rng.integers(3, 5)))
    return _drawers(kit, rng.uniform(0.8, 1.5), rng.uniform(0.4, 0.52), rng.uniform(0.75, 1.2), grid)


def wardrobe(kit: Palette) -> Piece:
    """Two to four tall doors."""
    rng, columns = kit.rng, int(kit.rng.integers(2, 5))
    width = columns * rng.uniform(0.42, 0.55)
    return _drawers(kit, width, rng.uniform(0.55, 0.65), rng.uniform(1.85, 2.2), (columns, 1))


def sideboard(kit: Palette) -> Piece:
    """A low cabinet."""
    rng, columns = kit.rng, int(kit.rng.integers(2, 5))
    width = columns * rng.uniform(0.35, 0.5)
    return _drawers(kit, width, rng.uniform(0.38, 0.5), rng.uniform(0.6, 0.95), (columns, int(rng.integers(1, 3))))


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


def tv_stand(kit: Palette) -> Piece:
    """A low cabinet with a television on it."""
    rng, columns = kit.rng, int(kit.rng.integers(2, 4))
    piece = _drawers(kit, rng.uniform(1.1, 1.7), rng.uniform(0.4, 0.48), rng.uniform(0.4, 0.65), (columns, 1))
    height = piece.height
    piece.tops = [(np.array([s * piece.width * 0.42, 0.05, height]), 0.05, 0.08) for s in (-1, 1)]
    tv = decor.television(kit, rng.uniform(0.8, min(1.25, piece.width)))
    piece.put(tv, 0, -0.02, height + 0.06)
    piece.add("box", "tv", kit.paint((0.05, 0.05, 0.05), 0.1), (0, -0.02, height + 0.01), (0.45, 0.22, 0.02))
    piece.add("box", "tv", kit.paint((0.05, 0.05, 0.05), 0.1), (0, -0.02, height + 0.06), (0.08, 0.04, 0.12))
    return piece


def lounge(kit: Palette) -> Piece:
    """A sofa with a coffee table before it, often on a rug."""
    rng, couch = kit.rng, sofa(kit)
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


def side_table(kit: Palette) -> Piece:
    """A small table, square or round."""
    size = kit.rng.uniform(0.42, 0.6)
    return _table(kit, size, size, kit.rng.uniform(0.45, 0.65))


def seat(kit: Palette) -> Piece:
    """A single chair that stands about."""
    return office_chair(kit) if kit.rng.random() < 0.2 else chair(kit)


def kitchenette(kit: Palette) -> Piece:
    """A counter with cupboards below and above."""
    rng, columns = kit.rng, int(kit.rng.integers(3, 6))
    width, depth = columns * rng.uniform(0.45, 0.6), 0.6
    piece = _drawers(kit, width, depth, 0.86, (columns, int(rng.integers(1, 4))))
    slab = kit.paint(hsv(0.1, 0.1, rng.choice([0.12, 0.4, 0.8])), 0.2) if rng.random() < 0.6 else kit.wood()
    piece.box("furniture", slab, (-width / 2, -depth / 2, 0.86), (width / 2, depth / 2 + 0.01, 0.9))
    piece.tops.clear()
    piece.top(0, 0.02, 0.9, width - 0.1, depth - 0.1)
    if rng.random() < 0.8:
        upper = _drawers(kit, width, 0.34, rng.uniform(0.6, 0.75), (columns, 1))
        piece.put(Piece(width, 0.34, upper.solids), 0, -depth / 2 + 0.17, 1.4)
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
