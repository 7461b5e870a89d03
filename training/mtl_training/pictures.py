"""Sheets of pictures, all (H, W, 3) uint8 BGR."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2

from mtl_core.draw import Bgr
from mtl_training.files import atomic

TILE = 240
"""Width of a picture on a sheet, pixels."""


def tiles(rows: Sequence[Sequence[Bgr]]) -> list[list[Bgr]]:
    """Rows of pictures, all at one size of the first one's aspect."""
    height, width = rows[0][0].shape[:2]
    size = (TILE, round(TILE * height / width))
    return [[_resized(picture, size) for picture in row] for row in rows]


def _resized(picture: Bgr, size: tuple[int, int]) -> Bgr:
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def write_picture(path: Path, picture: Bgr) -> None:
    """Write a picture atomically, in the format that the path's suffix says."""
    with atomic(path) as part:
        part.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())
