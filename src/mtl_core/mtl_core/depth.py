"""Depth as 16 bit millimetres, the way ROS (REP 118) and PNG files carry it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MILLIMETRES_MAX = np.iinfo(np.uint16).max


def millimetres(depth: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Round depth to millimetres.

    Args:
        depth: (H, W) float32, metres; anything that is not finite and positive is invalid.

    Returns:
        (H, W) uint16; 0 where depth is invalid or 65.5355 m and more.
    """
    rounded = np.rint(np.where(np.isfinite(depth), depth, 0.0) * 1000.0)
    valid = (rounded > 0) & (rounded <= MILLIMETRES_MAX)
    return np.where(valid, rounded, 0.0).astype(np.uint16)
