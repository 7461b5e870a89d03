"""What tells the scale on line: messages to few measured depths, whatever their size."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mtl_bags.clouds import to_points
from mtl_bags.compose import Stamped, stamp_ns
from mtl_bags.messages import thinned, to_depth
from mtl_core.errors import ScaleError
from mtl_core.geometry import Intrinsics
from mtl_core.scale import Samples

MOST_SAMPLES = 4096
"""Pixels of a depth image that are looked at."""

MOST_POINTS = 8192
"""Points of a cloud that are looked at: more, since a camera sees a small part of a scan."""

_SPARSE = 400
"""While fewer of the pixels looked at are known, four times as many are looked at."""


def place_of(header: Any) -> Stamped:
    """Return when and where something was measured or seen.

    Args:
        header: A `std_msgs/Header` of rclpy or of `rosbags`.

    Raises:
        ScaleError: "stamp": it has none, so that nobody knows what it belongs to.
    """
    if (stamp := stamp_ns(header)) <= 0:
        raise ScaleError("stamp", f"stamp is {stamp} ns, expected a time")
    return Stamped(stamp, header.frame_id.lstrip("/"))


class Measurement(Protocol):
    """Depth that a sensor measured."""

    @property
    def place(self) -> Stamped:
        """When, and in which frame."""

    def samples(self, size: tuple[int, int], camera: Intrinsics | None) -> Samples:
        """Return what it says of an image of the same camera.

        Args:
            size: Columns and rows of the image.
            camera: Its intrinsics; None = not known.

        Raises:
            ScaleError: It cannot be brought into the image.
        """


@dataclass(frozen=True)
class DepthMeasurement:
    """Pixels of a depth image that is registered to the colour image.

    Attributes:
        place: See `Measurement`.
        size: Columns and rows of the depth image.
        known: The pixels.
    """

    place: Stamped
    size: tuple[int, int]
    known: Samples

    def samples(self, size: tuple[int, int], camera: Intrinsics | None) -> Samples:
        """See `Measurement.samples`; the aspect may differ by the rounding of a row or column."""
        (width, height), (columns, rows) = size, self.size
        if abs(rows * width - columns * height) > max(width, columns):
            raise ScaleError(
                "size",
                f"depth image of {columns}x{rows}, expected the aspect of the {width}x{height} "
                "image that it is registered to",
            )
        return self.known


@dataclass(frozen=True)
class CloudMeasurement:
    """Points in the camera's optical frame.

    Attributes:
        place: See `Measurement`.
        points: (N, 3) float32, metres.
    """

    place: Stamped
    points: npt.NDArray[np.float32]

    def samples(self, size: tuple[int, int], camera: Intrinsics | None) -> Samples:
        """See `Measurement.samples`."""
        if camera is None:
            raise ScaleError("camera", "no camera_info of the image, which points need")
        return Samples.of_points(self.points, camera)


def read_depth(message: Any) -> DepthMeasurement:
    """Read a `sensor_msgs/Image` of depth, as much of it as is needed.

    Raises:
        ImageError: It is no whole 32FC1 or 16UC1 image.
        ScaleError: "stamp": it has none.
    """
    place = place_of(message.header)
    every = math.ceil(math.sqrt(message.width * message.height / MOST_SAMPLES)) or 1
    depth = to_depth(message, every)
    while every > 1 and np.count_nonzero(depth > 0) < _SPARSE:
        every //= 2
        depth = to_depth(message, every)
    known = np.flatnonzero(depth > 0)  # NaN is not
    known = known[:: max(1, math.ceil(len(known) / MOST_SAMPLES))]
    rows, columns = np.divmod(known, max(depth.shape[1], 1))
    samples = Samples(
        _centres(message.width, every)[columns],
        _centres(message.height, every)[rows],
        depth[rows, columns].astype(np.float64),
    )
    return DepthMeasurement(place, (message.width, message.height), samples)


def read_points(message: Any) -> CloudMeasurement:
    """Read a `sensor_msgs/PointCloud2`, as much of it as is needed.

    Raises:
        CloudError: It has no coordinates, or is damaged.
        ScaleError: "stamp": it has none.
    """
    return CloudMeasurement(place_of(message.header), to_points(message, MOST_POINTS))


READERS: dict[str, Callable[[Any], Measurement]] = {"depth": read_depth, "points": read_points}
"""How to read the messages of each kind of source."""


def _centres(count: int, every: int) -> npt.NDArray[np.float64]:
    """Where the pixels that `to_depth` takes lie between an image's borders, from 0 to 1."""
    centres: npt.NDArray[np.float64] = (np.arange(count)[thinned(count, every)] + 0.5) / count
    return centres
