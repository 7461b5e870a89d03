"""Floor, ceiling and walls."""

from __future__ import annotations

from mtl_core.rooms import patterns
from mtl_core.rooms.kit import Palette, Piece, floor_colours, wall_colours
from mtl_core.rooms.patterns import Pattern
from mtl_core.rooms.solids import Doubles, Material
from mtl_core.rooms.textures import Texture, hsv

_THICK = 0.3
"""Thickness of walls, floor and ceiling in metres; they overlap at the edges."""

_TILE: dict[Pattern, float] = {
    patterns.planks: 1.3,
    patterns.carpet: 0.9,
    patterns.tiles: 1.4,
    patterns.marble: 2.0,
    patterns.plaster: 2.0,
    patterns.stripes: 0.6,
    patterns.ornament: 0.7,
    patterns.brick: 0.95,
}
"""Metres that one period of a floor's or wall's texture covers."""


def shell(kit: Palette, size: Doubles) -> Piece:
    """A closed box of a room (3,) metres, its corner at the origin, often with skirting boards."""
    rng, (x, y, z), t = kit.rng, size.tolist(), _THICK
    piece = Piece(x, y)
    piece.box("floor", _floor(kit), (-t, -t, -t), (x + t, y + t, 0))
    white = hsv(rng.uniform(0.05, 0.15), rng.uniform(0, 0.08), rng.uniform(0.82, 0.97))
    piece.box("ceiling", kit.paint(white, 0.0), (-t, -t, z), (x + t, y + t, z + t))
    materials = _walls(kit)
    for material, (low, high) in zip(materials, _sides(x, y, t, outward=True), strict=True):
        piece.box("wall", material, (*low, -t), (*high, z + t))
    if rng.random() < 0.75:
        trim, top = kit.paint(white, 0.04), rng.uniform(0.06, 0.14)
        for low, high in _sides(x, y, 0.014, outward=False):
            piece.box("wall", trim, (*low, 0), (*high, top))
    return piece


Corner = tuple[float, float]


def _sides(x: float, y: float, thick: float, outward: bool) -> list[tuple[Corner, Corner]]:
    """Two opposite corners each of four bars along the edges of a floor, outside or inside."""
    o, i = (thick, 0.0) if outward else (0.0, thick)
    return [
        ((-o, -o), (x + o, i)),
        ((x - i, -o), (x + o, y + o)),
        ((-o, y - i), (x + o, y + o)),
        ((-o, -o), (i, y + o)),
    ]


def _floor(kit: Palette) -> Material:
    """Boards, carpet, tiles or stone."""
    rng = kit.rng
    pattern = patterns.FLOORS[rng.integers(len(patterns.FLOORS))]
    gloss = 0.0 if pattern is patterns.carpet else float(rng.uniform(0.03, 0.12))
    image = pattern(rng, *floor_colours(rng, pattern))
    return Material(Texture.from_srgb(image), (_TILE[pattern], _TILE[pattern]), gloss=gloss)


def _walls(kit: Palette) -> list[Material]:
    """One material for all four walls, sometimes another for one of them."""
    rng = kit.rng
    usual, other = (_wall(kit) for _ in range(2))
    accent = int(rng.integers(4)) if rng.random() < 0.3 else -1
    return [other if k == accent else usual for k in range(4)]


def _wall(kit: Palette) -> Material:
    """Mostly paint; sometimes wallpaper or brick."""
    rng = kit.rng
    pattern = patterns.WALLS[rng.integers(len(patterns.WALLS))]
    image = pattern(rng, *wall_colours(rng, pattern))
    return Material(Texture.from_srgb(image), (_TILE[pattern], _TILE[pattern]))
