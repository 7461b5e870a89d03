"""A colour image as a camera gave it, without a copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from mtl_core.errors import ImageError

Order = Literal["rgb", "bgr", "mono"]
_SHAPES: dict[str, str] = {"rgb": "(H, W, 3)", "bgr": "(H, W, 3)", "mono": "(H, W)"}


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
