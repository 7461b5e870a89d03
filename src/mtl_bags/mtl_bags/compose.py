"""Arrays to ROS messages and their CDR bytes, without ROS."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mtl_bags.records import CAMERA_INFO, CLOCK, IMAGE
from mtl_bags.types import LABEL_INFO, project_types
from mtl_core.geometry import Intrinsics
from mtl_core.labels import LabelMap

NANOSECONDS = 1_000_000_000

_STORE = project_types()
_TYPES = _STORE.types


@dataclass(frozen=True)
class Stamped:
    """What stands in a `std_msgs/Header`: time in nanoseconds, and the frame."""

    stamp_ns: int
    frame_id: str

    def __post_init__(self) -> None:
        """Refuse times that a ROS message cannot hold."""
        if not 0 <= self.stamp_ns < 2**31 * NANOSECONDS:
            raise ValueError(f"stamp_ns must be in [0, 2**31 s), got {self.stamp_ns}")


def image(pixels: npt.NDArray[Any], encoding: str, header: Stamped) -> Any:
    """Return a `sensor_msgs/Image` with tightly packed rows.

    Args:
        pixels: (H, W) or (H, W, C), of the type that the encoding names.
        encoding: Such as `rgb8` or `32FC1`; not checked against the array.
        header: Time and frame.
    """
    packed = np.ascontiguousarray(pixels)
    height, width = packed.shape[:2]
    return _TYPES[IMAGE](
        header=_header(header),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(sys.byteorder == "big"),
        step=packed.nbytes // height,
        data=packed.reshape(-1).view(np.uint8),
    )


def camera_info(intrinsics: Intrinsics, header: Stamped) -> Any:
    """Return the `sensor_msgs/CameraInfo` of a rectified camera."""
    fx, fy, cx, cy = intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy
    region = _TYPES["sensor_msgs/msg/RegionOfInterest"]
    return _TYPES[CAMERA_INFO](
        header=_header(header),
        height=intrinsics.height,
        width=intrinsics.width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.array([fx, 0, cx, 0, fy, cy, 0, 0, 1], np.float64),
        r=np.eye(3).reshape(-1),
        p=np.array([fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0], np.float64),
        binning_x=0,
        binning_y=0,
        roi=region(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
    )


def label_info(label_map: LabelMap, header: Stamped, threshold: float = 0.0) -> Any:
    """Return the `vision_msgs/LabelInfo` of masks of a label map.

    Args:
        label_map: What their ids mean.
        header: Time and frame.
        threshold: Least confidence (0..1) of what they label.
    """
    vision_class = _TYPES["vision_msgs/msg/VisionClass"]
    return _TYPES[LABEL_INFO](
        header=_header(header),
        class_map=[vision_class(number, name) for number, name in enumerate(label_map.classes)],
        threshold=threshold,
    )


def clock(time_ns: int) -> Any:
    """Return the `rosgraph_msgs/Clock` of a time."""
    seconds, rest = divmod(time_ns, NANOSECONDS)
    return _TYPES[CLOCK](clock=_TYPES["builtin_interfaces/msg/Time"](sec=seconds, nanosec=rest))


def serialize(message: Any) -> bytes:
    """Return the CDR bytes of a message of `rosbags`."""
    return bytes(_STORE.serialize_cdr(message, message.__msgtype__))


def stamp_ns(header: Any) -> int:
    """Return the time in a `std_msgs/Header`, of rclpy or of `rosbags`, in nanoseconds."""
    return int(header.stamp.sec) * NANOSECONDS + int(header.stamp.nanosec)


def cdr_header(data: bytes) -> Stamped:
    """Return the header that a message begins with, from its CDR bytes.

    Raises:
        ValueError: The bytes are too few, or the time is none.
    """
    order: Literal["little", "big"] = "little" if len(data) > 1 and data[1] & 1 else "big"
    length = int.from_bytes(data[12:16], order)
    if not 0 < length <= len(data) - 16:
        raise ValueError(f"{len(data)} bytes do not begin with a header")
    return Stamped(cdr_stamp_ns(data), data[16 : 16 + length - 1].decode())


def cdr_stamp_ns(data: bytes) -> int:
    """Return the time in the header that a message begins with, from its CDR bytes."""
    order = "little" if data[1] & 1 else "big"
    seconds = int.from_bytes(data[4:8], order, signed=True)  # type: ignore[arg-type]
    return seconds * NANOSECONDS + int.from_bytes(data[8:12], order)  # type: ignore[arg-type]


def _header(header: Stamped) -> Any:
    seconds, rest = divmod(header.stamp_ns, NANOSECONDS)
    time = _TYPES["builtin_interfaces/msg/Time"](sec=seconds, nanosec=rest)
    return _TYPES["std_msgs/msg/Header"](stamp=time, frame_id=header.frame_id)
