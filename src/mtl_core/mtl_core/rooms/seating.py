"""Things to sit and lie on. Every builder draws its own sizes and materials."""

from __future__ import annotations

import numpy as np

from mtl_core.rooms.kit import Palette, Piece
from mtl_core.rooms.solids import Material, pitch, yaw


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
        piece.box(
            "bed",
            band,
            (-w - 0.04, -back - 0.6, high - drop),
            (w + 0.04, -back - 0.15, high + 0.065),
            0.04,
        )
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
        piece.add(
            "box",
            "sofa",
            cover,
            (x, 0, (foot + arm_top) / 2),
            (arm, depth, arm_top - foot),
            bevel=0.06,
        )
        if arm_top < 0.62:
            piece.add("tube", "sofa", cover, (x, 0, arm_top), (arm, arm, depth), pitch(np.pi / 2))
    for i in range(seats):
        x = (i - (seats - 1) / 2) * seat
        size = (seat - 0.01, depth - 0.2, 0.16)
        piece.add("box", "sofa", cover, (x, 0.09, level - 0.07), size, bevel=0.06)
        size = (seat - 0.02, 0.18, top - level)
        lean = pitch(0.2) if rng.random() < 0.8 else pitch(0.1)
        piece.add("box", "sofa", cover, (x, back + 0.27, (top + level) / 2), size, lean, bevel=0.07)
    piece.legs("sofa", kit.wood(), (width - 0.1, depth - 0.1, foot), 0.06)
    for _ in range(int(rng.integers(0, 4))):
        x = rng.uniform(-1, 1) * (w - arm - 0.22)
        turn = yaw(rng.normal(0, 0.25)) @ pitch(-1.2)
        piece.add(
            "ball", "objects", kit.cloth(), (x, back + 0.46, level + 0.2), (0.46, 0.46, 0.18), turn
        )
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
    piece.legs("chair", frame, (width, depth, level - 0.03), thick)
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
        piece.add(
            "box",
            "chair",
            seat,
            (0, y, (low + top) / 2),
            (2 * w + 0.04, 0.05, top - low),
            pitch(0.06),
            bevel=0.025,
        )
    elif kind == 1:
        for z in np.linspace(level + 0.15, top - 0.04, int(kit.rng.integers(2, 5))):
            piece.add("box", "chair", frame, (0, y, z), (2 * w + 0.02, 0.025, 0.06), pitch(0.06))
    else:
        piece.add("box", "chair", frame, (0, y - 0.02, top - 0.03), (2 * w + 0.02, 0.03, 0.07))
        for x in np.linspace(-w, w, int(kit.rng.integers(5, 8)))[1:-1]:
            piece.add(
                "box",
                "chair",
                frame,
                (x, y, (level + top) / 2),
                (0.02, 0.02, top - level),
                pitch(0.06),
            )


def office_chair(kit: Palette) -> Piece:
    """Seat and back on a column with five feet."""
    rng, cover, metal = kit.rng, kit.upholstery(), kit.paint((0.1, 0.1, 0.11), 0.08)
    level = rng.uniform(0.44, 0.52)
    piece = Piece(0.6, 0.6)
    piece.box("chair", cover, (-0.25, -0.24, level - 0.09), (0.25, 0.25, level), 0.05)
    tall = rng.uniform(0.45, 0.65)
    piece.add(
        "box",
        "chair",
        cover,
        (0, -0.27, level + 0.1 + tall / 2),
        (0.46, 0.07, tall),
        pitch(0.12),
        bevel=0.05,
    )
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
            piece.add(
                "box", "chair", metal, (side * 0.28, 0, level + 0.2), (0.05, 0.28, 0.03), bevel=0.01
            )
            piece.add("box", "chair", metal, (side * 0.28, -0.03, level + 0.06), (0.03, 0.06, 0.28))
    return piece


def seat(kit: Palette) -> Piece:
    """A single chair that stands about."""
    return office_chair(kit) if kit.rng.random() < 0.2 else chair(kit)
