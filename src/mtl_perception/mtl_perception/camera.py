"""What a camera_info message says of the image beside it."""

from __future__ import annotations

import math
from typing import NamedTuple

from sensor_msgs.msg import CameraInfo

from mtl_core.images import ColourImage


class View(NamedTuple):
    """What is known of the camera that took an image.

    Attributes:
        info: Its camera_info; None where none of the image's size is known.
        fx: Focal length in pixels of the image's width; None leaves it to the model.
        fault: Why fx is a fallback; empty where camera_info gave it.
    """

    info: CameraInfo | None
    fx: float | None
    fault: str


def view(info: CameraInfo | None, image: ColourImage, fallback_fx: float = 0.0) -> View:
    """Judge the newest camera_info by an image.

    Args:
        info: The newest one; None if none came.
        image: An image of the same camera.
        fallback_fx: Focal length to assume where camera_info gives none; 0 for the model's own.
    """
    size_fault = _size_fault(info, image)
    fault = size_fault or _fx_fault(info)
    fx = (fallback_fx or None) if fault else focal_length(info)
    return View(None if size_fault else info, fx, fault)


def focal_length(info: CameraInfo | None) -> float:
    """Return fx of rectified images in pixels: of P, or of K where a driver left P empty."""
    return math.nan if info is None else float(info.p[0] or info.k[0])


def _size_fault(info: CameraInfo | None, image: ColourImage) -> str:
    if info is None:
        return "no camera_info received"
    if (info.width, info.height) != (image.width, image.height):
        return (
            f"camera_info is for {info.width}x{info.height}, "
            f"expected {image.width}x{image.height} like the image"
        )
    return ""


def _fx_fault(info: CameraInfo | None) -> str:
    fx = focal_length(info)
    if math.isfinite(fx) and fx > 0:
        return ""
    return f"camera_info has focal length {fx}, expected a positive number of pixels"
