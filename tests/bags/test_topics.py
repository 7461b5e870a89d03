"""Which of a recording's topics are a camera's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mtl_bags.compose import Stamped, cdr_stamp_ns, image, serialize, stamp_ns
from mtl_bags.errors import BagError
from mtl_bags.reader import BagReader
from mtl_bags.records import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE
from mtl_bags.topics import Camera, find_camera_info_topic, find_colour_topic
from mtl_bags.writer import BagWriter

PICTURE = serialize(image(np.zeros((2, 3), np.uint8), "mono8", Stamped(1, "camera")))


def kind(name: str) -> str:
    if name.endswith("camera_info"):
        return CAMERA_INFO
    return COMPRESSED_IMAGE if name.endswith(("compressed", "compressedDepth")) else IMAGE


def recording(folder: Path, *names: str) -> Path:
    """One message of each; what it holds does not matter here."""
    with BagWriter(folder / "bag") as writer:
        for name in names:
            writer.write(name, kind(name), 1, PICTURE)
    return folder / "bag"


COLOUR = {
    "/camera/color/image_raw": ["/camera/depth/image_rect_raw", "/camera/infra1/image_rect_raw"],
    "/camera/rgb/image_raw": ["/camera/depth/image_raw", "/another/image"],
    "/image": ["/camera/aligned_depth_to_color/image_raw", "/segmentation/mask"],
    "/left/image_raw": ["/left/image_raw/compressed"],
    "/left/image_rect": ["/left/image_raw", "/left/image_raw/compressed"],
    "/cam/color/image_raw/compressed": [
        "/cam/depth/color/image_raw/compressedDepth",
        "/cam/color/truth/segmentation/mask",
        "/cam/color/mtl/segmentation/overlay",
    ],
}


@pytest.mark.parametrize("expected", COLOUR)
def test_the_colour_topic_is_found_among_others(tmp_path: Path, expected: str) -> None:
    with BagReader(recording(tmp_path, *COLOUR[expected], expected)) as reader:
        assert find_colour_topic(reader).name == expected


def test_without_a_colour_topic_the_topics_are_listed(tmp_path: Path) -> None:
    with (
        BagReader(recording(tmp_path, "/cam/depth/image_raw")) as reader,
        pytest.raises(BagError, match=r"no colour images; .* got /cam/depth/image_raw \[sensor"),
    ):
        find_colour_topic(reader)


def test_several_cameras_are_listed_and_not_chosen_from(tmp_path: Path) -> None:
    with (
        BagReader(recording(tmp_path, "/left/image_raw", "/right/image_raw")) as reader,
        pytest.raises(BagError, match=r"several colour topics.*: /left/image_raw, /right"),
    ):
        find_colour_topic(reader)


DEPTH = {
    "/camera/aligned_depth_to_color/image_raw": ["/camera/depth/image_rect_raw"],
    "/camera/depth/image_raw": ["/camera/depth/image_raw/compressedDepth", "/other/depth/image"],
    "/camera/depth/image_raw/compressedDepth": ["/camera/depth/image_raw/compressed"],
    "/camera/aligned_depth_to_color/image_raw/compressedDepth": [
        "/camera/color/truth/depth/image",
        "/camera/color/mtl/depth/image",
        "/camera/depth/camera_info",
    ],
}


@pytest.mark.parametrize("expected", DEPTH)
def test_the_depth_of_the_colour_camera_is_found(tmp_path: Path, expected: str) -> None:
    colour = "/camera/color/image_raw"
    with BagReader(recording(tmp_path, colour, *DEPTH[expected], expected)) as reader:
        found = Camera.find(reader).depth
        assert found is not None
        assert found.name == expected
        assert Camera.find(reader, depth="none").depth is None


def test_several_depths_are_listed_and_not_chosen_from(tmp_path: Path) -> None:
    names = ["/camera/color/image_raw", "/camera/depth_a/depth", "/camera/depth_b/depth"]
    with (
        BagReader(recording(tmp_path, *names)) as reader,
        pytest.raises(BagError, match=r"several depth topics.*: /camera/depth_a/depth, "),
    ):
        Camera.find(reader)


def test_a_camera_without_depth_has_none(tmp_path: Path) -> None:
    with BagReader(recording(tmp_path, "/image", "/truth/depth/image")) as reader:
        assert Camera.find(reader).depth is None


@pytest.mark.parametrize(
    ("named", "said"), [("/imu", "no topic '/imu'"), ("/a/camera_info", "expected images of type")]
)
def test_a_topic_that_is_named_must_have_images(tmp_path: Path, named: str, said: str) -> None:
    with BagReader(recording(tmp_path, "/a/image", "/a/camera_info")) as reader:
        with pytest.raises(BagError, match=said):
            Camera.find(reader, colour=named)
        with pytest.raises(BagError, match=said):
            Camera.find(reader, depth=named)


@pytest.mark.parametrize(
    "image_topic", ["/cam/image_raw", "/cam/image_raw/compressed", "/cam/image_compressed"]
)
def test_a_camera_info_is_found_beside_every_kind_of_image(
    tmp_path: Path, image_topic: str
) -> None:
    with BagReader(recording(tmp_path, image_topic, "/cam/camera_info")) as reader:
        info = find_camera_info_topic(reader, reader.topic(image_topic))
    assert info is not None
    assert info.name == "/cam/camera_info"


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "colour", "info", "depth"),
    [
        (
            "nyu_rgbd_compressed_mcap",
            "/camera/color/image_raw/compressed",
            "/camera/color/camera_info",
            "/camera/aligned_depth_to_color/image_raw/compressedDepth",
        ),
        (
            "redwood_rgbd_raw_sqlite3",
            "/camera/rgb/image_raw",
            "/camera/rgb/camera_info",
            "/camera/depth/image_raw",
        ),
        ("ros2bag_tools_images", "/image", None, None),
    ],
)
def test_real_recordings_show_their_camera(
    mtl_data: Path, name: str, colour: str, info: str | None, depth: str | None
) -> None:
    with BagReader(mtl_data / "bags" / name) as reader:
        camera = Camera.find(reader)
        names = [topic.name if topic else None for topic in vars(camera).values()]
        assert names == [colour, info, depth]
        stamps = [
            (stamp_ns(reader.deserialize(record).header), cdr_stamp_ns(record.data))
            for record in reader.messages([colour])
        ]
    assert len(stamps) == camera.colour.count
    assert all(parsed == raw for parsed, raw in stamps)
