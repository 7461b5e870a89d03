"""Solids: affine images of a unit cube, cylinder or ball, and where rays enter them.

Each solid carries the map from its unit shape to the world. A ray expressed in unit coordinates
keeps its parameter, so with rays of z = 1 in the camera's frame the parameter *is* the depth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from mtl_core.rooms.textures import Floats, Texture

Doubles = npt.NDArray[np.float64]
Rays = tuple[Floats, Floats, Floats]
Placement = tuple[Floats, Floats, Floats, Floats]
Shape = Literal["box", "tube", "ball"]

_HUGE = np.float32(1e20)
"""Stands for 1 / 0 where a ray runs along a face: unlike infinity it gives no NaN."""

_MISS = np.float32(np.inf)

NEAR = np.float32(0.02)
"""Depth in metres below which nothing is seen."""


@dataclass(frozen=True, eq=False)
class Material:
    """How a surface looks.

    tile: metres per period of the texture along its rows and columns, 0 = one period per face.
    tint: linear factor on the texture. gloss: strength of the highlight. glow: emitted light as a
    multiple of the albedo. grain: the texture's rows follow the longer side of a box's face.
    """

    texture: Texture
    tile: tuple[float, float] = (1.0, 1.0)
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gloss: float = 0.0
    glow: float = 0.0
    grain: bool = False


@dataclass(frozen=True, eq=False)
class Solid:
    """A convex solid.

    centre: (3,) metres. half: (3,) half extents along its own axes. rotation: (3, 3) from its own
    axes to the frame it stands in. taper: for a tube, how much narrower the top is, 1 = a cone;
    negative narrows the foot. bevel: metres over which edges are *shaded* as if rounded.
    """

    shape: Shape
    label: int
    material: Material
    centre: Doubles
    half: Doubles
    rotation: Doubles = field(default_factory=lambda: np.eye(3))
    taper: float = 0.0
    bevel: float = 0.0

    def moved(self, rotation: Doubles, offset: Doubles) -> Solid:
        """The same solid after its frame was rotated and then shifted."""
        return replace(
            self, centre=rotation @ self.centre + offset, rotation=rotation @ self.rotation
        )

    def unit_from_world(self) -> tuple[Doubles, Doubles]:
        """Linear part (3, 3) and offset (3,) of the map from the world to the unit shape."""
        linear = self.rotation.T / self.half[:, None]
        return linear, -linear @ self.centre


def yaw(angle: float) -> Doubles:
    """Rotation by an angle in radians around the z axis, counter-clockwise from above."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def pitch(angle: float) -> Doubles:
    """Rotation by an angle in radians around the x axis: y towards z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def _radius(taper: float) -> tuple[float, float]:
    """Radius a + b z of a unit tube whose widest end has radius 1."""
    return 1.0 - abs(taper) / 2, -taper / 2


def enter_box(origin: Floats, rays: Rays, taper: float) -> Floats:
    """Depth at which rays enter the cube |x|, |y|, |z| <= 1, +Inf where they miss."""
    del taper
    first, last = np.float32(-np.inf), np.float32(np.inf)
    for start, ray in zip(origin, rays, strict=True):
        inverse = np.clip(np.float32(1.0) / ray, -_HUGE, _HUGE)
        middle, reach = inverse * -start, np.abs(inverse)
        first = np.maximum(first, middle - reach)
        last = np.minimum(last, middle + reach)
    entry: Floats = np.where((first <= last) & (first > NEAR), first, _MISS)
    return entry


def enter_ball(origin: Floats, rays: Rays, taper: float) -> Floats:
    """Depth at which rays enter the unit ball, +Inf where they miss."""
    del taper
    nearest, length, (x, y, z) = _nearest(origin, rays)
    under = np.float32(1.0) - (x * x + y * y + z * z)
    depth = nearest - np.sqrt(np.maximum(under, 0) / length)
    entry: Floats = np.where((under > 0) & (depth > NEAR), depth, _MISS)
    return entry


def enter_tube(origin: Floats, rays: Rays, taper: float) -> Floats:
    """Depth at which rays enter the (tapered) cylinder of |z| <= 1, +Inf where they miss."""
    nearest, _, (x, y, z) = _nearest(origin, rays)
    dx, dy, dz = rays
    at, grow = (np.float32(v) for v in _radius(taper))
    radius = at + grow * z
    a = dx * dx + dy * dy - (grow * dz) ** 2
    b = dx * x + dy * y - grow * dz * radius
    c = x * x + y * y - radius * radius
    root = np.sqrt(np.maximum(b * b - a * c, 0))
    best: Floats = np.full_like(a, _MISS)
    for sign in (-1.0, 1.0):
        step = (np.float32(sign) * root - b) / a
        on = (np.abs(z + step * dz) <= 1) & (b * b >= a * c)
        best = np.where(on & (nearest + step > NEAR), np.minimum(best, nearest + step), best)
    for end in (-1.0, 1.0):
        step = (np.float32(end) - z) / dz
        reach = np.float32(at + grow * end) ** 2
        on = (x + step * dx) ** 2 + (y + step * dy) ** 2 <= reach
        best = np.where(on & (nearest + step > NEAR), np.minimum(best, nearest + step), best)
    return best


def _nearest(origin: Floats, rays: Rays) -> tuple[Floats, Floats, Rays]:
    """Where rays pass the centre closest: parameter, squared length of the ray, position.

    Quadratics are solved from here, since from a far origin float32 loses the digits that matter.
    """
    x, y, z = rays
    length = x * x + y * y + z * z
    depth = -(origin[0] * x + origin[1] * y + origin[2] * z) / length
    return depth, length, (origin[0] + depth * x, origin[1] + depth * y, origin[2] + depth * z)


Enter = Callable[[Floats, Rays, float], Floats]
ENTER: dict[Shape, Enter] = {"box": enter_box, "tube": enter_tube, "ball": enter_ball}


def outward(solid: Solid, linear: Floats, points: Floats) -> Floats:
    """Outward unit normals (3, N) in the frame that `linear` (3, 3) maps to the unit shape.

    Args:
        solid: Whose surface it is.
        linear: The linear part of the map to the unit shape.
        points: (3, N) on the unit shape's surface.
    """
    if solid.shape == "box":
        sides = unit_length(linear.T)
        face = _face(points)
        below = np.where(face == 0, points[0], np.where(face == 1, points[1], points[2])) < 0
        normals: Floats = np.concatenate([sides, -sides], 1).take(face + 3 * below, axis=1)
        return normals
    gradient = points if solid.shape == "ball" else _tube_gradient(solid.taper, points)
    return unit_length(linear.T @ gradient)


def unit_length(vectors: Floats) -> Floats:
    """Vectors (3, N) at length 1."""
    scaled: Floats = vectors / np.sqrt(np.einsum("ij,ij->j", vectors, vectors))
    return scaled


def _face(points: Floats) -> npt.NDArray[np.int8]:
    """Axis (N,) of the face of the unit cube that points (3, N) lie on."""
    x, y, z = np.abs(points)
    face: npt.NDArray[np.int8] = (y > x).astype(np.int8)
    face[z > np.maximum(x, y)] = 2
    return face


def _tube_gradient(taper: float, points: Floats) -> Floats:
    at, grow = (np.float32(v) for v in _radius(taper))
    x, y, z = points
    radius = at + grow * z
    on_side = np.abs(np.hypot(x, y) - radius) < np.abs(np.abs(z) - 1)
    cap = np.stack([np.zeros_like(x), np.zeros_like(x), np.sign(z)])
    return np.where(on_side, np.stack([x, y, -grow * radius]), cap)


def bent_normals(solid: Solid, points: Floats) -> Floats:
    """Normals (3, N) in the solid's own metric axes of a box with rounded edges, for shading."""
    half = solid.half.astype(np.float32)[:, None]
    inside = half * (1 - np.abs(points))
    edge = np.clip(1 - inside / np.float32(solid.bevel), 0, 1)
    normals: Floats = np.sign(points) * edge * edge
    return normals


def texture_coordinates(solid: Solid, points: Floats) -> tuple[Floats, Floats]:
    """Texture position (N,), (N,) in periods of points (3, N) on the unit shape's surface."""
    place = _box_coordinates if solid.shape == "box" else _round_coordinates
    first, second, extent_u, extent_v = place(solid, points)
    return (
        _periods(first, extent_u, solid.material.tile[0], solid.centre[0] + solid.centre[1]),
        _periods(second, extent_v, solid.material.tile[1], solid.centre[2]),
    )


def _periods(unit: Floats, extent: Floats, tile: float, shift: float) -> Floats:
    """Unit coordinates in -1..1 to periods; tiled textures start elsewhere on each solid."""
    scale = extent / np.float32(tile) if tile else np.float32(0.5)
    start = shift * 3.7 % 1.0 if tile else 0.5
    periods: Floats = unit * scale + np.float32(start)
    return periods


def _box_coordinates(solid: Solid, points: Floats) -> Placement:
    face, half = _face(points), solid.half.astype(np.float32)
    u, v = np.where(face == 0, points[1], points[0]), np.where(face == 2, points[1], points[2])
    across, up = half[[1, 0, 0]], half[[2, 2, 1]]
    if not solid.material.grain:
        return u, v, across[face], up[face]
    swap = across < up
    swapped = swap[face]
    longer, shorter = np.maximum(across, up), np.minimum(across, up)
    return np.where(swapped, v, u), np.where(swapped, u, v), longer[face], shorter[face]


def _round_coordinates(solid: Solid, points: Floats) -> Placement:
    turn = np.arctan2(points[1], points[0]) / np.float32(np.pi)
    half = solid.half.astype(np.float32)
    girth = np.float32(np.pi * (half[0] + half[1]) / 2)
    cap = (np.abs(points[2]) > 0.999) & (solid.shape == "tube")
    u, v = np.where(cap, points[0], turn), np.where(cap, points[1], points[2])
    return u, v, np.where(cap, half[0], girth), np.where(cap, half[1], half[2])
