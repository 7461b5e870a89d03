"""From hits to surfaces: positions, normals, colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mtl_core.rooms.raycast import Camera, Hits, Scene
from mtl_core.rooms.solids import (
    Material,
    Solid,
    bent_normals,
    outward,
    texture_coordinates,
    unit_length,
)
from mtl_core.rooms.textures import Floats


@dataclass(frozen=True, eq=False)
class Surfaces:
    """What the pixels of a frame show, flattened: N = H W, camera frame, float32.

    points: (3, N) metres. normals: (3, N) unit, facing the camera. shading: (3, N) normals with
    the edges of soft things rounded. albedo: (3, N) linear. gloss, glow: (N,) of the material.
    """

    points: Floats
    normals: Floats
    shading: Floats
    albedo: Floats
    gloss: Floats
    glow: Floats

    def part(self, pixels: slice) -> Surfaces:
        """A run of the pixels."""
        return Surfaces(
            self.points[:, pixels],
            self.normals[:, pixels],
            self.shading[:, pixels],
            self.albedo[:, pixels],
            self.gloss[pixels],
            self.glow[pixels],
        )


def surfaces(scene: Scene, camera: Camera, hits: Hits) -> Surfaces:
    """What a camera's hits are made of.

    Pixels are worked on sorted by solid, so that each solid's lie together.
    """
    rays = np.ones((3, *hits.depth.shape), np.float32)
    rays[0], rays[1] = camera.x, camera.y[:, None]
    points = (rays * hits.depth).reshape(3, -1)
    order, runs = hits.by_solid()
    linear, offset = scene.unit_from_camera(camera)
    by_solid = points.take(order, axis=1)
    normals, shading, albedo = (np.empty_like(points) for _ in range(3))
    for index, run in runs:
        solid, seen = scene.solids[index], by_solid[:, run]
        unit = linear[index] @ seen + offset[index][:, None]
        out = outward(solid, linear[index], unit)
        facing = -np.einsum("ij,ij->j", out, seen) / seen[2]
        normals[:, run] = np.where(facing < 0, -out, out)
        shading[:, run] = _rounded(solid, linear[index], unit, out)
        albedo[:, run] = _colours(solid, unit, seen[2] * camera.pixel, facing)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    ids = hits.ids.ravel()
    normals, shading, albedo = (v.take(place, axis=1) for v in (normals, shading, albedo))
    return Surfaces(points, normals, shading, albedo, scene.gloss[ids], scene.glow[ids])


def _rounded(solid: Solid, linear: Floats, unit: Floats, normals: Floats) -> Floats:
    """Normals (3, N) for shading: those of the surface, bent at a soft box's edges."""
    if solid.shape != "box" or solid.bevel == 0:
        return normals
    axes = linear.T * solid.half.astype(np.float32)
    return unit_length(axes @ bent_normals(solid, unit))


def _colours(solid: Solid, unit: Floats, pixel: Floats, facing: Floats) -> Floats:
    """Albedo (3, N) at points (3, N) of the unit shape; pixel (N,): metres one pixel covers."""
    material = solid.material
    slant = np.sqrt(np.clip(np.abs(facing), 0.05, 1.0))
    footprint = pixel / (np.float32(_period(material, solid)) * slant)
    u, v = texture_coordinates(solid, unit)
    tint = np.asarray(material.tint, np.float32)[:, None]
    colours: Floats = material.texture.sample(u, v, footprint) * tint
    return colours


def _period(material: Material, solid: Solid) -> float:
    """Metres per period of the texture in its coarser direction."""
    across = 2 * float(solid.half.max())
    return max(tile or across for tile in material.tile)
