"""NYU Depth v2 in the folder layout `rgb/ depth8/ label13/` with lists of ids.

Source of the data: Silberman et al., ECCV 2012 (research use). `depth8/*.png` holds in-painted
depth as uint8, metres = (value + 0.5) / 25.5.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mtl_core.geometry import Intrinsics
from mtl_training.data.sample import Sample
from mtl_training.errors import DatasetError

INTRINSICS = Intrinsics(640, 480, 518.86, 519.47, 325.58, 253.74)
"""The data set's RGB camera at 640x480."""


def data_root() -> Path:
    """The folder that the environment variable MTL_DATA names.

    Raises:
        DatasetError: The variable is unset, or names no folder.
    """
    root = os.environ.get("MTL_DATA", "")
    if not root or not Path(root).is_dir():
        raise DatasetError(f"MTL_DATA must name the data folder, got {root!r}")
    return Path(root)


class NYUv2:
    """The images of one list.

    Args:
        list_name: A file beside the images, such as `fit.txt`.
        root: The `nyuv2` folder; None takes it below `$MTL_DATA`.

    Raises:
        DatasetError: The folder or the list is absent, or the list is empty.
    """

    def __init__(self, list_name: str, root: Path | None = None) -> None:
        """Read the list; images are read when asked for."""
        self._root = root or data_root() / "nyuv2"
        path = self._root / list_name
        if not path.is_file():
            raise DatasetError(f"{path}: no such list of images")
        self.ids = path.read_text(encoding="utf-8").split()
        if not self.ids:
            raise DatasetError(f"{path}: the list is empty")

    def __len__(self) -> int:
        """Images in the list."""
        return len(self.ids)

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`; the same in every epoch."""
        stem = self.ids[index]
        bgr = self._read("rgb", f"{stem}.jpg", cv2.IMREAD_COLOR)
        depth = self._read("depth8", f"{stem}.png", cv2.IMREAD_GRAYSCALE)
        return Sample(
            image=np.ascontiguousarray(bgr[..., ::-1]),
            labels=self._read("label13", f"{stem}.png", cv2.IMREAD_GRAYSCALE),
            depth=(depth.astype(np.float32) + 0.5) / 25.5,
            intrinsics=INTRINSICS,
        )

    def _read(self, folder: str, name: str, mode: int) -> npt.NDArray[np.uint8]:
        path = self._root / folder / name
        image = cv2.imread(str(path), mode)
        if image is None:
            raise DatasetError(f"{path}: missing or not an image")
        return image.astype(np.uint8, copy=False)
