"""Casting the rays of a pinhole camera at many solids, each only where it can appear."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mtl_core.geometry import Intrinsics
from mtl_core.rooms.solids import ENTER, NEAR, Doubles, Solid
from mtl_core.rooms.textures import Floats

Ids = npt.NDArray[np.int16]
Indices = npt.NDArray[np.intp]

_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
_EDGES = np.array(
    [[a, b] for a in range(8) for b in range(a) if np.abs(_CORNERS[a] - _CORNERS[b]).sum() == 2]
)


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera in the world: its rays by column and by row, and its pose.

    x: (W,) and y: (H,) float32 ray components beside z = 1. rotation: (3, 3), position: (3,),
    both world from camera.
    """

    x: Floats
    y: Floats
    rotation: Doubles
    position: Doubles

    @classmethod
    def of(cls, world_from_camera: Doubles, intrinsics: Intrinsics) -> Camera:
        """The camera of a pose (4, 4) and intrinsics."""
        x = (np.arange(intrinsics.width) - intrinsics.cx) / intrinsics.fx
        y = (np.arange(intrinsics.height) - intrinsics.cy) / intrinsics.fy
        return cls(
            x.astype(np.float32),
            y.astype(np.float32),
            world_from_camera[:3, :3],
            world_from_camera[:3, 3],
        )

    @property
    def pixel(self) -> np.float32:
        """Width of a pixel at a depth of 1 m."""
        steps: list[np.float32] = [*np.diff(self.x[:2]), np.float32(1)]
        return steps[0]

    def world(self, points: Floats) -> Floats:
        """Points (3, N) of the camera frame in the world."""
        turned: Floats = self.rotation.astype(np.float32) @ points
        return turned + self.position.astype(np.float32)[:, None]

    def local(self, points: Floats) -> Floats:
        """Points (3, N) of the world in the camera frame."""
        moved = points - self.position.astype(np.float32)[:, None]
        turned: Floats = self.rotation.T.astype(np.float32) @ moved
        return turned


@dataclass(frozen=True, eq=False)
class Hits:
    """What each pixel sees first: depth (H, W) float32 along Z, ids (H, W) int16 of the solid."""

    depth: Floats
    ids: Ids

    def by_solid(self) -> tuple[Indices, list[tuple[int, slice]]]:
        """The pixels' flat indices sorted by solid, and each visible solid with its run of them."""
        flat = self.ids.ravel()
        ends = np.cumsum(np.bincount(flat)).tolist()
        runs = [
            (index, slice(first, last)) for index, (first, last) in enumerate(pairwise([0, *ends]))
        ]
        return np.argsort(flat, kind="stable"), [
            (i, run) for i, run in runs if run.start < run.stop
        ]


class Scene:
    """Solids, ready to be looked at from anywhere."""

    def __init__(self, solids: Sequence[Solid]) -> None:
        """Keep the solids and their maps from the world to the unit shapes."""
        self.solids = tuple(solids)
        self.labels = np.array([solid.label for solid in self.solids], np.uint8)
        self.gloss = np.array([solid.material.gloss for solid in self.solids], np.float32)
        self.glow = np.array([solid.material.glow for solid in self.solids], np.float32)
        maps = [solid.unit_from_world() for solid in self.solids]
        self.linear = np.stack([linear for linear, _ in maps])
        self.offset = np.stack([offset for _, offset in maps])
        self._corners = np.stack(
            [s.centre + (_CORNERS * s.half) @ s.rotation.T for s in self.solids]
        )

    def unit_from_camera(self, camera: Camera) -> tuple[Floats, Floats]:
        """Per solid: linear part (N, 3, 3) and offset (N, 3) from the camera to the unit shape."""
        linear = self.linear @ camera.rotation
        offset = self.linear @ camera.position + self.offset
        return linear.astype(np.float32), offset.astype(np.float32)

    def cast(self, camera: Camera) -> Hits:
        """First hit of every ray. A ray that hits nothing has infinite depth and id -1."""
        depth = np.full((len(camera.y), len(camera.x)), np.inf, np.float32)
        ids = np.full(depth.shape, -1, np.int16)
        linear, offset = self.unit_from_camera(camera)
        by_row = linear[:, :, 1, None] * camera.y + linear[:, :, 2, None]
        by_column = linear[:, :, 0, None] * camera.x
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for index, rows, columns in self._windows(camera):
                solid = self.solids[index]
                x, y, z = by_row[index, :, rows, None] + by_column[index, :, None, columns]
                found = ENTER[solid.shape](offset[index], (x, y, z), solid.taper)
                window = depth[rows, columns]
                nearer = found < window
                np.copyto(window, found, where=nearer)
                ids[rows, columns][nearer] = index
        return Hits(depth, ids)

    def _windows(self, camera: Camera) -> Iterator[tuple[int, slice, slice]]:
        """The solids in view, nearest first, with the rows and columns their projections span."""
        corners = (self._corners - camera.position) @ camera.rotation
        points = np.concatenate([corners, _cut_edges(corners)], 1)
        z = points[..., 2]
        seen = z >= NEAR
        safe = np.where(seen, z, 1.0)
        left, right = _span(points[..., 0] / safe, seen, camera.x)
        top, bottom = _span(points[..., 1] / safe, seen, camera.y)
        nearest = np.where(seen, z, np.inf).min(1)
        for index in np.argsort(nearest, kind="stable").tolist():
            if top[index] < bottom[index] and left[index] < right[index]:
                yield index, slice(top[index], bottom[index]), slice(left[index], right[index])


def _cut_edges(corners: Doubles) -> Doubles:
    """Points (N, 12, 3) where box edges cross the near plane; the first corner where they don't."""
    first, second = corners[:, _EDGES[:, 0]], corners[:, _EDGES[:, 1]]
    near = float(NEAR)
    crosses = (first[..., 2] < near) != (second[..., 2] < near)
    rise = np.where(crosses, second[..., 2] - first[..., 2], 1.0)
    share = np.where(crosses, (near * (1 + 1e-6) - first[..., 2]) / rise, 0.0)
    cut: Doubles = first + share[..., None] * (second - first)
    return cut


def _span(projected: Doubles, seen: npt.NDArray[np.bool_], grid: Floats) -> tuple[Indices, Indices]:
    """First and one past the last grid index that the seen points of each solid (N, P) span."""
    low = np.where(seen, projected, np.inf).min(1)
    high = np.where(seen, projected, -np.inf).max(1)
    slack = 1e-5
    return np.searchsorted(grid, low - slack), np.searchsorted(grid, high + slack, side="right")
