"""Synthetic rooms as training data: new ones in every epoch, a fixed set, and held-out ones."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from mtl_core.geometry import Intrinsics
from mtl_core.labels import LabelMap
from mtl_core.rooms import Frame, Room
from mtl_training.data.sample import Sample
from mtl_training.data.uniform import Uniform
from mtl_training.errors import DatasetError

TRAINING_SEEDS = (1000, 100_000)
"""Seeds of the rooms that training may draw; the demo and the tests stay below them."""

CAMERA = Intrinsics(640, 480, 525.0, 525.0, 319.5, 239.5)
"""The camera that held-out rooms are seen with."""

FRAMES_PER_ROOM = 8
"""Successive frames of training that show the same room."""

_TASKS = frozenset({"segmentation", "depth", "normals"})
_POSES = 32
_FOCAL_RATIOS = (0.8, 1.3)
_MOST_KEPT = 1_000_000_000
"""Bytes of rendered frames that a fixed set keeps."""


# Furnishing a room costs as much as six of its frames; an epoch's order visits a room at random.
# All rooms of 600 frames are kept, 23 MB each, in each process that renders.
@lru_cache(maxsize=80)
def _room(seed: int) -> Room:
    return Room.generate(seed)


class Rooms(Uniform):
    """Rendered frames at the network's size, other ones in each epoch.

    Args:
        frames: Length of one epoch.
        height: Rows.
        width: Columns.
        canonical_fx: Focal lengths are drawn around it, from 0.8 to 1.3 times, pixels.
        seed: With the epoch's number, it decides rooms, poses and focal lengths.

    Raises:
        DatasetError: There are no frames.
    """

    def __init__(
        self, frames: int, height: int, width: int, canonical_fx: float, seed: int
    ) -> None:
        """Nothing is rendered yet."""
        if frames < 1:
            raise DatasetError(f"synthetic rooms: 1 frame or more expected, got {frames}")
        self._height, self._width = height, width
        self._canonical_fx, self._seed = canonical_fx, seed
        self.label_map = LabelMap.load("nyu13")
        self.tasks = _TASKS
        rooms = tuple(f"room-{index // FRAMES_PER_ROOM:05d}" for index in range(frames))
        self.scenes = rooms
        self.names = tuple(f"{r}-{i % FRAMES_PER_ROOM}" for i, r in enumerate(rooms))

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`; eight successive indices show the same room."""
        first = index - index % FRAMES_PER_ROOM
        room_rng = np.random.default_rng((self._seed, epoch, first))
        room = _room(int(room_rng.integers(*TRAINING_SEEDS)))
        rng = np.random.default_rng((self._seed, epoch, index, 1))
        pose = room.camera_path(_POSES)[rng.integers(_POSES)]
        focal = self._canonical_fx * float(rng.uniform(*_FOCAL_RATIOS))
        centre = ((self._width - 1) / 2, (self._height - 1) / 2)
        frame = room.render(pose, Intrinsics(self._width, self._height, focal, focal, *centre))
        return _sample(self.names[index], frame)


class FixedRooms(Rooms):
    """The frames of `Rooms`' first epoch in every epoch: a finite training set.

    For experiments with few labels, which a set that is new in each epoch cannot have. A frame is
    rendered once, as long as they take no more than 1 GB.
    """

    def __init__(
        self, frames: int, height: int, width: int, canonical_fx: float, seed: int
    ) -> None:
        """Nothing is rendered yet."""
        super().__init__(frames, height, width, canonical_fx, seed)
        self._kept: dict[int, Sample] = {}

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`; the same in every epoch, not to be written to."""
        if index in self._kept:
            return self._kept[index]
        sample = super().sample(index)
        arrays = (sample.image, *sample.truth.values())
        for array in arrays:
            array.flags.writeable = False
        if (len(self._kept) + 1) * sum(array.nbytes for array in arrays) <= _MOST_KEPT:
            self._kept[index] = sample
        return sample


class HeldOutRooms(Uniform):
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
        self._frames = frames
        self.label_map = LabelMap.load("nyu13")
        self.tasks = _TASKS
        self.scenes = tuple(f"held-out-{room:03d}" for room in range(rooms) for _ in range(frames))
        self.names = tuple(f"{room}-{i % frames}" for i, room in enumerate(self.scenes))

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`; the same in every epoch."""
        seed, step = divmod(index, self._frames)
        room = _room(seed)
        return _sample(self.names[index], room.render(room.camera_path(self._frames)[step], CAMERA))


def _sample(name: str, frame: Frame) -> Sample:
    truth: dict[str, npt.NDArray[Any]] = {
        "segmentation": frame.labels,
        "depth": frame.depth,
        "normals": frame.normals,
    }
    return Sample(name, frame.image, truth, frame.intrinsics)
