"""Images in and out of messages: unusual encodings to BGR, arrays to the bytes that rclpy takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
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


def fill(data: Any, pixels: npt.NDArray[Any]) -> None:
    """Write a contiguous array into the empty `data` of a message.

    It is a copy less than setting it: rclpy keeps an `array.array` of its own.
    """
    data.frombytes(pixels.data.cast("B"))


def room(data: Any, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return the memory of a message's empty `data` as an array to be written to."""
    data.append(0)
    data *= math.prod(shape) * np.dtype(dtype).itemsize  # one pass, where `frombytes` takes two
    return np.frombuffer(data, dtype).reshape(shape)
