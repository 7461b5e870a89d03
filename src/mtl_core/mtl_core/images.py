"""A colour image as a camera gave it, without a copy; whether a JPEG or PNG is all there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from mtl_core.errors import ImageError

Order = Literal["rgb", "bgr", "mono"]
_SHAPES: dict[str, str] = {"rgb": "(H, W, 3)", "bgr": "(H, W, 3)", "mono": "(H, W)"}

_JPEG_START = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_JPEG_SCAN = b"\xda"
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


@dataclass(frozen=True)
class ColourImage:
    """Pixels and the order of their channels.

    Attributes:
        pixels: (H, W, 3) uint8, or (H, W) uint8 for mono; may be a view with padded rows.
        order: What the channels are.

    Raises:
        ImageError: The array's shape or type does not fit the order, or it is empty.
    """

    pixels: npt.NDArray[np.uint8]
    order: Order

    def __post_init__(self) -> None:
        """Refuse an array that is not such an image."""
        if self.order not in _SHAPES:
            raise ImageError(f"order must be one of {', '.join(_SHAPES)}, got {self.order!r}")
        fits = self.pixels.ndim == 2 if self.order == "mono" else self.pixels.shape[2:] == (3,)
        if not fits or self.pixels.dtype != np.uint8 or self.pixels.size == 0:
            raise ImageError(
                f"expected {_SHAPES[self.order]} uint8 with at least one pixel for order "
                f"{self.order}, got {self.pixels.shape} {self.pixels.dtype}"
            )

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    def bgr(self) -> npt.NDArray[np.uint8]:
        """The image as (H, W, 3) uint8 BGR, contiguous; a copy unless it was that already."""
        if self.order == "bgr":
            return np.ascontiguousarray(self.pixels)
        code = cv2.COLOR_RGB2BGR if self.order == "rgb" else cv2.COLOR_GRAY2BGR
        converted: npt.NDArray[np.uint8] = cv2.cvtColor(self.pixels, code)  # type: ignore[assignment]
        return converted


def resized(pixels: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Bring an image to the size that a network sees; training and robot do it alike.

    Bilinear; where the image has twice the pixels and more in both directions, of means over blocks
    of whole numbers of them. Between, every other pixel counts less than its share: INTER_AREA is
    smoother there, and takes eight times as long from 640x480 to 384x288.

    Args:
        pixels: (H, W) or (H, W, C).
        size: Columns and rows.
    """
    blocks = min(pixels.shape[1] // size[0], pixels.shape[0] // size[1])
    if blocks > 1:
        fewer = (pixels.shape[1] // blocks, pixels.shape[0] // blocks)
        pixels = cv2.resize(pixels, fewer, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def check_whole(data: bytes) -> str:
    """What kind of file these bytes are: "JPEG", "PNG", or "" for any other, which is not judged.

    OpenCV fills with grey what a cut file lacks, and says nothing.

    Raises:
        ImageError: The end of a JPEG or PNG is missing.
    """
    for start, (kind, is_whole) in _KINDS.items():
        if data.startswith(start):
            if not is_whole(data):
                raise ImageError(
                    f"truncated {kind}: {len(data)} bytes without the end of the image"
                )
            return kind
    return ""


def _jpeg_is_whole(data: bytes) -> bool:
    """Follow the segments, any of which may hold a thumbnail, to the scan, and look for its end.

    Within a scan its two bytes stand together nowhere else.
    """
    position = len(_JPEG_START) - 1
    while match := _JPEG_MARKER.search(data, position):
        if data.startswith(_JPEG_END, match.end() - 2):
            return True
        position = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")
        if match[1] == _JPEG_SCAN:
            return data.find(_JPEG_END, position) >= 0
    return False


def _png_is_whole(data: bytes) -> bool:
    return _PNG_END in data


_KINDS: Mapping[bytes, tuple[str, Callable[[bytes], bool]]] = {
    _JPEG_START: ("JPEG", _jpeg_is_whole),
    _PNG_START: ("PNG", _png_is_whole),
}
