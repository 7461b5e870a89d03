"""Pictures for people: overlays, coloured depth, contact sheets. All images (H, W, 3) uint8 BGR."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from mtl_core.labels import UNLABELLED, LabelMap

Bgr = npt.NDArray[np.uint8]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_BAR = 26
"""Height of a title bar and of a legend's row, pixels."""


def overlay(bgr: Bgr, mask: npt.NDArray[np.uint8], label_map: LabelMap, alpha: float = 0.5) -> Bgr:
    """Blend class colours over an image.

    Args:
        bgr: (H, W, 3) uint8.
        mask: (H, W) uint8 ids; where it is 255 the image stays as it is.
        label_map: Gives the colours.
        alpha: Weight of the class colour, 0..1.
    """
    colours = cv2.cvtColor(label_map.colourise(mask), cv2.COLOR_RGB2BGR)
    blended = cv2.addWeighted(bgr, 1.0 - alpha, colours, alpha, 0.0)
    unlabelled = (mask == UNLABELLED).view(np.uint8)
    return cv2.copyTo(bgr, unlabelled, blended)  # type: ignore[return-value]


def colour_depth(depth: npt.NDArray[np.float32], max_m: float) -> Bgr:
    """Colour a depth image (H, W) float32 metres: near is bright, unknown (NaN, 0) is black."""
    known = np.isfinite(depth) & (depth > 0)
    share = np.clip(np.where(known, depth, 0.0) / max_m, 0.0, 1.0)
    coloured: Bgr = cv2.applyColorMap(  # type: ignore[assignment]
        ((1.0 - share) * 255.0).astype(np.uint8), cv2.COLORMAP_INFERNO
    )
    coloured[~known] = 0
    return coloured


def legend(label_map: LabelMap, width: int) -> Bgr:
    """Class names on their colours, in as many rows as the width (pixels) needs."""
    cell = 124
    columns = max(1, width // cell)
    rows = -(-len(label_map) // columns)
    picture = np.full((rows * _BAR, width, 3), 255, np.uint8)
    for index, (name, colour) in enumerate(zip(label_map.classes, label_map.colours, strict=True)):
        x, y = (index % columns) * cell, (index // columns) * _BAR
        cv2.rectangle(picture, (x + 4, y + 5), (x + 24, y + _BAR - 5), colour[::-1], -1)
        _write(picture, name, x + 30, y, (0, 0, 0))
    return picture


def contact_sheet(rows: Sequence[Sequence[Bgr]], titles: Sequence[str]) -> Bgr:
    """Lay images of one size out in rows, with a title above each column."""
    body = np.vstack([np.hstack(list(row)) for row in rows])
    width = rows[0][0].shape[1]
    bar = np.full((_BAR, body.shape[1], 3), 32, np.uint8)
    for column, title in enumerate(titles):
        _write(bar, title, column * width + 8, 0, (255, 255, 255))
    return np.vstack([bar, body])


def _write(picture: Bgr, text: str, x: int, y: int, colour: tuple[int, int, int]) -> None:
    cv2.putText(picture, text, (x, y + _BAR - 8), _FONT, 0.5, colour, 1, cv2.LINE_AA)
