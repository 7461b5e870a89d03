"""Light on surfaces: albedo, lamps with soft shadows, ambient occlusion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mtl_core.geometry import Intrinsics
from mtl_core.rooms.exposure import binomial
from mtl_core.rooms.raycast import Camera, Hits, Scene
from mtl_core.rooms.solids import Doubles, Solid, bent_normals, texture_coordinates, unit_normals
from mtl_core.rooms.textures import Floats

_COARSE = 2
"""Shadows are looked up at each second pixel."""

_OCCLUSION_STEP = 4
"""Ambient occlusion is estimated at each fourth pixel."""


@dataclass(frozen=True, eq=False)
class Surfaces:
    """What the pixels of a frame show, flattened: N = H W, camera frame.

    points, normals, shading (normals with rounded edges), albedo: (3, N); gloss, glow: (N,).
    """

    points: Floats
    normals: Floats
    shading: Floats
    albedo: Floats
    gloss: Floats
    glow: Floats


def surfaces(scene: Scene, camera: Camera, hits: Hits) -> Surfaces:
    """Positions, normals and materials of what the pixels hit."""
    height, width = hits.depth.shape
    rays = np.ones((3, height, width), np.float32)
    rays[0], rays[1] = camera.x, camera.y[:, None]
    points = (rays * hits.depth).reshape(3, -1)
    out = Surfaces(
        points, *(np.empty_like(points) for _ in range(3)), *np.zeros((2, height * width), "f4")
    )
    linear, offset = scene.unit_from_camera(camera)
    pixel = np.float32(camera.x[1] - camera.x[0]) if width > 1 else np.float32(1.0)
    for index, pixels in hits.by_solid():
        _describe(scene.solids[index], linear[index], offset[index], pixels, pixel, out)
    return out


def _describe(solid, linear, offset, pixels, pixel, out) -> None:  # type: ignore[no-untyped-def]
    """Fill in the pixels of one solid."""
    points = out.points[:, pixels]
    unit = linear @ points + offset[:, None]
    normals = _unit(linear.T @ unit_normals(solid, unit))
    facing = -np.einsum("ij,ij->j", normals, points) / points[2]
    out.normals[:, pixels] = normals * np.where(facing < 0, np.float32(-1), np.float32(1))
    shading = normals
    if solid.shape == "box" and solid.bevel > 0:
        axes = linear.T * solid.half.astype(np.float32)
        shading = _unit(axes @ bent_normals(solid, unit))
    out.shading[:, pixels] = shading
    u, v = texture_coordinates(solid, unit)
    tile = solid.material.tile
    period = max(tile[0] or 2 * solid.half.max(), tile[1] or 2 * solid.half.max())
    slant = np.sqrt(np.clip(np.abs(facing), 0.05, 1.0))
    footprint = points[2] * (pixel / np.float32(period)) / slant
    tint = np.asarray(solid.material.tint, np.float32)[:, None]
    out.albedo[:, pixels] = solid.material.texture.sample(u, v, footprint) * tint
    out.gloss[pixels] = solid.material.gloss
    out.glow[pixels] = solid.material.glow


def _unit(vectors: Floats) -> Floats:
    """Vectors (3, N) at length 1."""
    return vectors / np.sqrt(np.einsum("ij,ij->j", vectors, vectors))


@dataclass(frozen=True, eq=False)
class Light:
    """A small lamp or the middle of a window.

    position (3,), colour (3,) linear at 1 m. axis: (3,) direction it shines most, with the cosine
    law of a flat source, or None for all around. softness: radius of the penumbra in texels of the
    shadow map. shadows: what the light sees, looking along `view`.
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
        """A light and its shadow map of 150 degrees."""
        size, reach = 400, 3.7
        focal = size / 2 / reach
        intrinsics = Intrinsics(size, size, focal, focal, (size - 1) / 2, (size - 1) / 2)
        view = Camera.of(looking(position, towards), intrinsics)
        return cls(position, colour, towards if flat else None, softness, view, scene.cast(view))

    def lit(self, points: Floats, ids: Floats) -> Floats:
        """Share of the light that reaches world points (3, N) on the solids ids (N,)."""
        local = self.view.rotation.T.astype(np.float32) @ (
            points - self.position.astype(np.float32)[:, None]
        )
        ahead = np.maximum(local[2], np.float32(1e-3))
        size = len(self.view.x)
        step = np.float32(1 / (self.view.x[1] - self.view.x[0]))
        column = local[0] / ahead * step + np.float32(size / 2)
        row = local[1] / ahead * step + np.float32(size / 2)
        outside = (local[2] <= 1e-3) | (np.maximum(np.abs(column - size / 2), np.abs(row - size / 2)) >= size / 2)
        total = np.zeros(len(ids), np.float32)
        depth, owner = self.shadows.depth.ravel(), self.shadows.ids.ravel()
        for dx, dy in _TAPS * np.float32(self.softness):
            x = np.clip((column + dx).astype(np.int32), 0, size - 1)
            y = np.clip((row + dy).astype(np.int32), 0, size - 1)
            texel = y * size + x
            total += (depth[texel] > ahead - np.float32(0.02)) | (owner[texel] == ids)
        total /= len(_TAPS)
        return np.where(outside, np.float32(1), total)


_TAPS = np.array(
    [(0, 0)]
    + [(np.cos(a), np.sin(a)) for a in np.arange(4) * np.pi / 2 + 0.4]
    + [(0.55 * np.cos(a), 0.55 * np.sin(a)) for a in np.arange(4) * np.pi / 2 + 1.2],
    np.float32,
)


def looking(position: Doubles, towards: Doubles, roll: float = 0.0) -> Doubles:
    """World-from-camera pose (4, 4) that looks along a direction, image rows level if roll = 0."""
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


def occlusion(points: Floats, normals: Floats, pixel: float) -> Floats:
    """Ambient occlusion (H, W) in 0..1 (1 = open) from points and normals (3, H, W) on screen.

    Neighbours on rings of 8 and 35 cm that rise above a point's tangent plane close part of the
    half space over it.
    """
    height, width = points.shape[1:]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    blocked = np.zeros((height, width), np.float32)
    for reach, turn in ((0.08, 0.0), (0.2, 0.35), (0.4, 0.8)):
        radius = np.clip(np.float32(reach) / (points[2] * pixel), 1.0, width / 4)
        for angle in turn + np.arange(6) * (np.pi / 3):
            row = np.clip(np.rint(rows + radius * np.sin(angle)), 0, height - 1).astype(np.intp)
            column = np.clip(np.rint(columns + radius * np.cos(angle)), 0, width - 1).astype(np.intp)
            away = points[:, row, column] - points
            distance = np.sqrt((away * away).sum(0)) + np.float32(1e-4)
            rise = (away * normals).sum(0) / distance - np.float32(0.08)
            near = np.clip(1.6 - distance / np.float32(2.0 * reach), 0, 1)
            blocked += np.maximum(rise, 0) * near
    return np.clip(1.0 - blocked / 7.0, 0.25, 1.0)


def enlarged(coarse: Floats, step: int, height: int, width: int) -> Floats:
    """Bilinear enlargement of values taken at each step-th pixel from step // 2 on, (H, W)."""
    rows = _weights(coarse.shape[0], step, height)
    columns = _weights(coarse.shape[1], step, width)
    tall = coarse[rows[0]] + (coarse[rows[1]] - coarse[rows[0]]) * rows[2][:, None]
    tall = np.ascontiguousarray(tall.T)
    wide = tall[columns[0]] + (tall[columns[1]] - tall[columns[0]]) * columns[2][:, None]
    return wide.T


def _weights(count: int, step: int, size: int):  # type: ignore[no-untyped-def]
    place = np.clip((np.arange(size) - step // 2) / step, 0, count - 1)
    first = np.minimum(place.astype(np.intp), max(count - 2, 0))
    return first, np.minimum(first + 1, count - 1), (place - first).astype(np.float32)


def radiance(
    scene_lights: tuple[Light, ...],
    ambient: Doubles,
    camera: Camera,
    hits: Hits,
    seen: Surfaces,
) -> Floats:
    """Linear light (3, H, W) that the surfaces send to the camera."""
    height, width = hits.depth.shape
    up = camera.rotation[2].astype(np.float32)
    skyward = seen.shading[0] * up[0] + seen.shading[1] * up[1] + seen.shading[2] * up[2]
    open_share = _coarse_occlusion(camera, seen, height, width)
    level = (np.float32(0.85) + np.float32(0.15) * skyward) * open_share
    total = seen.albedo * (ambient.astype(np.float32)[:, None] * level)
    view = -seen.points / np.sqrt(np.einsum("ij,ij->j", seen.points, seen.points))
    soft_open = np.float32(0.5) + np.float32(0.5) * open_share
    for light in scene_lights:
        shade = _coarse_shadow(light, camera, hits, seen) * soft_open
        total += _lit_by(light, camera, seen, view, shade)
    total += seen.albedo * seen.glow
    return total.reshape(3, height, width)


def _coarse_occlusion(camera: Camera, seen: Surfaces, height: int, width: int) -> Floats:
    step = _OCCLUSION_STEP
    part = (slice(None), slice(step // 2, None, step), slice(step // 2, None, step))
    points = np.ascontiguousarray(seen.points.reshape(3, height, width)[part])
    normals = np.ascontiguousarray(seen.normals.reshape(3, height, width)[part])
    if not points.size:
        return np.ones(height * width, np.float32)
    pixel = float(camera.x[1] - camera.x[0]) * step
    open_share = binomial(occlusion(points, normals, pixel))
    return enlarged(open_share, step, height, width).ravel()


def _coarse_shadow(light: Light, camera: Camera, hits: Hits, seen: Surfaces) -> Floats:
    height, width = hits.depth.shape
    step = _COARSE
    part = (slice(step // 2, None, step), slice(step // 2, None, step))
    ids = hits.ids[part]
    if not ids.size:
        return np.ones(height * width, np.float32)
    points = seen.points.reshape(3, height, width)[(slice(None), *part)].reshape(3, -1)
    world = camera.rotation.astype(np.float32) @ points + camera.position.astype(np.float32)[:, None]
    lit = binomial(binomial(light.lit(world, ids.ravel()).reshape(ids.shape)))
    return enlarged(lit, step, height, width).ravel()


def _lit_by(light: Light, camera: Camera, seen: Surfaces, view: Floats, shade: Floats) -> Floats:
    """Diffuse and glossy reflection (3, N) of one light."""
    position = (camera.rotation.T @ (light.position - camera.position)).astype(np.float32)
    towards = position[:, None] - seen.points
    square = np.einsum("ij,ij->j", towards, towards)
    towards /= np.sqrt(square)
    power = shade / (np.float32(0.6) + square)
    if light.axis is not None:
        axis = (camera.rotation.T @ light.axis).astype(np.float32)
        power *= np.maximum(-(axis @ towards), 0) * np.float32(0.85) + np.float32(0.15)
    diffuse = np.maximum(np.einsum("ij,ij->j", seen.shading, towards), 0) * power
    half = towards + view
    half /= np.sqrt(np.einsum("ij,ij->j", half, half)) + np.float32(1e-6)
    shine = np.maximum(np.einsum("ij,ij->j", seen.shading, half), 0)
    for _ in range(5):
        shine *= shine
    colour = light.colour.astype(np.float32)[:, None]
    return colour * (seen.albedo * diffuse + seen.gloss * shine * power)
