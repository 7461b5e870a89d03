"""`sensor_msgs/PointCloud2` in any layout, of `rosbags`' types."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mtl_bags.types import project_types

DATATYPES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}

_TYPES = project_types().types


def cloud(
    points: npt.NDArray[Any],
    fields: tuple[tuple[str, str], ...] = (("x", "f4"), ("y", "f4"), ("z", "f4")),
    big: bool = False,
    gap: int = 0,
    pad: int = 0,
    stamp_ns: int = 1,
    frame_id: str = "camera",
) -> Any:
    """A cloud of points.

    Args:
        points: (N, 3) or, organised, (H, W, 3); metres.
        fields: Name and numpy's type of each, one after the other.
        big: Big-endian.
        gap: Foreign bytes after each field.
        pad: Foreign bytes after each row.
        stamp_ns: Of the header.
        frame_id: Of the header.
    """
    grid = points if points.ndim == 3 else points[None]
    height, width = grid.shape[:2]
    sizes = [np.dtype(kind).itemsize + gap for _, kind in fields]
    offsets = np.cumsum([0, *sizes])
    order = ">" if big else "<"
    kind = np.dtype(
        {
            "names": [name for name, _ in fields],
            "formats": [order + kind for _, kind in fields],
            "offsets": list(offsets[:-1]),
            "itemsize": int(offsets[-1]),
        }
    )
    rows = np.frombuffer(b"\xff" * (height * width * kind.itemsize), kind).copy()
    rows = rows.reshape(height, width)
    for axis, name in enumerate("xyz"):
        if name in rows.dtype.names:
            rows[name] = grid[..., axis]
    row_bytes = width * kind.itemsize
    data = rows.reshape(-1).view(np.uint8).reshape(height, row_bytes)
    data = np.pad(data, ((0, 0), (0, pad)), constant_values=0xAB)
    seconds, rest = divmod(stamp_ns, 10**9)
    return _TYPES["sensor_msgs/msg/PointCloud2"](
        header=_TYPES["std_msgs/msg/Header"](
            stamp=_TYPES["builtin_interfaces/msg/Time"](sec=seconds, nanosec=rest),
            frame_id=frame_id,
        ),
        height=height,
        width=width,
        fields=[
            _TYPES["sensor_msgs/msg/PointField"](
                name=name, offset=int(offset), datatype=DATATYPES[kind], count=1
            )
            for (name, kind), offset in zip(fields, offsets, strict=False)
        ],
        is_bigendian=big,
        point_step=kind.itemsize,
        row_step=row_bytes + pad,
        data=data.reshape(-1),
        is_dense=False,
    )
