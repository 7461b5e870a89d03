"""Where things stand: walls with openings and pictures, furniture along them, things on tops."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mtl_core.rooms import decor, furniture, textures
from mtl_core.rooms.furniture import Builder
from mtl_core.rooms.kit import Palette, Piece, floor_colours, wall_colour
from mtl_core.rooms.solids import Doubles, Material, Solid, yaw
from mtl_core.rooms.textures import Texture, hsv

_THICK = 0.3
"""Thickness of walls, floor and ceiling in metres; they overlap at the edges."""

PROGRAMMES: dict[str, tuple[tuple[Builder, float], ...]] = {
    "bedroom": (
        (furniture.bed, 1.0),
        (furniture.nightstand, 1.0),
        (furniture.nightstand, 0.65),
        (furniture.wardrobe, 0.75),
        (furniture.dresser, 0.75),
        (furniture.tv_stand, 0.45),
        (furniture.desk, 0.55),
        (furniture.seat, 0.65),
        (furniture.bookshelf, 0.65),
    ),
    "living": (
        (furniture.lounge, 1.0),
        (furniture.tv_stand, 0.95),
        (furniture.bookshelf, 0.95),
        (furniture.sofa, 0.65),
        (furniture.sideboard, 0.65),
        (furniture.side_table, 0.65),
        (furniture.dining, 0.55),
        (furniture.seat, 0.55),
        (furniture.bookshelf, 0.45),
    ),
    "study": (
        (furniture.desk, 1.0),
        (furniture.bookshelf, 1.0),
        (furniture.bookshelf, 0.85),
        (furniture.desk, 0.5),
        (furniture.sideboard, 0.55),
        (furniture.sofa, 0.55),
        (furniture.seat, 0.75),
        (furniture.bed, 0.35),
        (furniture.tv_stand, 0.4),
    ),
    "dining": (
        (furniture.dining, 1.0),
        (furniture.kitchenette, 0.6),
        (furniture.sideboard, 0.8),
        (furniture.dresser, 0.45),
        (furniture.bookshelf, 0.65),
        (furniture.sofa, 0.65),
        (furniture.tv_stand, 0.55),
        (furniture.seat, 0.55),
        (furniture.side_table, 0.45),
    ),
    "studio": (
        (furniture.bed, 1.0),
        (furniture.lounge, 0.95),
        (furniture.kitchenette, 0.5),
        (furniture.desk, 0.85),
        (furniture.tv_stand, 0.85),
        (furniture.wardrobe, 0.65),
        (furniture.bookshelf, 0.95),
        (furniture.dining, 0.55),
        (furniture.seat, 0.65),
    ),
}
"""Kinds of rooms: what is tried in order, and with which probability."""

FREE_STANDING = (furniture.dining, furniture.seat, furniture.side_table)
FLOOR_THINGS: tuple[Builder, ...] = (
    decor.floor_plant,
    decor.floor_plant,
    decor.floor_lamp,
    decor.bin_,
    decor.floor_boxes,
    decor.floor_boxes,
    decor.bag,
    decor.ball,
)


@dataclass(frozen=True, eq=False)
class Footprint:
    """An oriented rectangle on the floor: middle (2,), half extents (2,), axes as columns (2, 2)."""

    middle: Doubles
    half: Doubles
    axes: Doubles

    def overlaps(self, other: Footprint) -> bool:
        """Whether two rectangles share area (separating axes)."""
        gap = other.middle - self.middle
        for axis in (*self.axes.T, *other.axes.T):
            reach = np.abs(axis @ self.axes) @ self.half + np.abs(axis @ other.axes) @ other.half
            if abs(axis @ gap) >= reach:
                return False
        return True


@dataclass
class Wall:
    """A wall seen from inside: its left end, the direction it faces, its length.

    taken: rectangles (left, right, bottom, top) that already hold something.
    """

    start: Doubles
    angle: float
    length: float
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    def free(self, left: float, right: float, bottom: float, top: float) -> bool:
        """Whether nothing is there yet and it lies within the wall."""
        inside = left >= 0.02 and right <= self.length - 0.02
        return inside and not any(
            left < r and right > l and bottom < t and top > b for l, r, b, t in self.taken
        )

    def at(self, along: float, out: float, up: float = 0.0) -> Doubles:
        """World position of a place along the wall, out from it, and up."""
        return self.start + yaw(self.angle) @ np.array([along, out, up])


class Layout:
    """A room under construction."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Draw the room's size and build everything in it."""
        self.rng = rng
        self.kit = Palette(rng)
        self.size = np.array([3.0, 3.0, 2.4]) + (4.0, 4.0, 0.6) * rng.beta(1.3, 2.0, 3)
        x, y, _ = self.size
        corners = ((0, 0), (x, 0), (x, y), (0, y))
        self.walls = [
            Wall(np.array([*corner, 0.0]), k * np.pi / 2, float((x, y)[k % 2]))
            for k, corner in enumerate(corners)
        ]
        self.solids: list[Solid] = []
        self.footprints: list[Footprint] = []
        self.windows: list[tuple[Doubles, Doubles, float]] = []
        self.lamp: Doubles | None = None
        self._shell()
        self._openings()
        self._furnish()
        self._hang()
        self._scatter()
        self._light()

    def _shell(self) -> None:
        """Floor, ceiling, walls, skirting."""
        rng, (x, y, z), t = self.rng, self.size, _THICK
        piece = Piece(x, y)
        pattern = textures.FLOORS[rng.integers(len(textures.FLOORS))]
        scale = {textures.planks: 1.3, textures.carpet: 0.9, textures.marble: 2.0}.get(pattern, 1.4)
        gloss = 0.0 if pattern is textures.carpet else float(rng.uniform(0.03, 0.12))
        image = pattern(rng, *floor_colours(rng, pattern))
        floor = Material(Texture.from_srgb(image), (scale, scale), gloss=gloss)
        piece.box("floor", floor, (-t, -t, -t), (x + t, y + t, 0))
        white = hsv(rng.uniform(0.05, 0.15), rng.uniform(0, 0.08), rng.uniform(0.82, 0.97))
        piece.box("ceiling", self.kit.paint(white, 0.0), (-t, -t, z), (x + t, y + t, z + t))
        for material, low, high in zip(
            self._wall_materials(),
            ((-t, -t), (x, -t), (-t, y), (-t, -t)),
            ((x + t, 0), (x + t, y + t), (x + t, y + t), (0, y + t)),
        ):
            piece.box("wall", material, (*low, -t), (*high, z + t))
        if rng.random() < 0.75:
            trim, high = self.kit.paint(white, 0.04), rng.uniform(0.06, 0.14)
            for low, top in (
                ((0, 0), (x, 0.014)),
                ((x - 0.014, 0), (x, y)),
                ((0, y - 0.014), (x, y)),
                ((0, 0), (0.014, y)),
            ):
                piece.box("wall", trim, (*low, 0), (*top, high))
        self.solids += piece.solids

    def _wall_materials(self) -> list[Material]:
        """One material for all walls, sometimes another for one of them."""
        rng, materials = self.rng, []
        for _ in range(2):
            pattern = textures.WALLS[rng.integers(len(textures.WALLS))]
            first = wall_colour(rng)
            second = wall_colour(rng)
            if pattern is textures.brick:
                first, second = hsv(0.03, 0.5, rng.uniform(0.4, 0.7)), hsv(0.1, 0.1, 0.7)
            elif pattern is not textures.plaster:
                second = tuple(np.clip(np.array(first) * rng.uniform(0.75, 1.1), 0, 1))
            scale = {textures.stripes: 0.6, textures.ornament: 0.7, textures.brick: 0.95}.get(pattern, 2.0)
            texture = Texture.from_srgb(pattern(rng, first, second))
            materials.append(Material(texture, (scale, scale)))
        accent = int(rng.integers(4)) if rng.random() < 0.3 else -1
        return [materials[1 if k == accent else 0] for k in range(4)]

    def _openings(self) -> None:
        """A door or two and up to three windows."""
        rng, kit = self.rng, self.kit
        for _ in range(int(rng.integers(1, 3))):
            self._on_wall(decor.door(kit), 0.0, clear=0.75)
        for _ in range(int(rng.choice([0, 1, 2, 3], p=(0.08, 0.42, 0.35, 0.15)))):
            width, bottom = rng.uniform(0.7, 2.0), rng.choice([0.3, 0.85, 1.0])
            height = min(rng.uniform(1.0, 1.5), self.size[2] - bottom - 0.25)
            piece = decor.window(kit, width, height)
            wall, along = self._on_wall(piece, bottom)
            if wall is not None:
                inward = yaw(wall.angle) @ np.array([0.0, 1.0, 0.0])
                middle = wall.at(along, 0.15, bottom + 0.6 * height)
                self.windows.append((middle, inward, width * height))

    def _on_wall(
        self, piece: Piece, up: float, clear: float = 0.0, margin: float = 0.03
    ) -> tuple[Wall | None, float]:
        """Hang a piece somewhere on a wall; keep the floor before it clear."""
        low = min(float(s.centre[2] - np.abs(s.rotation[2]) @ s.half) for s in piece.solids)
        for _ in range(25):
            wall = self.walls[self.rng.integers(4)]
            half = piece.width / 2 + margin
            along = self.rng.uniform(half, max(wall.length - half, half + 0.01))
            place = (along - half, along + half, up + low, up + piece.height)
            if place[3] > self.size[2] - 0.05 or not wall.free(*place):
                continue
            zone = Footprint(
                wall.at(along, clear / 2)[:2], np.array([half, clear / 2]), yaw(wall.angle)[:2, :2]
            )
            if clear and any(zone.overlaps(f) for f in self.footprints):
                continue
            if clear:
                self.footprints.append(zone)
            wall.taken.append(place)
            self.solids += piece.moved(yaw(wall.angle), wall.at(along, 0.0, up))
            return wall, along
        return None, 0.0

    def _furnish(self) -> None:
        """The programme of the room, as far as there is space."""
        rng = self.rng
        programme = PROGRAMMES[rng.choice(list(PROGRAMMES), p=(0.22, 0.26, 0.18, 0.2, 0.14))]
        budget = 0.58 * self.size[0] * self.size[1]
        for builder, chance in programme:
            if rng.random() > chance:
                continue
            piece = builder(self.kit)
            if piece.width * piece.depth > budget:
                continue
            loose = builder in FREE_STANDING and rng.random() < 0.8
            if (self._stand_free if loose else self._stand_at_wall)(piece):
                budget -= piece.width * piece.depth
        for _ in range(int(rng.integers(2, 8))):
            thing = FLOOR_THINGS[rng.integers(len(FLOOR_THINGS))](self.kit)
            (self._stand_at_wall if rng.random() < 0.7 else self._stand_free)(thing)
        if rng.random() < 0.35:
            self._rug()

    def _stand_at_wall(self, piece: Piece) -> bool:
        """Place a piece with its back to a wall, in a corner half of the time."""
        rng, half, tall = self.rng, piece.width / 2, piece.height
        if tall > self.size[2] - 0.05:
            return False
        for _ in range(40):
            wall = self.walls[rng.integers(4)]
            span = wall.length - piece.width - 0.1
            if span <= 0:
                continue
            share = rng.choice([0.0, 1.0]) if rng.random() < 0.4 else rng.random()
            along = half + 0.05 + share * span
            if not wall.free(along - half - 0.02, along + half + 0.02, 0.0, tall):
                continue
            out = piece.depth / 2 + 0.02
            if self._stand(piece, wall.angle, wall.at(along, out)):
                wall.taken.append((along - half - 0.02, along + half + 0.02, 0.0, tall))
                return True
        return False

    def _stand_free(self, piece: Piece) -> bool:
        """Place a piece anywhere in the room, turned at will."""
        for _ in range(40):
            angle = self.rng.uniform(0, 2 * np.pi)
            if self.rng.random() < 0.5:
                angle = np.round(angle / (np.pi / 2)) * np.pi / 2
            place = np.append(self.rng.uniform((0.5, 0.5), self.size[:2] - 0.5), 0.0)
            if self._stand(piece, float(angle), place):
                return True
        return False

    def _stand(self, piece: Piece, angle: float, place: Doubles) -> bool:
        """Place a piece if it overlaps nothing and lies within the walls."""
        axes = yaw(angle)[:2, :2]
        print_ = Footprint(place[:2], np.array([piece.width, piece.depth]) / 2 + 0.01, axes)
        reach = np.abs(axes) @ print_.half
        outside = (place[:2] - reach < 0).any() or (place[:2] + reach > self.size[:2]).any()
        if outside or any(print_.overlaps(f) for f in self.footprints):
            return False
        self.footprints.append(print_)
        self._lay(piece)
        self.solids += piece.moved(yaw(angle), place)
        return True

    def _lay(self, piece: Piece) -> None:
        """Put small things on a piece's tops, without overlap."""
        rng = self.rng
        for centre, half_width, half_depth in list(piece.tops):
            discs: list[tuple[float, float, float]] = []
            area = 4 * half_width * half_depth
            for _ in range(int(rng.poisson(min(2.0 + 8.0 * area, 8.0)))):
                thing = decor.SMALL[rng.integers(len(decor.SMALL))](self.kit)
                radius = np.hypot(thing.width, thing.depth) / 2
                free = np.array([half_width, half_depth]) - 0.75 * radius
                if (free < 0).any() or centre[2] + thing.height > self.size[2] - 0.2:
                    continue
                x, y = centre[:2] + rng.uniform(-free, free)
                if all(np.hypot(x - a, y - b) > radius + r for a, b, r in discs):
                    discs.append((x, y, radius))
                    piece.put(thing, x, y, centre[2], float(rng.normal(0, 0.4)))

    def _rug(self) -> None:
        """A rug in the middle; furniture may stand on its edge."""
        size = self.rng.uniform(0.3, 0.6, 2) * self.size[:2]
        piece = Piece(*size)
        material = self.kit.cloth()
        piece.add("box", "floor", material, (0, 0, 0.004), (*size, 0.012))
        shift = self.size / 2 * (1, 1, 0)
        self.solids += piece.moved(yaw(self.rng.normal(0, 0.1)), shift)

    def _hang(self) -> None:
        """Pictures, sometimes a television, on what is left of the walls."""
        rng, kit = self.rng, self.kit
        if rng.random() < 0.3:
            self._on_wall(decor.television(kit, rng.uniform(0.8, 1.3)), rng.uniform(0.95, 1.3))
        for _ in range(int(rng.integers(0, 3))):
            self._on_wall(furniture.wall_shelf(kit), rng.uniform(1.25, 1.6))
        for _ in range(int(rng.integers(1, 8))):
            self._on_wall(decor.picture(kit), rng.uniform(1.4, 1.75), margin=0.06)

    def _scatter(self) -> None:
        """Small things on the floor."""
        for _ in range(int(self.rng.integers(0, 6))):
            thing = (decor.ball, decor.carton, decor.book_pile, decor.bag)[self.rng.integers(4)]
            self._stand_free(thing(self.kit))

    def _light(self) -> None:
        """A lamp under the middle of the ceiling, more or less."""
        if self.rng.random() < 0.85 or not self.windows:
            place = self.size / 2 + np.append(self.rng.uniform(-0.4, 0.4, 2), 0)
            piece = decor.ceiling_lamp(self.kit, float(self.size[2]))
            place[2] = 0.0
            self.solids += piece.moved(np.eye(3), place)
            low = min(float(s.centre[2] - s.half[2]) for s in piece.solids)
            self.lamp = place + np.array([0.0, 0.0, low - 0.03])
