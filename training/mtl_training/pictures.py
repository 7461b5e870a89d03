"""Sheets of pictures, all (H, W, 3) uint8 BGR."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mtl_core.draw import Bgr, contact_sheet, legend
from mtl_core.labels import LabelMap
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


def save_sheet(
    rows: Sequence[Sequence[Bgr]],
    titles: Sequence[str],
    path: Path,
    label_map: LabelMap | None = None,
) -> None:
    """Write pictures of any size, row by row.

    Args:
        rows: As many pictures in each as there are titles.
        titles: Of the columns.
        path: Where to.
        label_map: Whose colours are explained below them.
    """
    sheet = contact_sheet(tiles(rows), titles)
    if label_map:
        sheet = np.vstack([sheet, legend(label_map, sheet.shape[1])])
    write_picture(path, sheet)
