"""Images in and out of messages: unusual encodings to BGR, arrays to the bytes that rclpy takes."""

from __future__ import annotations

import array
from typing import Any

import numpy.typing as npt

from mtl_bags.messages import Convert, Pixels, convert_with_rosbags


def converter() -> Convert:
    """Return cv_bridge's conversion where cv_bridge works, else that of `rosbags-image`."""
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except (ImportError, AttributeError):  # the latter: compiled for another NumPy
        return convert_with_rosbags
    bridge = CvBridge()

    def convert(message: Any) -> Pixels:
        try:
            image: Pixels = bridge.imgmsg_to_cv2(message, "bgr8")
        except CvBridgeError:  # it does not know the planar encodings
            return convert_with_rosbags(message)
        return image

    return convert


def message_bytes(pixels: npt.NDArray[Any]) -> array.array[int]:
    """Return a contiguous array's bytes as messages hold them.

    Of all types, `array.array` is the only one that rclpy takes without looking at each byte.
    """
    data = array.array("B")
    data.frombytes(pixels.data.cast("B"))
    return data
