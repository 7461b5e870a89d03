"""NYU Depth v2 in the folder layout `rgb/ depth8/ label13/ label40/` with lists of ids.

Source of the data: Silberman et al., ECCV 2012 (research use). `depth8/*.png` holds in-painted
depth as uint8, metres = (value + 0.5) / 25.5. An id counts the frames of the official file from 0.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mtl_core.geometry import Intrinsics
from mtl_core.labels import LabelMap
from mtl_training.data.files import Mask, check_ids, check_size, read_image, read_mask
from mtl_training.data.sample import Sample
from mtl_training.data.uniform import Uniform
from mtl_training.errors import DatasetError

INTRINSICS = Intrinsics(640, 480, 518.86, 519.47, 325.58, 253.74)
"""The data set's RGB camera at 640x480."""

LABEL_FOLDERS = {"nyu13": "label13", "nyu40": "label40"}
"""Where the masks of a label map lie; in label40, 39 stands for other prop and for none."""

_METRES = (np.arange(256, dtype=np.float32) + 0.5) / np.float32(25.5)


class NYUv2Folder(Uniform):
    """The images of one list.

    Args:
        root: The folder.
        split: Name of a list of ids in it, without `.txt`.
        classes: A key of `LABEL_FOLDERS`.

    Raises:
        DatasetError: The list is absent or empty.
    """

    def __init__(self, root: Path, split: str, classes: str = "nyu13") -> None:
        """Read the list; images are read when asked for."""
        self._root, self._folder = root, LABEL_FOLDERS[classes]
        self.label_map = LabelMap.load(classes)
        self.tasks = frozenset({"segmentation", "depth"})
        self.names = _listed(root, split)

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`; the same in every epoch."""
        name = self.names[index]
        image = read_image(self._root / "rgb" / f"{name}.jpg")
        labels = self._mask(self._folder, name, image)
        check_ids(labels, self.label_map, self._root / self._folder / f"{name}.png")
        depth = cv2.LUT(self._mask("depth8", name, image), _METRES)
        return Sample(name, image, {"segmentation": labels, "depth": depth}, INTRINSICS)

    def _mask(self, folder: str, name: str, image: Mask) -> Mask:
        path = self._root / folder / f"{name}.png"
        mask = read_mask(path)
        check_size(mask, image, path)
        return mask


def _listed(root: Path, split: str) -> tuple[str, ...]:
    path = root / f"{split}.txt"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in root.glob("*.txt"))) or "none"
        raise DatasetError(f"{path}: no such list of images, there are: {known}")
    names = tuple(path.read_text(encoding="utf-8").split())
    if not names:
        raise DatasetError(f"{path}: the list is empty")
    if len(set(names)) != len(names):
        raise DatasetError(f"{path}: an id stands there twice")
    return names
