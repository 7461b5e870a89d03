"""A synthetic room that can be walked through and photographed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mtl_core.geometry import Intrinsics
from mtl_core.rooms.exposure import Film
from mtl_core.rooms.layout import Layout
from mtl_core.rooms.light import Light
from mtl_core.rooms.path import Walk
from mtl_core.rooms.raycast import Camera, Scene
from mtl_core.rooms.shading import radiance
from mtl_core.rooms.solids import Doubles
from mtl_core.rooms.surfaces import surfaces
from mtl_core.rooms.textures import Floats


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture with its exact truth.

    image: (H, W, 3) uint8 RGB. labels: (H, W) uint8 ids of the label map nyu13, no pixel without.
    depth: (H, W) float32 metres along Z, finite. normals: (H, W, 3) float32 unit vectors in the
    camera's optical frame, facing the camera. world_from_camera: (4, 4) float64, world z up.
    """

    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    depth: Floats
    normals: Floats
    intrinsics: Intrinsics
    world_from_camera: Doubles


class Room:
    """A furnished, lit, closed room. The same seed gives the same bytes.

    Its corner is the world's origin, the floor lies at z = 0; size: (3,) metres.
    """

    def __init__(self, seed: int) -> None:
        """Draw the room of a seed; `generate` is the public way."""
        rng = np.random.default_rng(seed)
        layout = Layout.drawn(rng)
        self.seed = seed
        self.size = layout.size
        self.scene = Scene(layout.solids)
        self._walk = Walk(rng, layout.solids, layout.size)
        self._film = Film.drawn(rng)
        self._lights, self._ambient = lamps(rng, self.scene, layout)

    @classmethod
    def generate(cls, seed: int) -> Room:
        """The room of a seed (a non-negative integer)."""
        return cls(seed)

    def camera_path(self, frames: int) -> Doubles:
        """World-from-camera poses (frames, 4, 4) float64 along one smooth walk, whatever frames."""
        return self._walk.poses(frames)

    def render(self, world_from_camera: Doubles, intrinsics: Intrinsics) -> Frame:
        """Photograph the room from a pose (4, 4) inside its free space."""
        camera = Camera.of(world_from_camera, intrinsics)
        hits = self.scene.cast(camera)
        seen = surfaces(self.scene, camera, hits)
        light = radiance(self._lights, self._ambient, camera, hits, seen)
        shot = zlib.crc32(np.ascontiguousarray(world_from_camera, np.float64).tobytes())
        return Frame(
            image=self._film.develop(light, np.random.default_rng([self.seed, shot])),
            labels=self.scene.labels[hits.ids],
            depth=hits.depth,
            normals=np.ascontiguousarray(seen.normals.T).reshape(*hits.depth.shape, 3),
            intrinsics=intrinsics,
            world_from_camera=world_from_camera,
        )


def lamps(
    rng: np.random.Generator, scene: Scene, layout: Layout
) -> tuple[tuple[Light, ...], Doubles]:
    """The room's lights and the ambient light (3,) that their reflections add up to."""
    lights = []
    day = np.array([0.92, 1.0, 1.1]) * rng.uniform(0.8, 1.6)
    for window in layout.windows[:2]:
        colour = day * min(window.area, 2.5) * 1.6
        light = Light.shining(scene, window.middle, window.inward, colour, flat=True, softness=5.0)
        lights.append(light)
    if layout.lamp is not None:
        warm = np.array([1.0, rng.uniform(0.8, 0.95), rng.uniform(0.6, 0.9)])
        colour = warm * rng.uniform(2.0, 5.5)
        down = np.array([0.0, 0.0, -1.0])
        lights.append(Light.shining(scene, layout.lamp, down, colour, flat=False, softness=3.0))
    power = sum((light.colour for light in lights), np.full(3, 0.3))
    return tuple(lights), power * rng.uniform(0.03, 0.075)
