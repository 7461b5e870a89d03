"""Frames that mean something to the tiny student: two halves of one class and depth each."""

from __future__ import annotations

import array
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from tiny_student import CANONICAL_FX, HEIGHT, UNSURE, WIDTH, colour

FRAME_ID = "camera_optical"
LEFT, RIGHT = 3, 9
"""Classes of the two halves."""

NEAR, FAR = 40, 200
"""Green of the two halves."""

MARGIN = 8
"""Columns beside an edge that resampling may touch."""


def rgb(
    width: int = WIDTH, height: int = HEIGHT, left: int = LEFT, right: int = RIGHT
) -> npt.NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB; the right half is unsure."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:, : width // 2] = colour(left, NEAR)
    pixels[:, width // 2 :] = colour(right, FAR, UNSURE)
    return pixels


def image(pixels: npt.NDArray[Any] | None = None, encoding: str = "rgb8", pad: int = 0) -> Image:
    """An Image message whose rows end in `pad` foreign bytes."""
    pixels = rgb() if pixels is None else pixels
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, pad)), constant_values=0xAB)
    message = Image(height=height, width=width, encoding=encoding, step=rows.shape[1])
    message.header.frame_id = FRAME_ID
    message.data = array.array("B", rows.tobytes())
    return message


def compressed(
    pixels: npt.NDArray[np.uint8] | None = None, kind: str = "jpeg", cut: int = 0
) -> CompressedImage:
    """A CompressedImage message without its last `cut` bytes."""
    pixels = rgb() if pixels is None else pixels
    _, data = cv2.imencode(f".{kind}", np.ascontiguousarray(pixels[..., ::-1]))
    message = CompressedImage(format=f"rgb8; {kind} compressed bgr8")
    message.header.frame_id = FRAME_ID
    message.data = array.array("B", data.tobytes()[: len(data) - cut])
    return message


def camera_info(width: int = WIDTH, height: int = HEIGHT, fx: float = CANONICAL_FX) -> CameraInfo:
    """A CameraInfo message of a rectified camera; every field holds something."""
    cx, cy = width / 2 - 0.5, height / 2 - 0.5
    message = CameraInfo(height=height, width=width, distortion_model="plumb_bob", d=[0.0] * 5)
    message.header.frame_id = FRAME_ID
    message.k = [fx, 0.0, cx, 0.0, fx + 1.0, cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [fx, 0.0, cx, 0.0, 0.0, fx + 1.0, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    message.binning_x, message.binning_y = 1, 1
    message.roi.width, message.roi.height = width, height
    return message


def pixels(message: Image) -> npt.NDArray[Any]:
    """The array in a tightly packed Image message."""
    kinds: dict[str, tuple[type, int]] = {
        "mono8": (np.uint8, 1),
        "bgr8": (np.uint8, 3),
        "32FC1": (np.float32, 1),
        "16UC1": (np.uint16, 1),
    }
    kind, channels = kinds[message.encoding]
    assert message.step == message.width * channels * np.dtype(kind).itemsize
    flat = np.frombuffer(message.data, kind)
    shape = (message.height, message.width, channels)[: 3 if channels > 1 else 2]
    return flat.reshape(shape)


def halves(values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The left and the right half of a picture, without the edge between them."""
    middle = values.shape[1] // 2
    return values[:, : middle - MARGIN], values[:, middle + MARGIN :]
