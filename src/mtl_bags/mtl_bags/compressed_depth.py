"""Decodes `compressedDepth`: depth as compressed_depth_image_transport puts it on a topic.

A header of 12 bytes, then a PNG or an RVL stream of 16 bit: millimetres of a 16UC1 image, or the
quantised inverse depth of a 32FC1 image. RVL: A. D. Wilson, "Fast Lossless Depth Image
Compression", ISS 2017.
"""

from __future__ import annotations

import re
import struct
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mtl_core.errors import ImageError
from mtl_core.images import check_whole

Values = npt.NDArray[np.uint16]

_FORMAT = re.compile(
    r"^\s*(?P<encoding>16UC1|32FC1)\s*;\s*compressedDepth\s*(?P<codec>png|rvl)?\s*$"
)
_HEADER = struct.Struct("<iff")
_RVL_SIZE = struct.Struct("<II")
_LONGEST = 11
"""Nibbles of a number of 32 bits."""

_MOST_PIXELS = 1 << 26
"""More is damage: a few bytes may stand for any number of zeros."""


def is_compressed_depth(message: Any) -> bool:
    """Say whether a `sensor_msgs/CompressedImage` says that it is depth."""
    return bool(_FORMAT.match(message.format))


def decode(message: Any) -> npt.NDArray[np.float32]:
    """Return the depth in a `sensor_msgs/CompressedImage`.

    Returns:
        (H, W) float32, metres along the optical axis, NaN = unknown.

    Raises:
        ImageError: The format is another one, or the data are cut or damaged.
    """
    match = _FORMAT.match(message.format)
    if match is None:
        raise ImageError(
            f"format {message.format!r}: expected '16UC1; compressedDepth' or "
            "'32FC1; compressedDepth', with png or rvl after it"
        )
    data = bytes(message.data)
    if len(data) <= _HEADER.size:
        raise ImageError(f"compressedDepth of {len(data)} bytes: expected a header and an image")
    _, scale, offset = _HEADER.unpack_from(data)
    body = data[_HEADER.size :]
    values = _from_rvl(body) if match["codec"] == "rvl" else _from_png(body)
    known = values > 0
    metres = np.full(values.shape, np.nan, np.float32)
    if match["encoding"] == "16UC1":
        metres[known] = values[known] / np.float32(1000)
    else:
        metres[known] = scale / (values[known] - np.float32(offset))
    return metres


def _from_png(body: bytes) -> Values:
    if check_whole(body) != "PNG":
        raise ImageError(f"compressedDepth: expected a PNG, got {body[:8].hex(' ')}")
    try:
        values = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as err:
        raise ImageError(f"compressedDepth: damaged PNG of {len(body)} bytes: {err}") from err
    if values is None or values.dtype != np.uint16 or values.ndim != 2:
        got = "none that decodes" if values is None else f"{values.shape} {values.dtype}"
        raise ImageError(f"compressedDepth: expected a PNG of one 16-bit channel, got {got}")
    return values  # type: ignore[return-value]


def _from_rvl(body: bytes) -> Values:
    """Runs of zeros and of other values in turn; the latter as differences from one to the next."""
    if len(body) < _RVL_SIZE.size:
        raise ImageError(f"compressedDepth: RVL of {len(body)} bytes without a size")
    columns, rows = _RVL_SIZE.unpack_from(body)
    if not 0 < rows * columns <= _MOST_PIXELS:
        raise ImageError(f"compressedDepth: RVL of {columns}x{rows} pixels")
    numbers = _numbers(body[_RVL_SIZE.size :])
    values = np.zeros(rows * columns, np.uint16)
    pixel = at = previous = 0
    while pixel < len(values):
        if at + 2 > len(numbers):
            raise _cut(body, columns, rows)
        zeros, others = int(numbers[at]), int(numbers[at + 1])
        at, pixel = at + 2, pixel + zeros
        if at + others > len(numbers) or pixel + others > len(values) or not zeros + others:
            raise _cut(body, columns, rows)
        zigzag = numbers[at : at + others]
        run = previous + np.cumsum((zigzag >> 1) ^ -(zigzag & 1))
        values[pixel : pixel + others] = run & 0xFFFF
        previous = int(run[-1]) if others else previous
        at, pixel = at + others, pixel + others
    return values.reshape(rows, columns)


def _numbers(stream: bytes) -> npt.NDArray[np.int64]:
    """The whole numbers: 3 bits to a nibble, the least first; the 4th bit says "more follow"."""
    words = np.frombuffer(stream[: len(stream) // 4 * 4], "<u4")
    shifts = np.arange(28, -4, -4, dtype=np.uint32)
    nibbles = ((words[:, None] >> shifts) & 0xF).astype(np.int64).reshape(-1)
    ends = np.flatnonzero(nibbles < 8)
    if not len(ends):
        return np.zeros(0, np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _LONGEST:
        raise ImageError("compressedDepth: RVL with a number that no 32 bits hold")
    place = np.arange(ends[-1] + 1) - np.repeat(starts, lengths)
    parts = (nibbles[: ends[-1] + 1] & 7) << (3 * place)
    sums: npt.NDArray[np.int64] = np.add.reduceat(parts, starts)
    return sums


def _cut(body: bytes, columns: int, rows: int) -> ImageError:
    return ImageError(
        f"compressedDepth: RVL of {len(body)} bytes does not hold {columns}x{rows} pixels"
    )
