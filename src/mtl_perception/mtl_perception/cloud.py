"""Organised point clouds: one point for each pixel, with its colour, label and confidence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from mtl_perception.conversion import message_bytes

POINT = np.dtype(
    {
        "names": ["x", "y", "z", "bgr", "label", "confidence"],
        "formats": ["<f4", "<f4", "<f4", ("u1", 3), "u1", "u1"],
        "offsets": [0, 4, 8, 12, 16, 17],
        "itemsize": 20,
    }
)
"""A point in memory. Blue, green, red and a zero are the four bytes of the field `rgb`."""

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
    points: npt.NDArray[np.float32],
    bgr: npt.NDArray[np.uint8],
    mask: npt.NDArray[np.uint8],
    confidence: npt.NDArray[np.uint8],
) -> PointCloud2:
    """Return an organised cloud.

    Args:
        header: Shared with the message, not copied.
        points: (H, W, 3) float32, metres in the optical frame, NaN = unknown.
        bgr: (H, W, 3) uint8.
        mask: (H, W) uint8 class ids, 255 = none.
        confidence: (H, W) uint8, 255 = certain.
    """
    height, width = mask.shape
    packed = np.zeros((height, width), POINT)
    for axis, name in enumerate("xyz"):
        packed[name] = points[..., axis]
    packed["bgr"], packed["label"], packed["confidence"] = bgr, mask, confidence
    return PointCloud2(
        header=header,
        height=height,
        width=width,
        fields=FIELDS,
        is_bigendian=False,
        point_step=POINT.itemsize,
        row_step=POINT.itemsize * width,
        data=message_bytes(packed),
        is_dense=not np.isnan(points).any(),
    )
