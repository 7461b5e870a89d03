"""Cityscapes in its official folders `leftImg8bit/ gtFine/ disparity/ camera/`.

Source of the data: Cordts et al., CVPR 2016. `gtFine/**/*_labelIds.png` holds 34 raw ids.
`disparity/**/*.png` holds uint16 p, disparity = (p - 1) / 256 pixels of the full-size image for
p > 0, and 0 = none; depth = baseline * fx / disparity with the numbers of `camera/**/*.json`.
A sample without a disparity or a camera file has no depth. Copies of the data set that were
shrunk keep both kinds of file as they were, so that they still speak of 2048x1024.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mtl_core.errors import GeometryError
from mtl_core.geometry import Intrinsics
from mtl_core.labels import UNLABELLED, LabelMap
from mtl_training.data.files import (
    Floats,
    Mask,
    check_size,
    ids_beside,
    read_image,
    read_json,
    read_mask,
    read_uint16,
    split_folder,
)
from mtl_training.data.sample import Sample
from mtl_training.errors import DatasetError

RAW_IDS = 34
"""Raw ids are 0 to 33."""

TRAIN_IDS = {
    raw: train for train, raw in enumerate((7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33))
}
"""The 19 training ids by raw id; the others do not count in the official evaluation."""

_CATEGORIES = ((7, 8), (11, 12, 13), (17, 19, 20), (21, 22), (23,), (24, 25), (*range(26, 34),))
CATEGORY_IDS = {
    raw: category for category, ids in enumerate(_CATEGORIES) for raw in ids if raw in TRAIN_IDS
}
"""The 7 categories by raw id, of the same ids, as the official evaluation of categories has it."""

TABLES = {"cityscapes19": TRAIN_IDS, "cityscapes7": CATEGORY_IDS}
"""From raw ids to those of a label map."""

_FULL_SIZE = (2048, 1024)


@dataclass(frozen=True)
class StereoCamera:
    """A camera file: intrinsics at the image's size, baseline in metres, full-size fx in pixels."""

    intrinsics: Intrinsics
    baseline: float
    full_fx: float

    @classmethod
    def read(cls, path: Path, width: int, height: int) -> StereoCamera:
        """Read `*_camera.json` for an image of width x height.

        Raises:
            DatasetError: The file is not one, or says what no camera can be.
        """
        fields = read_json(path)
        try:
            fx, fy, u0, v0 = (float(fields["intrinsic"][key]) for key in ("fx", "fy", "u0", "v0"))
            baseline = float(fields["extrinsic"]["baseline"])
            full = Intrinsics(*_FULL_SIZE, fx, fy, u0, v0)
        except (KeyError, TypeError, ValueError, GeometryError) as err:
            raise DatasetError(
                f"{path}: intrinsic fx, fy, u0, v0 and extrinsic baseline expected: {err!r}"
            ) from err
        if not baseline > 0:
            raise DatasetError(f"{path}: a positive baseline expected, got {baseline}")
        same = (width, height) == _FULL_SIZE
        return cls(full if same else full.resized(width, height), baseline, fx)


class Cityscapes:
    """The images of one split, city by city.

    Args:
        root: The folder that holds `leftImg8bit`.
        split: `train`, `val`, or another folder of `leftImg8bit`.
        classes: A key of `TABLES`.

    Raises:
        DatasetError: The split is missing or empty.
    """

    def __init__(self, root: Path, split: str, classes: str = "cityscapes19") -> None:
        """List the images; they are read when asked for."""
        self._root, self._split = root, split
        self.label_map = LabelMap.load(classes)
        self._table = np.full(256, UNLABELLED, np.uint8)
        self._table[list(TABLES[classes])] = list(TABLES[classes].values())
        self.names = _listed(root / "leftImg8bit", split)
        every = range(len(self.names))
        self._labelled: dict[str, Sequence[int]] = {
            "segmentation": every if (root / "gtFine" / split).is_dir() else (),
            "depth": tuple(index for index in every if self._has_depth(self.names[index])),
        }
        self.tasks = frozenset(task for task, there in self._labelled.items() if there)

    def __len__(self) -> int:
        """Images of the split."""
        return len(self.names)

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`; the same in every epoch."""
        name = self.names[index]
        image = read_image(self._path("leftImg8bit", name, "leftImg8bit.png"))
        truth: dict[str, npt.NDArray[Any]] = {}
        if "segmentation" in self.tasks:
            truth["segmentation"] = self._labels(name, image)
        camera = self._camera(name, image)
        if camera is not None and self._has_depth(name):
            truth["depth"] = _depth(self._disparity(name), image, camera)
        return Sample(name, image, truth, None if camera is None else camera.intrinsics)

    def labelled(self, task: str) -> Sequence[int]:
        """See `SampleSource.labelled`."""
        return self._labelled.get(task, ())

    def pseudo_labelled(self, task: str) -> Sequence[int]:
        """See `SampleSource.pseudo_labelled`."""
        return ()

    def _has_depth(self, name: str) -> bool:
        return self._disparity(name).is_file() and self._camera_file(name).is_file()

    def _disparity(self, name: str) -> Path:
        return self._path("disparity", name, "disparity.png")

    def _camera_file(self, name: str) -> Path:
        return self._path("camera", name, "camera.json")

    def _path(self, kind: str, name: str, ending: str) -> Path:
        city = name.split("_", 1)[0]
        return self._root / kind / self._split / city / f"{name}_{ending}"

    def _labels(self, name: str, image: Mask) -> Mask:
        path = self._path("gtFine", name, "gtFine_labelIds.png")
        raw = read_mask(path)
        check_size(raw, image, path)
        if wrong := ids_beside(raw, range(RAW_IDS)):
            raise DatasetError(f"{path}: raw ids are 0 to {RAW_IDS - 1}, got {wrong[0]}")
        return cv2.LUT(raw, self._table).astype(np.uint8, copy=False)

    def _camera(self, name: str, image: Mask) -> StereoCamera | None:
        path = self._camera_file(name)
        if not path.is_file():
            return None
        return StereoCamera.read(path, width=image.shape[1], height=image.shape[0])


def _depth(path: Path, image: Mask, camera: StereoCamera) -> Floats:
    """Metres (H, W) float32; NaN where there is no disparity, or none but at infinity."""
    raw = read_uint16(path)
    check_size(raw, image, path)
    disparity = (raw.astype(np.float32) - 1.0) / 256.0
    disparity[raw <= 1] = np.nan
    depth: Floats = np.float32(camera.baseline * camera.full_fx) / disparity
    return depth


def _listed(images: Path, split: str) -> tuple[str, ...]:
    folder = split_folder(images, split, (p.name for p in images.glob("*") if p.is_dir()))
    ending = "_leftImg8bit.png"
    names = tuple(sorted(p.name.removesuffix(ending) for p in folder.glob("*/*" + ending)))
    if not names:
        raise DatasetError(f"{folder}: no image CITY/*{ending} in it")
    return names
