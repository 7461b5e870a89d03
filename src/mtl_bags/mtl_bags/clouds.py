"""`sensor_msgs/PointCloud2` to coordinates, of rclpy or of `rosbags`, whatever its layout."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from mtl_core.errors import CloudError

_FLOATS = {7: "f4", 8: "f8"}
"""Numpy's names for the `PointField` datatypes that coordinates have."""

_UINT8 = 2
"""The `PointField` datatype that labels have."""

LABEL = "label"
"""Field of the class id."""

_NO_POINTS = np.dtype([(axis, "<f4") for axis in "xyz"])

_JITTER = 40503
"""Times 2 ** -16, the golden ratio's fraction, whose multiples leave no gap."""


def to_points(message: Any, most: int | None = None) -> npt.NDArray[np.float32]:
    """Return the coordinates in a cloud: the first of what `to_labelled_points` returns."""
    return to_labelled_points(message, most)[0]


def to_labelled_points(
    message: Any, most: int | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8] | None]:
    """Return the coordinates in a cloud, and what each point is.

    Args:
        message: Its x, y and z are float32 or float64 fields, in any order among others; its label,
            where it has one, is a uint8 field.
        most: Look at no more points than so many, spread over the cloud; None takes all.

    Returns:
        (N, 3) float32, metres in the message's frame, without points that are not finite; (N,)
        uint8 class ids, None where the cloud has none.

    Raises:
        CloudError: There are no such fields, or the data do not hold the cloud.
    """
    cloud = organised(message)
    places = np.divmod(_spread(cloud.size, most), max(message.width, 1))
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float32 is as far as infinity
        x, y, z = (cloud[axis][places].astype(np.float32) for axis in "xyz")
    known = np.isfinite(x) & np.isfinite(y) & np.isfinite(z)
    labels = cloud[LABEL][places][known] if LABEL in (cloud.dtype.names or ()) else None
    return np.stack([x[known], y[known], z[known]], axis=-1), labels


def organised(message: Any) -> npt.NDArray[Any]:
    """Return a cloud as it lies in the message's own memory.

    Args:
        message: As in `to_points`.

    Returns:
        (height, width) records of x, y and z, finite or not.

    Raises:
        CloudError: As `to_points`.
    """
    row = message.width * message.point_step
    step = max(message.row_step, row) if message.height == 1 else message.row_step
    needed = (message.height - 1) * step + row if message.height else 0
    if step < row or len(message.data) < needed:
        raise CloudError(
            f"{message.width}x{message.height} cloud of {message.point_step} bytes a point: "
            f"row_step is {message.row_step}, data is {len(message.data)} bytes, "
            f"expected at least {row} and {needed}"
        )
    if not (message.height and message.width):
        return np.empty((0, 0), _NO_POINTS)
    kind, data = _record(message), np.frombuffer(message.data, np.uint8)
    shape, strides = (message.height, message.width), (step, message.point_step)
    view: npt.NDArray[Any] = np.ndarray(shape, kind, buffer=data, strides=strides)
    return view


def _record(message: Any) -> np.dtype[Any]:
    """The layout of a point, as far as its coordinates go."""
    order = ">" if message.is_bigendian else "<"
    fields = {field.name: field for field in message.fields}
    formats = [
        order + _FLOATS[fields[axis].datatype]
        for axis in "xyz"
        if axis in fields and fields[axis].datatype in _FLOATS
    ]
    if len(formats) < 3:
        got = ", ".join(f"{name} (datatype {field.datatype})" for name, field in fields.items())
        raise CloudError(
            f"cloud: fields x, y and z of datatype 7 (FLOAT32) or 8 (FLOAT64) expected, "
            f"got {got or 'none'}"
        )
    layout = dict(zip("xyz", formats, strict=True))
    if LABEL in fields and fields[LABEL].datatype == _UINT8:
        layout[LABEL] = "u1"
    offsets = [fields[name].offset for name in layout]
    ends = [
        at + np.dtype(number).itemsize for at, number in zip(offsets, layout.values(), strict=True)
    ]
    if max(ends) > message.point_step:
        raise CloudError(
            f"cloud: {', '.join(layout)} end at byte {max(ends)}, beyond point_step "
            f"{message.point_step}"
        )
    return np.dtype(
        {
            "names": list(layout),
            "formats": list(layout.values()),
            "offsets": offsets,
            "itemsize": message.point_step,
        }
    )


def _spread(count: int, most: int | None) -> npt.NDArray[np.intp]:
    """Places of at most so many, and at least half of them, of a number of points.

    One of each stretch, jittered: at equal distances, a scanner's points could all be of one ring.
    """
    stretch = max(1, math.ceil(count / most)) if most else 1
    number = np.arange(count // stretch)
    return number * stretch + ((number * _JITTER & 0xFFFF) * stretch >> 16)
