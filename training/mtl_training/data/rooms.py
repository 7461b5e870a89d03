"""Synthetic rooms as training data: new rooms and new cameras in every epoch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mtl_core.geometry import Intrinsics
from mtl_core.rooms import Room
from mtl_training.data.sample import Sample
from mtl_training.errors import DatasetError

TRAINING_SEEDS = (1000, 100_000)
"""Seeds of the rooms that training may draw; the demo and the tests stay below them."""

CAMERA = Intrinsics(640, 480, 525.0, 525.0, 319.5, 239.5)
"""The camera that held-out rooms are seen with."""

_FRAMES_PER_ROOM = 8
_POSES = 32
_FOCAL_RATIOS = (0.8, 1.3)


# Furnishing a room costs as much as six of its frames; an epoch's order visits a room at random.
@lru_cache(maxsize=64)
def _room(seed: int) -> Room:
    return Room.generate(seed)


class Rooms:
    """Rendered frames at the network's size.

    Args:
        frames: Length of one epoch.
        height: Rows.
        width: Columns.
        canonical_fx: Focal lengths are drawn around it, from 0.8 to 1.3 times, pixels.
        seed: With the epoch's number, it decides rooms, poses and focal lengths.
    """

    def __init__(
        self, frames: int, height: int, width: int, canonical_fx: float, seed: int
    ) -> None:
        """Nothing is rendered yet."""
        self._frames, self._height, self._width = frames, height, width
        self._canonical_fx, self._seed = canonical_fx, seed

    def __len__(self) -> int:
        """Frames of one epoch."""
        return self._frames

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`; eight successive indices show the same room."""
        first = index - index % _FRAMES_PER_ROOM
        room_rng = np.random.default_rng((self._seed, epoch, first))
        room = _room(int(room_rng.integers(*TRAINING_SEEDS)))
        rng = np.random.default_rng((self._seed, epoch, index, 1))
        pose = room.camera_path(_POSES)[rng.integers(_POSES)]
        focal = self._canonical_fx * float(rng.uniform(*_FOCAL_RATIOS))
        centre = ((self._width - 1) / 2, (self._height - 1) / 2)
        frame = room.render(pose, Intrinsics(self._width, self._height, focal, focal, *centre))
        return Sample(frame.image, frame.labels, frame.depth, frame.intrinsics)


class HeldOutRooms:
    """Rooms that no training sees, as a Kinect-like camera of 640x480 walks through them.

    Args:
        rooms: How many, from seed 0 on.
        frames: Of each.

    Raises:
        DatasetError: There are not so many seeds below the training's.
    """

    def __init__(self, rooms: int, frames: int = 6) -> None:
        """Nothing is rendered yet."""
        if not 0 < rooms <= TRAINING_SEEDS[0]:
            raise DatasetError(f"1 to {TRAINING_SEEDS[0]} rooms are held out, got {rooms}")
        self._rooms, self._frames = rooms, frames

    def __len__(self) -> int:
        """Frames of all rooms."""
        return self._rooms * self._frames

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`; the same in every epoch."""
        seed, step = divmod(index, self._frames)
        room = _room(seed)
        frame = room.render(room.camera_path(self._frames)[step], CAMERA)
        return Sample(frame.image, frame.labels, frame.depth, frame.intrinsics)
