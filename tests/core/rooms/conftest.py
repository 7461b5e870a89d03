"""A few rooms, made once, and how a test asks whether a point lies inside a solid."""

from __future__ import annotations

import pytest

from mtl_core.geometry import Intrinsics
from mtl_core.rooms import Frame, Room

SEEDS = (0, 5, 7, 9)
SMALL = Intrinsics(64, 48, 52.5, 52.5, 31.5, 23.5)


@pytest.fixture(scope="session")
def rooms() -> list[Room]:
    return [Room.generate(seed) for seed in SEEDS]


@pytest.fixture(scope="session")
def frames(rooms) -> list[tuple[Room, Frame]]:
    """Four views of each room."""
    return [(r, r.render(pose, SMALL)) for r in rooms for pose in r.camera_path(4)]
