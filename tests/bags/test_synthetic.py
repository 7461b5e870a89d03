"""A rendered recording holds the room's frames and their exact truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtl_bags.compose import cdr_stamp_ns
from mtl_bags.messages import to_colour_image, to_depth, to_mask
from mtl_bags.reader import BagReader
from mtl_bags.records import Record
from mtl_bags.synthetic import (
    CAMERA_INFO_TOPIC,
    DEFAULT_INTRINSICS,
    IMAGE_TOPIC,
    TRUTH_DEPTH_TOPIC,
    TRUTH_MASK_TOPIC,
    write_room_bag,
)
from mtl_bags.topics import Camera
from mtl_core.rooms import Room

SEED, FRAMES, HZ = 3, 3, 5.0
CAMERA = DEFAULT_INTRINSICS.resized(48, 32)


def records(path: Path, *topics: str) -> list[Record]:
    with BagReader(path) as reader:
        return list(reader.messages(topics or None))


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rooms") / "bag"
    write_room_bag(path, SEED, FRAMES, HZ, CAMERA)
    return path


def test_images_and_truth_are_what_the_room_renders(bag: Path) -> None:
    room = Room.generate(SEED)
    expected = [room.render(pose, CAMERA) for pose in room.camera_path(FRAMES)]
    readers = {
        IMAGE_TOPIC: ("image", lambda message: to_colour_image(message).pixels),
        TRUTH_MASK_TOPIC: ("labels", to_mask),
        TRUTH_DEPTH_TOPIC: ("depth", to_depth),
    }
    with BagReader(bag) as reader:
        for topic, (field, convert) in readers.items():
            got = [convert(reader.deserialize(record)) for record in reader.messages([topic])]
            np.testing.assert_array_equal(got, [getattr(frame, field) for frame in expected])


def test_stamps_are_equal_on_all_topics_and_evenly_spaced(bag: Path) -> None:
    stamps = {
        topic: [cdr_stamp_ns(record.data) for record in records(bag, topic)]
        for topic in (IMAGE_TOPIC, CAMERA_INFO_TOPIC, TRUTH_MASK_TOPIC, TRUTH_DEPTH_TOPIC)
    }
    assert len({tuple(each) for each in stamps.values()}) == 1
    assert np.diff(stamps[IMAGE_TOPIC]).tolist() == [200_000_000] * (FRAMES - 1)


def test_the_camera_is_found_and_not_its_truth(bag: Path) -> None:
    with BagReader(bag) as reader:
        camera = Camera.find(reader)
    assert camera.colour.name == IMAGE_TOPIC
    assert camera.info
    assert camera.info.name == CAMERA_INFO_TOPIC
    assert camera.depth is None


def test_the_same_seed_gives_the_same_messages(bag: Path, tmp_path: Path) -> None:
    write_room_bag(tmp_path / "again", SEED, FRAMES, HZ, CAMERA)
    assert records(tmp_path / "again") == records(bag)


def test_a_rendering_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(steps: Iterable[Any]) -> Iterator[Any]:
        yield next(iter(steps))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_room_bag(tmp_path / "bag", SEED, FRAMES, HZ, CAMERA, progress=interrupted)
    assert list(tmp_path.iterdir()) == []
