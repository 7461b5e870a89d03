"""Renders a recording of a synthetic room, with the exact truth beside the camera's topics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mtl_bags.compose import NANOSECONDS, Stamped, camera_info, image, serialize
from mtl_bags.writer import BagWriter
from mtl_core.depth import millimetres
from mtl_core.geometry import Intrinsics
from mtl_core.rooms import Frame, Room

Progress = Callable[[Iterable[Any]], Iterable[Any]]
"""Passes on what it is given, one by one; `tqdm` is one."""

IMAGE_TOPIC = "/camera/color/image_raw"
CAMERA_INFO_TOPIC = "/camera/color/camera_info"
DEPTH_TOPIC = "/camera/aligned_depth_to_color/image_raw"
TRUTH_MASK_TOPIC = "/camera/color/truth/segmentation/mask"
TRUTH_DEPTH_TOPIC = "/camera/color/truth/depth/image"
FRAME_ID = "camera_color_optical_frame"
SENSOR_RANGE_M = (0.3, 6.0)
START_NS = 1_700_000_000 * NANOSECONDS

DEFAULT_INTRINSICS = Intrinsics(640, 480, 525.0, 525.0, 319.5, 239.5)


def write_room_bag(
    path: str | Path,
    seed: int,
    frames: int,
    hz: float,
    intrinsics: Intrinsics = DEFAULT_INTRINSICS,
    *,
    depth_sensor: bool = False,
    overwrite: bool = False,
    progress: Progress = iter,
) -> None:
    """Render a walk through a room into an mcap recording.

    The topics are the colour image (rgb8), its camera_info, and as truth the class ids (mono8, 255
    none) and the depth (32FC1, metres along the optical axis), all with the same stamps. A depth
    sensor adds what it would measure: 16UC1, millimetres, within `SENSOR_RANGE_M`.

    Args:
        path: The rosbag2 folder to make.
        seed: Of the room; the same seed gives the same messages.
        frames: How many, evenly along the camera's path.
        hz: Frames a second, in the stamps.
        intrinsics: The camera.
        depth_sensor: Whether the camera has one.
        overwrite: Replace a recording that stands at `path`.
        progress: Wraps what is rendered one after the other, such as in a progress bar.

    Raises:
        BagError: The recording cannot be written.
    """
    room = Room.generate(seed)
    with BagWriter(path, overwrite=overwrite) as writer:
        for number, pose in enumerate(progress(room.camera_path(frames))):
            header = Stamped(START_NS + round(number * NANOSECONDS / hz), FRAME_ID)
            frame = room.render(pose, intrinsics)
            sensed = _sensed(frame, header) if depth_sensor else ()
            for topic, message in (*_messages(frame, header), *sensed):
                writer.write(topic, message.__msgtype__, header.stamp_ns, serialize(message))


def _sensed(frame: Frame, header: Stamped) -> Iterator[tuple[str, Any]]:
    near, far = SENSOR_RANGE_M
    seen = np.where((frame.depth >= near) & (frame.depth <= far), frame.depth, np.float32(np.nan))
    yield DEPTH_TOPIC, image(millimetres(seen), "16UC1", header)


def _messages(frame: Frame, header: Stamped) -> Iterator[tuple[str, Any]]:
    yield CAMERA_INFO_TOPIC, camera_info(frame.intrinsics, header)
    yield IMAGE_TOPIC, image(frame.image, "rgb8", header)
    yield TRUTH_MASK_TOPIC, image(frame.labels, "mono8", header)
    yield TRUTH_DEPTH_TOPIC, image(frame.depth, "32FC1", header)
