"""What rooms hold: kinds of rooms, and the order in which one fills up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mtl_core.rooms import decor, hangings, seating, storage, tables
from mtl_core.rooms.kit import Builder, Palette, Piece
from mtl_core.rooms.plan import Plan
from mtl_core.rooms.shell import shell
from mtl_core.rooms.solids import Doubles, Solid, yaw
from mtl_core.rooms.textures import Rng

PROGRAMMES: dict[str, tuple[tuple[Builder, float], ...]] = {
    "bedroom": (
        (seating.bed, 1.0),
        (storage.nightstand, 1.0),
        (storage.nightstand, 0.65),
        (storage.wardrobe, 0.75),
        (storage.dresser, 0.75),
        (storage.tv_stand, 0.45),
        (tables.desk, 0.55),
        (seating.seat, 0.65),
        (storage.bookshelf, 0.65),
    ),
    "living": (
        (tables.lounge, 1.0),
        (storage.tv_stand, 0.95),
        (storage.bookshelf, 0.95),
        (seating.sofa, 0.65),
        (storage.sideboard, 0.65),
        (tables.side_table, 0.65),
        (tables.dining, 0.55),
        (seating.seat, 0.55),
        (storage.bookshelf, 0.45),
    ),
    "study": (
        (tables.desk, 1.0),
        (storage.bookshelf, 1.0),
        (storage.bookshelf, 0.85),
        (tables.desk, 0.5),
        (storage.sideboard, 0.55),
        (seating.sofa, 0.55),
        (seating.seat, 0.75),
        (seating.bed, 0.35),
        (storage.tv_stand, 0.4),
    ),
    "dining": (
        (tables.dining, 1.0),
        (storage.kitchenette, 0.6),
        (storage.sideboard, 0.8),
        (storage.dresser, 0.45),
        (storage.bookshelf, 0.65),
        (seating.sofa, 0.65),
        (storage.tv_stand, 0.55),
        (seating.seat, 0.55),
        (tables.side_table, 0.45),
    ),
    "studio": (
        (seating.bed, 1.0),
        (tables.lounge, 0.95),
        (storage.kitchenette, 0.5),
        (tables.desk, 0.85),
        (storage.tv_stand, 0.85),
        (storage.wardrobe, 0.65),
        (storage.bookshelf, 0.95),
        (tables.dining, 0.55),
        (seating.seat, 0.65),
    ),
}
"""Kinds of rooms: what is tried in order, and with which probability."""

_SHARES = (0.22, 0.26, 0.18, 0.2, 0.14)
"""How common each kind of room is."""

_FULL = 0.58
"""Share of the floor that furniture may cover."""

_FREE_STANDING = (tables.dining, seating.seat, tables.side_table)

_FLOOR_THINGS: tuple[Builder, ...] = (
    decor.floor_plant,
    decor.floor_plant,
    decor.floor_lamp,
    decor.waste_basket,
    decor.floor_boxes,
    decor.floor_boxes,
    decor.bag,
    decor.ball,
)

_LITTER: tuple[Builder, ...] = (decor.ball, decor.carton, decor.book_pile, decor.bag)


@dataclass(frozen=True, eq=False)
class Opening:
    """A window as a source of light: middle (3,), direction into the room (3,), area in m2."""

    middle: Doubles
    inward: Doubles
    area: float


@dataclass(frozen=True, eq=False)
class Layout:
    """A furnished room: size (3,) metres, its solids, and where its light comes from.

    lamp: (3,) just below the lamp under the ceiling, None without one.
    """

    size: Doubles
    solids: tuple[Solid, ...]
    windows: tuple[Opening, ...]
    lamp: Doubles | None

    @classmethod
    def drawn(cls, rng: Rng) -> Layout:
        """A random room, 3 to 7 m wide and long, 2.4 to 3 m high."""
        kit = Palette(rng)
        plan = Plan(rng, np.array([3.0, 3.0, 2.4]) + (4.0, 4.0, 0.6) * rng.beta(1.3, 2.0, 3))
        plan.solids += shell(kit, plan.size).solids
        windows = _openings(kit, plan)
        _furnish(kit, plan)
        _clutter(kit, plan)
        _hang(kit, plan)
        lamp = _lamp(kit, plan) if rng.random() < 0.85 or not windows else None
        return cls(plan.size, tuple(plan.solids), windows, lamp)


def _openings(kit: Palette, plan: Plan) -> tuple[Opening, ...]:
    """A door or two and up to three windows."""
    rng, found = kit.rng, []
    for _ in range(int(rng.integers(1, 3))):
        plan.hang(hangings.door(kit), 0.0, clear=0.75)
    for _ in range(int(rng.choice([0, 1, 2, 3], p=(0.08, 0.42, 0.35, 0.15)))):
        width, bottom = rng.uniform(0.7, 2.0), float(rng.choice([0.3, 0.85, 1.0]))
        height = min(rng.uniform(1.0, 1.5), plan.size[2] - bottom - 0.25)
        place = plan.hang(hangings.window(kit, width, height, bottom), bottom)
        if place:
            wall, along = place
            inward = yaw(wall.angle) @ np.array([0.0, 1.0, 0.0])
            found.append(
                Opening(wall.at(along, 0.15, bottom + 0.6 * height), inward, width * height)
            )
    return tuple(found)


def _furnish(kit: Palette, plan: Plan) -> None:
    """The furniture of one kind of room, as far as there is space."""
    rng = kit.rng
    programme = PROGRAMMES[rng.choice(list(PROGRAMMES), p=_SHARES)]
    budget = _FULL * plan.size[0] * plan.size[1]
    for builder, chance in programme:
        piece = builder(kit)
        area = piece.width * piece.depth
        if rng.random() > chance or area > budget:
            continue
        _lay(kit, piece, plan.size[2] - 0.2)
        loose = builder in _FREE_STANDING and rng.random() < 0.8
        if (plan.stand_free if loose else plan.stand_at_wall)(piece):
            budget -= area


def _lay(kit: Palette, piece: Piece, highest: float) -> None:
    """Put small things on a piece's tops, without overlap and not above a height."""
    rng = kit.rng
    for centre, half_width, half_depth in list(piece.tops):
        discs: list[tuple[float, float, float]] = []
        for _ in range(int(rng.poisson(min(2.0 + 32.0 * half_width * half_depth, 8.0)))):
            thing = decor.SMALL[rng.integers(len(decor.SMALL))](kit)
            radius = float(np.hypot(thing.width, thing.depth)) / 2
            free = np.array([half_width, half_depth]) - 0.75 * radius
            if (free < 0).any() or centre[2] + thing.height > highest:
                continue
            x, y = centre[:2] + rng.uniform(-free, free)
            if all(np.hypot(x - a, y - b) > radius + r for a, b, r in discs):
                discs.append((x, y, radius))
                piece.put(thing, x, y, centre[2], float(rng.normal(0, 0.4)))


def _clutter(kit: Palette, plan: Plan) -> None:
    """Plants, lamps, boxes, small things on the floor, sometimes a rug."""
    rng = kit.rng
    for _ in range(int(rng.integers(2, 8))):
        thing = _FLOOR_THINGS[rng.integers(len(_FLOOR_THINGS))](kit)
        (plan.stand_at_wall if rng.random() < 0.7 else plan.stand_free)(thing)
    for _ in range(int(rng.integers(0, 6))):
        plan.stand_free(_LITTER[rng.integers(len(_LITTER))](kit))
    if rng.random() < 0.35:
        plan.solids += _rug(kit, plan.size)


def _rug(kit: Palette, size: Doubles) -> list[Solid]:
    """A rug in the middle; furniture may stand on its edge."""
    width, depth = kit.rng.uniform(0.3, 0.6, 2) * size[:2]
    piece = Piece(width, depth)
    piece.add("box", "floor", kit.cloth(), (0, 0, 0.004), (width, depth, 0.012))
    return piece.moved(yaw(kit.rng.normal(0, 0.1)), size * (0.5, 0.5, 0.0))


def _hang(kit: Palette, plan: Plan) -> None:
    """Sometimes a television, shelves, pictures on what is left of the walls."""
    rng = kit.rng
    if rng.random() < 0.3:
        plan.hang(hangings.television(kit, rng.uniform(0.8, 1.3)), rng.uniform(0.95, 1.3))
    for _ in range(int(rng.integers(0, 3))):
        plan.hang(storage.wall_shelf(kit), rng.uniform(1.25, 1.6))
    for _ in range(int(rng.integers(1, 8))):
        plan.hang(hangings.picture(kit), rng.uniform(1.4, 1.75), margin=0.06)


def _lamp(kit: Palette, plan: Plan) -> Doubles:
    """A lamp near the middle of the ceiling; the place (3,) just below it."""
    piece = hangings.ceiling_lamp(kit, float(plan.size[2]))
    place = np.append(plan.size[:2] / 2 + kit.rng.uniform(-0.4, 0.4, 2), 0.0)
    plan.solids += piece.moved(np.eye(3), place)
    below: Doubles = place + np.array([0.0, 0.0, piece.bottom - 0.03])
    return below
