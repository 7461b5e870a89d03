"""What furniture is made of: a room's palette of materials, and pieces assembled from solids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mtl_core.labels import LabelMap
from mtl_core.rooms import patterns, pictures
from mtl_core.rooms.solids import Doubles, Material, Shape, Solid, yaw
from mtl_core.rooms.textures import (
    Colour,
    Floats,
    Rng,
    Texture,
    hsv,
    likely_hue,
    random_colour,
    srgb_to_linear,
)

Vector = Sequence[float] | Doubles
"""Three numbers."""

LABELS = LabelMap.load("nyu13")


def _linear(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = srgb_to_linear(colour).tolist()
    return red, green, blue


def wood_colours(rng: Rng) -> tuple[Colour, Colour]:
    """Light and dark colour of a kind of wood: pale, honey, red, dark, black, or white paint."""
    hue, saturation, value = (
        (0.095, 0.40, 0.80),
        (0.085, 0.60, 0.66),
        (0.045, 0.68, 0.46),
        (0.060, 0.58, 0.32),
        (0.070, 0.20, 0.16),
        (0.110, 0.05, 0.88),
    )[rng.choice(6, p=(0.2, 0.24, 0.18, 0.18, 0.08, 0.12))]
    value *= rng.uniform(0.88, 1.08)
    hue += rng.normal(0, 0.008)
    contrast = 0.97 if saturation < 0.1 else rng.uniform(0.66, 0.85)
    return hsv(hue, saturation, value), hsv(hue, saturation * 1.1, value * contrast)


def wall_colour(rng: Rng) -> Colour:
    """Mostly whites, creams, greys; sometimes a pastel or a strong paint."""
    kind = rng.random()
    if kind < 0.55:
        return hsv(rng.uniform(0.07, 0.16), rng.uniform(0.02, 0.22), rng.uniform(0.78, 0.95))
    if kind < 0.85:
        return hsv(likely_hue(rng), rng.uniform(0.08, 0.28), rng.uniform(0.62, 0.88))
    return hsv(likely_hue(rng), rng.uniform(0.25, 0.55), rng.uniform(0.35, 0.7))


def wall_colours(rng: Rng, pattern: patterns.Pattern) -> tuple[Colour, Colour]:
    """Two colours that suit a kind of wall."""
    if pattern is patterns.brick:
        return hsv(0.03, 0.5, rng.uniform(0.4, 0.7)), hsv(0.1, 0.1, 0.7)
    red, green, blue = wall_colour(rng)
    share = rng.uniform(0.75, 1.1)
    return (red, green, blue), (min(red * share, 1), min(green * share, 1), min(blue * share, 1))


def floor_colours(rng: Rng, pattern: patterns.Pattern) -> tuple[Colour, Colour]:
    """Two colours that suit a kind of floor."""
    if pattern is patterns.planks:
        return wood_colours(rng)
    if pattern is patterns.carpet:
        hue, saturation = rng.choice([0.08, 0.1, 0.6, 0.0, 0.35]), rng.uniform(0.05, 0.35)
        value = rng.uniform(0.3, 0.75)
        return hsv(hue, saturation, value), hsv(hue, saturation, value * 0.7)
    value = rng.uniform(0.5, 0.9)
    first = hsv(rng.uniform(0.05, 0.14), rng.uniform(0.05, 0.3), value)
    return first, hsv(0.1, 0.1, value * rng.uniform(0.5, 0.8))


def cloth_colours(rng: Rng) -> tuple[Colour, Colour]:
    """Two colours of one textile."""
    hue, saturation, value = likely_hue(rng), rng.uniform(0.05, 0.5), rng.uniform(0.12, 0.85)
    if rng.random() < 0.3:
        saturation *= 0.2
    other = hsv(hue + rng.normal(0, 0.15), saturation * 0.6, value + rng.choice([-0.25, 0.25]))
    return hsv(hue, saturation, value), other


class Palette:
    """The materials of one room: a few textures, tinted at will."""

    def __init__(self, rng: Rng) -> None:
        """Draw the room's textures."""
        self.rng = rng
        texture = Texture.from_srgb
        self.woods = tuple(
            Material(texture(patterns.wood(rng, *wood_colours(rng))), (1.1, 0.45), grain=True)
            for _ in range(3)
        )
        white = (0.97, 0.97, 0.97)
        self._grain = texture(patterns.plaster(rng, white, white))
        self._weave = texture(patterns.fabric(rng, white, white))
        self._cloths = tuple(
            texture(rng.choice(np.array(patterns.CLOTHS))(rng, *cloth_colours(rng)))
            for _ in range(4)
        )
        self._spines = tuple(texture(pictures.spines(rng)) for _ in range(2))
        self._leaves = texture(
            patterns.leafage(rng, hsv(rng.uniform(0.22, 0.38), 0.55, 0.5), hsv(0.3, 0.6, 0.28))
        )

    def wood(self) -> Material:
        """One of the room's woods, slightly glossy."""
        wood: Material = self.woods[self.rng.integers(len(self.woods))]
        return replace(wood, gloss=float(self.rng.uniform(0.0, 0.06)))

    def cloth(self) -> Material:
        """One of the room's patterned cloths, or a plain one of any colour."""
        if self.rng.random() < 0.5:
            return self.plain_cloth()
        size = self.rng.uniform(0.25, 0.8)
        return Material(self._cloths[self.rng.integers(4)], (size, size))

    def plain_cloth(self, colour: Colour | None = None) -> Material:
        """Woven cloth of a colour."""
        return Material(self._weave, (0.3, 0.3), _linear(colour or cloth_colours(self.rng)[0]))

    def leather(self) -> Material:
        """Upholstery with a sheen: black, brown, white or red."""
        hue, saturation, value = self.rng.choice(
            np.array([(0.0, 0.0, 0.1), (0.06, 0.6, 0.3), (0.1, 0.1, 0.85), (0.0, 0.7, 0.4)])
        )
        return self.paint(hsv(hue, saturation, value), 0.08)

    def paint(self, colour: Colour | None = None, gloss: float = 0.03) -> Material:
        """A nearly even coat of a colour."""
        coat = colour or random_colour(self.rng, 0.55, 0.7)
        return Material(self._grain, (0.8, 0.8), _linear(coat), gloss)

    def metal(self) -> Material:
        """Grey or black metal."""
        grey = float(self.rng.choice([0.12, 0.3, 0.65, 0.8]))
        return self.paint((grey, grey, grey * 1.02), 0.25)

    def upholstery(self) -> Material:
        """What sofas and soft chairs are covered with."""
        return self.leather() if self.rng.random() < 0.25 else self.cloth()

    def bedding(self) -> Material:
        """What beds are covered with: often white or pale."""
        if self.rng.random() < 0.4:
            return self.cloth()
        hue, saturation = self.rng.random(), self.rng.uniform(0, 0.25)
        return self.plain_cloth(hsv(hue, saturation, self.rng.uniform(0.7, 0.97)))

    def books(self) -> Material:
        """A row of spines as high as the block it covers."""
        return Material(self._spines[self.rng.integers(2)], (0.42, 0.0))

    def leaves(self) -> Material:
        """Foliage."""
        return Material(self._leaves, (0.3, 0.3))

    def picture(self, image: Floats, glow: float = 0.0, gloss: float = 0.0) -> Material:
        """An image stretched over each face."""
        return Material(Texture.from_srgb(image), (0.0, 0.0), gloss=gloss, glow=glow)

    def shining(self, colour: Colour, glow: float) -> Material:
        """A lamp's surface."""
        return replace(self.paint(colour, 0.0), glow=glow)


@dataclass
class Piece:
    """Solids of one thing in its own frame: origin on the floor (or wall) below its middle.

    x along its width, y towards the room, z up; its back is at y = -depth / 2. tops: places for
    small things, as (centre (3,), half width, half depth).
    """

    width: float
    depth: float
    solids: list[Solid] = field(default_factory=list)
    tops: list[tuple[Doubles, float, float]] = field(default_factory=list)

    @property
    def height(self) -> float:
        """Highest point, metres."""
        return max(float(s.centre[2] + np.abs(s.rotation[2]) @ s.half) for s in self.solids)

    @property
    def bottom(self) -> float:
        """Lowest point, metres."""
        return min(float(s.centre[2] - np.abs(s.rotation[2]) @ s.half) for s in self.solids)

    def add(
        self,
        shape: Shape,
        label: str,
        material: Material,
        centre: Vector,
        size: Vector,
        turn: Doubles | float = 0.0,
        taper: float = 0.0,
        bevel: float = 0.0,
    ) -> None:
        """Add a solid by its full size; turn is a yaw in radians or a rotation (3, 3)."""
        rotation = turn if isinstance(turn, np.ndarray) else yaw(turn)
        half = np.asarray(size, np.float64) / 2
        self.solids.append(
            Solid(
                shape,
                LABELS.index(label),
                material,
                np.asarray(centre, np.float64),
                half,
                rotation,
                taper,
                bevel,
            )
        )

    def box(
        self,
        label: str,
        material: Material,
        low: Vector,
        high: Vector,
        bevel: float = 0.0,
    ) -> None:
        """Add an upright box by two opposite corners."""
        first, second = np.asarray(low, np.float64), np.asarray(high, np.float64)
        self.add("box", label, material, (first + second) / 2, second - first, bevel=bevel)

    def legs(self, label: str, material: Material, size: Vector, thick: float) -> None:
        """Add four legs under the corners of a (width, depth, height of the underside)."""
        width, depth, height = size
        for x in (-1, 1):
            for y in (-1, 1):
                centre = (x * (width - thick) / 2, y * (depth - thick) / 2, height / 2)
                self.add("box", label, material, centre, (thick, thick, height))

    def top(self, x: float, y: float, z: float, width: float, depth: float) -> None:
        """Offer a place for small things: its centre, full width and depth."""
        self.tops.append((np.array([x, y, z]), width / 2, depth / 2))

    def put(self, other: Piece, x: float, y: float, z: float = 0.0, angle: float = 0.0) -> None:
        """Stand another piece in this one's frame."""
        rotation, offset = yaw(angle), np.array([x, y, z])
        self.solids += other.moved(rotation, offset)
        self.tops += [(rotation @ c + offset, min(w, d), min(w, d)) for c, w, d in other.tops]

    def moved(self, rotation: Doubles, offset: Doubles) -> list[Solid]:
        """The solids in the frame that the piece is placed in."""
        return [solid.moved(rotation, offset) for solid in self.solids]


Builder = Callable[[Palette], Piece]
"""Makes a thing of the room's materials; draws its sizes from the palette's generator."""
