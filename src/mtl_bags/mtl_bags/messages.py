"""Image messages to arrays, for rclpy's messages and for those of `rosbags` alike.

`sensor_msgs/Image` in rgb8, bgr8 and mono8 becomes a view of the message's own memory. Everything
that a camera driver can get wrong is refused with what was got and what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from rosbags.image import message_to_cvimage

from mtl_bags import compressed_depth
from mtl_core.errors import ImageError
from mtl_core.images import ColourImage, Order, check_whole

Pixels = npt.NDArray[np.uint8]
Convert = Callable[[Any], Pixels]
"""A raw image message to (H, W, 3) uint8 BGR."""


class _Layout(NamedTuple):
    """How an encoding lies in memory."""

    pixel_bytes: int
    rows: Fraction = Fraction(1)  # rows in the buffer for a row of the image; planar YUV has more


_VIEWS: dict[str, Order] = {
    "rgb8": "rgb",
    "bgr8": "bgr",
    "mono8": "mono",
    "8UC3": "bgr",
    "8UC1": "mono",
}

_LAYOUTS: dict[str, _Layout] = {
    **{name: _Layout(1 if order == "mono" else 3) for name, order in _VIEWS.items()},
    **dict.fromkeys(("rgba8", "bgra8"), _Layout(4)),
    **dict.fromkeys(("rgb16", "bgr16"), _Layout(6)),
    **dict.fromkeys(("rgba16", "bgra16"), _Layout(8)),
    "mono16": _Layout(2),
    **{f"bayer_{order}8": _Layout(1) for order in ("rggb", "bggr", "gbrg", "grbg")},
    **{f"bayer_{order}16": _Layout(2) for order in ("rggb", "bggr", "gbrg", "grbg")},
    **dict.fromkeys(("uyvy", "yuv422", "yuyv", "yuv422_yuy2"), _Layout(2)),
    **dict.fromkeys(("nv12", "nv21"), _Layout(1, Fraction(3, 2))),
}

COLOUR_ENCODINGS = tuple(_LAYOUTS)
"""Encodings of raw colour images that can be read."""

_DEPTHS = {"32FC1": _Layout(4), "16UC1": _Layout(2)}

_DEPTH_FORMAT = re.compile(r"compressedDepth|^\s*(16UC1|32FC1)\b")


def convert_with_rosbags(message: Any) -> Pixels:
    """Convert a raw image of any colour encoding with `rosbags-image`.

    Args:
        message: A `sensor_msgs/Image` whose sizes have been checked.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    layout = _LAYOUTS[message.encoding]
    rows = int(message.height * layout.rows)
    packed = _view(message, (rows, message.width * layout.pixel_bytes), (message.step, 1))
    stand_in = SimpleNamespace(
        encoding=message.encoding,
        height=rows,
        width=message.width,
        is_bigendian=bool(message.is_bigendian),
        data=np.ascontiguousarray(packed),
    )
    image: Pixels = message_to_cvimage(stand_in, "bgr8")  # type: ignore[arg-type,assignment]
    return image


def to_colour_image(message: Any, convert: Convert = convert_with_rosbags) -> ColourImage:
    """Return the picture in a `sensor_msgs/Image` or `sensor_msgs/CompressedImage`.

    rgb8, bgr8 and mono8 share memory with `message.data`, padded rows included; the image must not
    outlive the message where that memory is reused.

    Args:
        message: A message of rclpy or of `rosbags`.
        convert: What turns the other raw encodings into BGR.

    Raises:
        ImageError: The message holds no whole colour image.
    """
    if hasattr(message, "format"):
        return _decode(message)
    _check_raw(message, _LAYOUTS)
    if order := _VIEWS.get(message.encoding):
        return ColourImage(_pixels(message), order)
    return ColourImage(_converted(message, convert), "bgr")


def to_mask(message: Any) -> Pixels:
    """Return the class ids (H, W) uint8 in a mono8 `sensor_msgs/Image`, a view of its memory.

    Raises:
        ImageError: The message holds no whole mono8 image.
    """
    _check_raw(message, {name: _LAYOUTS[name] for name in ("mono8", "8UC1")})
    return _pixels(message)


def thinned(count: int, every: int) -> slice:
    """Return each so many-th of a number of rows or columns, the middle one of its group."""
    return slice(min(count, every) // 2, None, every)


def to_depth(message: Any, every: int = 1) -> npt.NDArray[np.float32]:
    """Return the depth in a 32FC1 or 16UC1 (millimetres, 0 unknown) image, raw or compressedDepth.

    Args:
        message: A message of rclpy or of `rosbags`.
        every: Take each so many-th row and column only, those that `thinned` says. Of a raw image,
            nothing else is touched.

    Returns:
        (H, W) float32, metres along the optical axis, NaN = unknown (REP 118).

    Raises:
        ImageError: The message holds no whole depth image.
    """
    if hasattr(message, "format"):
        return _thin(compressed_depth.decode(message), every)
    _check_raw(message, _DEPTHS)
    order = ">" if message.is_bigendian else "<"
    kind = np.dtype(f"{order}f4" if message.encoding == "32FC1" else f"{order}u2")
    shape, strides = (message.height, message.width), (message.step, kind.itemsize)
    values: npt.NDArray[Any] = np.ndarray(
        shape, kind, buffer=np.frombuffer(message.data, np.uint8), strides=strides
    )
    depth = _thin(values, every).astype(np.float32)
    if message.encoding == "16UC1":
        depth[depth == 0] = np.nan
        depth /= 1000
    return depth


def _thin(image: npt.NDArray[Any], every: int) -> npt.NDArray[Any]:
    rows, columns = image.shape
    return image[thinned(rows, every), thinned(columns, every)]


def depth_of_size(
    depth: npt.NDArray[np.float32], height: int, width: int
) -> npt.NDArray[np.float32]:
    """Depth of the same view at another size: at an edge the one or the other, never their mean."""
    if depth.shape == (height, width):
        return depth
    return cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)  # type: ignore[return-value]


def _check_raw(message: Any, layouts: Mapping[str, _Layout]) -> None:
    layout = layouts.get(message.encoding)
    if layout is None:
        raise ImageError(
            f"encoding {message.encoding!r} cannot be read here; "
            f"expected one of {', '.join(layouts)}"
        )
    size = f"{message.width}x{message.height} {message.encoding}"
    if not len(message.data):
        raise ImageError(f"{size} image without data")
    if message.step < message.width * layout.pixel_bytes:
        raise ImageError(
            f"{size} image: step is {message.step} bytes, "
            f"expected at least {message.width * layout.pixel_bytes}"
        )
    expected = message.step * message.height * layout.rows
    if len(message.data) != expected:
        raise ImageError(
            f"{size} image: data is {len(message.data)} bytes, "
            f"expected {expected} from step {message.step}"
        )


def _pixels(message: Any) -> Pixels:
    channels = _LAYOUTS[message.encoding].pixel_bytes
    if channels == 1:
        return _view(message, (message.height, message.width), (message.step, 1))
    shape = (message.height, message.width, channels)
    return _view(message, shape, (message.step, channels, 1))


def _view(message: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Pixels:
    data = np.frombuffer(message.data, np.uint8)
    view: Pixels = np.ndarray(shape, np.uint8, buffer=data, strides=strides)
    return view


def _converted(message: Any, convert: Convert) -> Pixels:
    try:
        return convert(message)
    except Exception as err:  # cv_bridge and rosbags-image raise whatever lies below them
        size = f"{message.width}x{message.height} {message.encoding}"
        raise ImageError(f"{size} image cannot be converted to bgr8: {err}") from err


def _decode(message: Any) -> ColourImage:
    if _DEPTH_FORMAT.search(message.format):
        raise ImageError(f"format {message.format!r} is depth; expected a colour JPEG or PNG")
    data = bytes(message.data)
    kind = check_whole(data)
    if not kind:
        got = f"{len(data)} bytes starting with {data[:8].hex(' ')}" if data else "no data"
        raise ImageError(f"compressed image {message.format!r}: expected JPEG or PNG, got {got}")
    return ColourImage(_decoded(data, kind), "bgr")


def _decoded(data: bytes, name: str) -> Pixels:
    # A picture turned by its EXIF tag would no longer fit the camera's intrinsics.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as err:
        raise ImageError(f"damaged {name} of {len(data)} bytes: {err}") from err
    if pixels is None:
        raise ImageError(f"damaged {name}: {len(data)} bytes that do not decode")
    return pixels  # type: ignore[return-value]
