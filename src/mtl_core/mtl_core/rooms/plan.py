"""The plan of a room: which places on its floor and walls are taken, and how to find free ones."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mtl_core.rooms.kit import Piece
from mtl_core.rooms.solids import Doubles, Solid, yaw
from mtl_core.rooms.textures import Rng

Rectangle = tuple[float, float, float, float]
"""On a wall, metres: left, right, bottom, top."""

_TRIES = 40


@dataclass(frozen=True, eq=False)
class Footprint:
    """A rectangle on the floor: middle (2,), half extents (2,), axes as columns (2, 2)."""

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
    """A wall seen from inside.

    start: (3,) its left end on the floor. angle: yaw that turns y into the room. length: metres.
    taken: what already hangs on it or stands before it.
    """

    start: Doubles
    angle: float
    length: float
    taken: list[Rectangle] = field(default_factory=list)

    def free(self, place: Rectangle) -> bool:
        """Whether a place lies on the wall and nothing is there yet."""
        left, right, bottom, top = place
        inside = left >= 0.02 and right <= self.length - 0.02
        return inside and not any(
            left < r and right > le and bottom < t and top > b for le, r, b, t in self.taken
        )

    def at(self, along: float, out: float, up: float = 0.0) -> Doubles:
        """World position of a place along the wall, out from it, and up."""
        place: Doubles = self.start + yaw(self.angle) @ np.array([along, out, up])
        return place


class Plan:
    """An empty room that fills up. size: (3,) metres; a corner of the floor is the origin."""

    def __init__(self, rng: Rng, size: Doubles) -> None:
        """Four bare walls."""
        self.rng = rng
        self.size = size
        self.solids: list[Solid] = []
        self._footprints: list[Footprint] = []
        x, y, _ = size.tolist()
        corners = ((0.0, 0.0), (x, 0.0), (x, y), (0.0, y))
        self._walls = [
            Wall(np.array([*corner, 0.0]), k * np.pi / 2, (x, y)[k % 2])
            for k, corner in enumerate(corners)
        ]

    def hang(
        self, piece: Piece, up: float, clear: float = 0.0, margin: float = 0.03
    ) -> tuple[Wall, float] | None:
        """Hang a piece somewhere on a wall.

        Args:
            piece: Its origin lies on the wall, y points into the room.
            up: Height of its origin.
            clear: Depth of floor before it that stays empty.
            margin: Distance to what hangs beside it.

        Returns:
            The wall and the place along it, or None where no place was found.
        """
        half, low, high = piece.width / 2 + margin, up + piece.bottom, up + piece.height
        if high > self.size[2] - 0.05:
            return None
        for _ in range(_TRIES):
            wall = self._walls[self.rng.integers(4)]
            along = float(self.rng.uniform(half, max(wall.length - half, half + 0.01)))
            place = (along - half, along + half, low, high)
            if wall.free(place) and self._keep_clear(wall, along, half, clear):
                wall.taken.append(place)
                self.solids += piece.moved(yaw(wall.angle), wall.at(along, 0.0, up))
                return wall, along
        return None

    def _keep_clear(self, wall: Wall, along: float, half: float, depth: float) -> bool:
        """Reserve the floor before a place on a wall, if it is free."""
        if depth == 0:
            return True
        middle, axes = wall.at(along, depth / 2)[:2], yaw(wall.angle)[:2, :2]
        zone = Footprint(middle, np.array([half, depth / 2]), axes)
        if any(zone.overlaps(other) for other in self._footprints):
            return False
        self._footprints.append(zone)
        return True

    def stand_at_wall(self, piece: Piece) -> bool:
        """Stand a piece with its back to a wall, often in a corner; False if it fits nowhere."""
        half, tall = piece.width / 2, piece.height
        if tall > self.size[2] - 0.05:
            return False
        for _ in range(_TRIES):
            wall = self._walls[self.rng.integers(4)]
            span = wall.length - piece.width - 0.1
            share = self.rng.choice([0.0, 1.0]) if self.rng.random() < 0.4 else self.rng.random()
            along = half + 0.05 + share * span
            place = (along - half - 0.02, along + half + 0.02, 0.0, tall)
            at = wall.at(along, piece.depth / 2 + 0.02)
            if span > 0 and wall.free(place) and self._stand(piece, wall.angle, at):
                wall.taken.append(place)
                return True
        return False

    def stand_free(self, piece: Piece) -> bool:
        """Stand a piece anywhere in the room, half of the time along the walls."""
        for _ in range(_TRIES):
            angle = self.rng.uniform(0, 2 * np.pi)
            if self.rng.random() < 0.5:
                angle = np.round(angle / (np.pi / 2)) * np.pi / 2
            place = np.append(self.rng.uniform((0.5, 0.5), self.size[:2] - 0.5), 0.0)
            if self._stand(piece, float(angle), place):
                return True
        return False

    def _stand(self, piece: Piece, angle: float, place: Doubles) -> bool:
        """Stand a piece at a place if it overlaps nothing and lies within the walls."""
        axes = yaw(angle)[:2, :2]
        area = Footprint(place[:2], np.array([piece.width, piece.depth]) / 2 + 0.01, axes)
        reach = np.abs(axes) @ area.half
        outside = (place[:2] - reach < 0).any() or (place[:2] + reach > self.size[:2]).any()
        if outside or any(area.overlaps(other) for other in self._footprints):
            return False
        self._footprints.append(area)
        self.solids += piece.moved(yaw(angle), place)
        return True
