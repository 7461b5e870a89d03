"""Lights and their shadow maps, which the same ray-caster makes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mtl_core.geometry import Intrinsics
from mtl_core.rooms.raycast import Camera, Hits, Ids, Scene
from mtl_core.rooms.solids import Doubles
from mtl_core.rooms.textures import Floats

_MAP = 400
"""Texels along each side of a shadow map."""

_REACH = 3.7
"""Tangent of half a shadow map's field of view, 150 degrees."""

_BIAS = np.float32(0.02)
"""Metres that a point may lie behind what its light sees there and still be lit."""

_TAPS = np.array(
    [
        (r * np.cos(a), r * np.sin(a))
        for r, turn, count in ((0.0, 0.0, 1), (1.0, 0.4, 4), (0.55, 1.2, 4))
        for a in turn + np.arange(count) * np.pi / 2
    ],
    np.float32,
)
"""Where a penumbra is sampled, in its radii."""


@dataclass(frozen=True, eq=False)
class Light:
    """A lamp or the middle of a window.

    position: (3,) metres. colour: (3,) linear. axis: (3,) direction in which a flat source shines
    most, None for one that shines all around. softness: radius of the penumbra in texels of the
    shadow map. view, shadows: the camera that sees what the light reaches, and what it sees.
    """

    position: Doubles
    colour: Doubles
    axis: Doubles | None
    softness: float
    view: Camera
    shadows: Hits

    @classmethod
    def shining(
        cls,
        scene: Scene,
        position: Doubles,
        towards: Doubles,
        colour: Doubles,
        flat: bool,
        softness: float,
    ) -> Light:
        """A light that shines mainly towards a direction (3,), unit length."""
        focal, centre = _MAP / 2 / _REACH, (_MAP - 1) / 2
        intrinsics = Intrinsics(_MAP, _MAP, focal, focal, centre, centre)
        view = Camera.of(looking(position, towards), intrinsics)
        return cls(position, colour, towards if flat else None, softness, view, scene.cast(view))

    def lit(self, points: Floats, ids: Ids) -> Floats:
        """Share of the light (N,) that reaches world points (3, N) on the solids ids (N,).

        What lies outside the shadow map counts as lit. A solid throws no shadow on itself: all are
        convex, and what faces away gets no light anyhow.
        """
        local = self.view.local(points)
        ahead = np.maximum(local[2], np.float32(1e-3))
        column = local[0] / ahead / self.view.pixel + np.float32(_MAP / 2)
        row = local[1] / ahead / self.view.pixel + np.float32(_MAP / 2)
        total = np.zeros(len(ids), np.float32)
        depth, owner = self.shadows.depth.ravel(), self.shadows.ids.ravel()
        for dx, dy in _TAPS * np.float32(self.softness):
            texel = _clipped(row + dy) * _MAP + _clipped(column + dx)
            total += (depth.take(texel) > ahead - _BIAS) | (owner.take(texel) == ids)
        middle = np.float32(_MAP / 2)
        outside = np.maximum(np.abs(column - middle), np.abs(row - middle)) >= middle
        return np.where(outside | (local[2] <= 1e-3), np.float32(1), total / len(_TAPS))


def _clipped(place: Floats) -> Ids:
    """Nearest texel on the map."""
    return np.clip(place, 0, _MAP - 1).astype(np.int32)


def looking(position: Doubles, towards: Doubles, roll: float = 0.0) -> Doubles:
    """World-from-camera pose (4, 4) that looks along a direction (3,).

    Without roll (radians) the image's rows are level; straight up or down, they follow the x axis.
    """
    forward = towards / np.linalg.norm(towards)
    side = np.cross(forward, [0.0, 0.0, 1.0])
    if np.linalg.norm(side) < 1e-6:
        side = np.array([1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    down = np.cross(forward, side)
    c, s = np.cos(roll), np.sin(roll)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2] = c * side + s * down, c * down - s * side, forward
    pose[:3, 3] = position
    return pose
