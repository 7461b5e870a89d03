"""What light the surfaces of a frame send to the camera.

Direct light of a few lamps (Lambert, a highlight, soft shadows), and ambient light dimmed where
neighbouring surfaces close part of the sky over a point. Shadows and ambient occlusion vary slowly
and are estimated on coarser grids of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from mtl_core.rooms.exposure import binomial
from mtl_core.rooms.light import Light
from mtl_core.rooms.raycast import Camera, Hits
from mtl_core.rooms.solids import Doubles, unit_length
from mtl_core.rooms.surfaces import Surfaces
from mtl_core.rooms.textures import Floats

Places = npt.NDArray[np.int32]
_T = TypeVar("_T", bound=np.generic)

_SHADOW_STEP = 2
_OCCLUSION_STEP = 4

_BAND = 16384
"""Pixels shaded at a time: the arrays of one band stay in the processor's cache."""


def radiance(
    lights: Sequence[Light], ambient: Doubles, camera: Camera, hits: Hits, seen: Surfaces
) -> Floats:
    """Linear light (3, H, W) float32 that reaches the camera.

    Args:
        lights: The lamps.
        ambient: (3,) light that comes from everywhere.
        camera: Where it is seen from.
        hits: Which solids the pixels show.
        seen: Their surfaces.
    """
    height, width = hits.depth.shape
    openness = _openness(camera, seen, height, width)
    shades = [_shade(light, camera, hits, seen) for light in lights]
    total = np.empty_like(seen.albedo)
    for start in range(0, height * width, _BAND):
        band = slice(start, start + _BAND)
        part, unblocked = seen.part(band), openness[band]
        light = part.albedo * (_ambient(ambient, camera, part) * unblocked + part.glow)
        view = -unit_length(part.points)
        for lamp, shade in zip(lights, shades, strict=True):
            dimmed = shade[band] * (np.float32(0.5) + np.float32(0.5) * unblocked)
            light += _reflected(lamp, camera, part, view, dimmed)
        total[:, band] = light
    return total.reshape(3, height, width)


def _ambient(ambient: Doubles, camera: Camera, seen: Surfaces) -> Floats:
    """Ambient light (3, N): a little more from above."""
    up = camera.rotation[2].astype(np.float32)
    level = np.float32(0.85) + np.float32(0.15) * (up @ seen.shading)
    light: Floats = ambient.astype(np.float32)[:, None] * level
    return light


def _reflected(light: Light, camera: Camera, seen: Surfaces, view: Floats, shade: Floats) -> Floats:
    """Diffuse and glossy reflection (3, N) of one lamp."""
    position = (camera.rotation.T @ (light.position - camera.position)).astype(np.float32)
    towards = position[:, None] - seen.points
    square = np.einsum("ij,ij->j", towards, towards)
    towards /= np.sqrt(square)
    power = shade / (np.float32(0.6) + square)
    if light.axis is not None:
        axis = (camera.rotation.T @ light.axis).astype(np.float32)
        power *= np.maximum(-(axis @ towards), 0) * np.float32(0.85) + np.float32(0.15)
    diffuse = np.maximum(np.einsum("ij,ij->j", seen.shading, towards), 0)
    half = unit_length(towards + view)
    shine = np.maximum(np.einsum("ij,ij->j", seen.shading, half), 0)
    for _ in range(5):
        shine *= shine
    colour = light.colour.astype(np.float32)[:, None]
    reflected: Floats = colour * (seen.albedo * (diffuse * power) + seen.gloss * shine * power)
    return reflected


def _shade(light: Light, camera: Camera, hits: Hits, seen: Surfaces) -> Floats:
    """Share of a lamp's light (N,) that reaches the pixels."""
    ids = _thinned(hits.ids, _SHADOW_STEP)
    points = _thinned(seen.points.reshape(3, *hits.depth.shape), _SHADOW_STEP)
    lit = light.lit(camera.world(points.reshape(3, -1)), ids.ravel()).reshape(ids.shape)
    return _enlarged(binomial(binomial(lit)), _SHADOW_STEP, hits.depth.shape)


def _openness(camera: Camera, seen: Surfaces, height: int, width: int) -> Floats:
    """How open the half space over each pixel's surface is, (N,) in 0..1."""
    step = _OCCLUSION_STEP
    points = _thinned(seen.points.reshape(3, height, width), step)
    normals = _thinned(seen.normals.reshape(3, height, width), step)
    coarse = occlusion(points, normals, float(camera.pixel * step))
    return _enlarged(binomial(coarse), step, (height, width))


def occlusion(points: Floats, normals: Floats, pixel: float) -> Floats:
    """How open the half space over points is, (H, W) in 0..1, judged by their neighbours on screen.

    Neighbours on rings of 8, 20 and 40 cm that rise above a point's tangent plane close a part.

    Args:
        points: (3, H, W) metres, camera frame.
        normals: (3, H, W) unit.
        pixel: Size of a pixel at a depth of 1 m.
    """
    height, width = points.shape[1:]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    flat = points.reshape(3, -1)
    blocked = np.zeros((height, width), np.float32)
    for reach, turn in ((0.08, 0.0), (0.2, 0.35), (0.4, 0.8)):
        radius = np.clip(
            np.float32(reach) / (points[2] * np.float32(pixel)), 1.0, max(width / 4, 1)
        )
        for angle in turn + np.arange(6) * (np.pi / 3):
            row = _on_screen(rows + radius * np.float32(np.sin(angle)), height)
            column = _on_screen(columns + radius * np.float32(np.cos(angle)), width)
            away = flat.take(row * width + column, axis=1) - points
            blocked += _closed(away, normals, reach)
    openness: Floats = np.clip(1.0 - blocked / 7.0, 0.25, 1.0)
    return openness


def _on_screen(place: Floats, size: int) -> Places:
    return np.clip(np.rint(place), 0, size - 1).astype(np.int32)


def _closed(away: Floats, normals: Floats, reach: float) -> Floats:
    """Part (H, W) of the half space that neighbours at offsets (3, H, W) close."""
    distance = np.sqrt(np.einsum("ijk,ijk->jk", away, away)) + np.float32(1e-4)
    rise = np.einsum("ijk,ijk->jk", away, normals) / distance - np.float32(0.08)
    near = np.clip(np.float32(1.6) - distance / np.float32(2.0 * reach), 0, 1)
    closed: Floats = np.maximum(rise, 0) * near
    return closed


def _thinned(image: npt.NDArray[_T], step: int) -> npt.NDArray[_T]:
    """Each step-th row and column of (..., H, W): the middle ones where the image is that large."""
    rows, columns = (slice(min(step // 2, size - 1), None, step) for size in image.shape[-2:])
    return np.ascontiguousarray(image[..., rows, columns])


def _enlarged(coarse: Floats, step: int, shape: tuple[int, ...]) -> Floats:
    """Bilinear enlargement to (H, W), flattened, of what `_thinned` left of an image."""
    first, second, weight = _between(coarse.shape[0], step, shape[0])
    tall = coarse[first] + (coarse[second] - coarse[first]) * weight[:, None]
    first, second, weight = _between(coarse.shape[1], step, shape[1])
    wide: Floats = tall[:, first] + (tall[:, second] - tall[:, first]) * weight
    return wide.ravel()


def _between(count: int, step: int, size: int) -> tuple[Places, Places, Floats]:
    """For each pixel the coarse samples before and after it, and the weight of the second."""
    place = np.clip((np.arange(size) - step // 2) / step, 0, count - 1)
    first = place.astype(np.int32)
    return first, np.minimum(first + 1, count - 1), (place - first).astype(np.float32)
