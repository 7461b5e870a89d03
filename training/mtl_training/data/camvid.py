"""CamVid in the SegNet tutorial's layout `{split}/*.png` and `{split}annot/*.png`.

Source of the data: Brostow et al. 2009. Street scenes at 480x360 with 11 classes, and no other
task; masks hold 11 where there is none. The cameras' intrinsics are unknown.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mtl_core.labels import UNLABELLED, LabelMap
from mtl_training.data.files import (
    check_ids,
    check_size,
    read_image,
    read_mask,
    split_folder,
    stems,
)
from mtl_training.data.sample import Sample
from mtl_training.data.uniform import Uniform

_ID_OF = np.arange(256, dtype=np.uint8)
_ID_OF[11] = UNLABELLED


class CamVid(Uniform):
    """The images of one split.

    Args:
        root: The folder.
        split: `train`, `val` or `test`.

    Raises:
        DatasetError: The split's folder is missing or empty.
    """

    def __init__(self, root: Path, split: str) -> None:
        """List the images; they are read when asked for."""
        known = (p.name.removesuffix("annot") for p in root.glob("*annot"))
        self._images = split_folder(root, split, known)
        self._masks = root / f"{split}annot"
        self.label_map = LabelMap.load("camvid11")
        self.tasks = frozenset({"segmentation"})
        self._ending = _ending(self._images)
        self.names = stems(self._images, self._ending)

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`; the same in every epoch."""
        name = self.names[index]
        image = read_image(self._images / f"{name}{self._ending}")
        path = self._masks / f"{name}.png"
        mask = read_mask(path)
        check_size(mask, image, path)
        labels = cv2.LUT(mask, _ID_OF).astype(np.uint8, copy=False)
        return Sample(name, image, {"segmentation": check_ids(labels, self.label_map, path)}, None)


def _ending(folder: Path) -> str:
    """JPEG copies of the data set go about beside the original PNG."""
    return ".jpg" if next(folder.glob("*.jpg"), None) else ".png"
