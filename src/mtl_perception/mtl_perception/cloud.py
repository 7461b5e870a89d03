"""Organised point clouds: one point for each pixel, with its colour, label and confidence."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from mtl_core.geometry import Intrinsics, coordinates
from mtl_perception.conversion import room

POINT_BYTES = 20
"""Of a point in memory: five words of four bytes. The fourth one, the field `rgb`, is blue, green,
red and a zero; the last one label, confidence and two zeros."""

FIELDS = [
    PointField(name=name, offset=offset, datatype=kind, count=1)
    for name, offset, kind in (
        ("x", 0, PointField.FLOAT32),
        ("y", 4, PointField.FLOAT32),
        ("z", 8, PointField.FLOAT32),
        ("rgb", 12, PointField.FLOAT32),  # as PCL and RViz read it: the bytes, not the number
        ("label", 16, PointField.UINT8),
        ("confidence", 17, PointField.UINT8),
    )
]


def cloud(
    header: Header,
    depth: npt.NDArray[np.float32],
    camera: Intrinsics,
    bgr: npt.NDArray[np.uint8],
    mask: npt.NDArray[np.uint8],
    confidence: npt.NDArray[np.uint8],
) -> PointCloud2:
    """Return an organised cloud, in metres in the optical frame.

    Args:
        header: Shared with the message, not copied.
        depth: (H, W) float32, metres along Z, NaN = unknown.
        camera: That these are of.
        bgr: (H, W, 3) uint8.
        mask: (H, W) uint8 class ids, 255 = none.
        confidence: (H, W) uint8, 255 = certain.
    """
    height, width = mask.shape
    zero = np.zeros_like(mask)
    colour = cv2.cvtColor(bgr, cv2.COLOR_BGR2BGRA)
    colour[..., 3] = 0
    words = (
        *coordinates(depth, camera),
        _words(colour),
        _words(cv2.merge((mask, confidence, zero, zero))),
    )
    message = PointCloud2(
        header=header,
        height=height,
        width=width,
        fields=FIELDS,
        is_bigendian=False,
        point_step=POINT_BYTES,
        row_step=POINT_BYTES * width,
        is_dense=not np.isnan(depth.min()),
    )
    points = room(message.data, (height, width, len(words)), np.float32)
    cv2.merge(words, dst=points)  # a twentieth of the time of structured arrays
    return message


def _words(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Four bytes of each pixel (H, W, 4) as one word."""
    return pixels.view(np.float32)[..., 0]
