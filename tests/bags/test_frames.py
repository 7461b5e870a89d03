"""Each image of a recorded camera comes with the camera_info that belongs to it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_bags.compose import Stamped, camera_info, cdr_stamp_ns, image, serialize
from mtl_bags.frames import recorded_frames
from mtl_bags.reader import BagReader
from mtl_bags.records import CAMERA_INFO, IMAGE
from mtl_bags.topics import Camera
from mtl_bags.writer import BagWriter
from mtl_core.geometry import Intrinsics

SMALL = Intrinsics(3, 2, 1.0, 1.0, 1.0, 0.5)


def frames(
    images: list[tuple[int, int]], infos: list[tuple[int, int]]
) -> list[tuple[int, int | None]]:
    """Pairs of (image's stamp, its camera_info's stamp), of messages given as (time, stamp)."""
    pixels = np.zeros((2, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        with BagWriter(Path(folder) / "bag") as writer:
            for time, stamp in images:
                message = image(pixels, "mono8", Stamped(stamp, "camera"))
                writer.write("/image", IMAGE, time, serialize(message))
            for time, stamp in infos:
                info = serialize(camera_info(SMALL, Stamped(stamp, "camera")))
                writer.write("/camera_info", CAMERA_INFO, time, info)
        with BagReader(Path(folder) / "bag") as reader:
            camera = Camera.find(reader)
            return [
                (f.stamp_ns, cdr_stamp_ns(f.camera_info.data) if f.camera_info else None)
                for f in recorded_frames(reader, camera)
            ]


def test_an_equal_stamp_decides_whatever_the_order_of_recording() -> None:
    assert frames([(1, 10), (2, 20)], [(3, 20), (4, 10)]) == [(10, 10), (20, 20)]


def test_without_an_equal_stamp_the_last_one_before_is_taken_else_the_first() -> None:
    images = [(1, 100), (3, 300), (5, 500)]
    assert frames(images, [(2, 2), (4, 4)]) == [(100, 2), (300, 2), (500, 4)]


def test_a_camera_without_camera_info_has_frames_without() -> None:
    assert frames([(1, 10)], []) == [(10, None)]


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=5),
)
def test_no_image_is_lost_and_each_has_a_camera_info(
    images: list[tuple[int, int]], infos: list[tuple[int, int]]
) -> None:
    got = frames(images, infos)
    assert sorted(stamp for stamp, _ in got) == sorted(stamp for _, stamp in images)
    assert {info for _, info in got} <= {stamp for _, stamp in infos}
