"""What a camera_info message, of rclpy or of `rosbags`, says of the image beside it."""

from __future__ import annotations

import copy
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mtl_core.errors import GeometryError
from mtl_core.geometry import Intrinsics
from mtl_core.images import ColourImage


class View(NamedTuple):
    """What is known of the camera that took an image.

    Attributes:
        info: Its camera_info; None where none of the image's size is known.
        fx: Focal length in pixels of the image's width; None leaves it to the model.
        fault: Why fx may be wrong; empty where camera_info gave it.
    """

    info: Any | None
    fx: float | None
    fault: str


def view(
    info: Any | None, image: ColourImage, fallback_fx: float = 0.0, rectified: bool = True
) -> View:
    """Judge the newest camera_info by an image.

    Args:
        info: The newest one; None if none came.
        image: An image of the same camera.
        fallback_fx: Focal length to assume where camera_info gives none; 0 for the model's own.
        rectified: The image is, whatever camera_info says of distortion; if it may not be, a
            distortion is a fault, and without a fallback the focal length of K holds.
    """
    fault = _size_fault(info, image)
    if info is None or fault:
        return View(None, fallback_fx or None, fault)
    if fault := _fx_fault(info):
        return View(info, fallback_fx or None, fault)
    if not rectified and (fault := _distortion_fault(info)):
        raw = float(info.k[0])
        known = raw if math.isfinite(raw) and raw > 0 else focal_length(info)
        return View(info, fallback_fx or known, fault)
    return View(info, focal_length(info), "")


def focal_length(info: Any | None) -> float:
    """Return fx of rectified images in pixels: of P, or of K where a driver left P empty."""
    return math.nan if info is None else float(info.p[0] or info.k[0])


def intrinsics(info: Any, image: ColourImage) -> Intrinsics | None:
    """Return the rectified camera that a camera_info of the image's size speaks of, else None."""
    if _size_fault(info, image) or _fx_fault(info):
        return None
    fx, fy, cx, cy = (
        (info.p[0], info.p[5], info.p[2], info.p[6])
        if info.p[0]
        else (info.k[0], info.k[4], info.k[2], info.k[5])
    )
    try:
        return Intrinsics(image.width, image.height, *map(float, (fx, fy, cx, cy)))
    except GeometryError:
        return None


def resized(info: Any, width: int, height: int) -> Any:
    """Return what a camera_info says of the same image at another size.

    Pixel centres lie at whole numbers, so that a principal point moves to ``(c + 0.5) s - 0.5``, as
    OpenCV's resize has it. image_pipeline's resize node multiplies it by s, which at half the size
    is a quarter of a pixel off.
    """
    message = copy.copy(info)
    if (width, height) == (info.width, info.height):
        return message
    scale = np.array([width / info.width, height / info.height])
    message.width, message.height = width, height
    message.k = _scaled(info.k, scale, 3)
    message.p = _scaled(info.p, scale, 4)
    return message


def _scaled(matrix: Any, scale: npt.NDArray[np.float64], columns: int) -> npt.NDArray[np.float64]:
    """K or P, whose first two rows are in pixels; one that is empty stays so."""
    rows = np.array(matrix, np.float64).reshape(3, columns)
    if rows[0, 0]:
        rows[:2] *= scale[:, None]
        rows[:2, 2] += (scale - 1) / 2
    return rows.reshape(-1)


def _size_fault(info: Any | None, image: ColourImage) -> str:
    if info is None:
        return "no camera_info received"
    if (info.width, info.height) != (image.width, image.height):
        return (
            f"camera_info is for {info.width}x{info.height}, "
            f"expected {image.width}x{image.height} like the image"
        )
    return ""


def _fx_fault(info: Any | None) -> str:
    fx = focal_length(info)
    if math.isfinite(fx) and fx > 0:
        return ""
    return f"camera_info has focal length {fx}, expected a positive number of pixels"


def _distortion_fault(info: Any) -> str:
    if not any(info.d):
        return ""
    first = ", ".join(f"{value:.3g}" for value in list(info.d)[:5])
    return f"camera_info has distortion {first}, expected none, as of rectified images"
