"""The pre-processed `.npy` layouts of NYUv2 and Cityscapes that multi-task papers share.

Source: github.com/lorenmt/mtan, read by MTPSL, CAGrad, LibMTL and others.

NYUv2: `{train,val}/{image,label,depth,normal}/{i}.npy` at 288x384: image (H, W, 3) 0..1, label
(H, W) ids of nyu13 with -1 = none, depth (H, W, 1) metres with 0 = none, normal (H, W, 3) with
(0, 0, 0) = none. Its pixels are a crop that the authors lost the code of, so that the intrinsics
are unknown. Which axis of a camera each channel of `normal` means, and its sign, is documented
nowhere; it is measured here, on the normals that follow from the depth beside them.

Cityscapes: `{train,val}/{image,label_7,label_19,depth}/{i}.npy` at 128x256 or 256x512, whose
`depth` (H, W, 1) is *inverse* depth with 0 = none: the official files' p / 65536. With
disparity = (p - 1) / 256 pixels, that is proportional to 1 / metres, and not equal to it: the
baseline and the focal length of the sample's camera are not there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from mtl_core.geometry import Intrinsics, organised_points
from mtl_core.labels import UNLABELLED, LabelMap
from mtl_training.data.files import (
    Floats,
    Mask,
    check_ids,
    check_size,
    read_array,
    split_folder,
    stems,
)
from mtl_training.data.sample import Sample
from mtl_training.data.uniform import Uniform
from mtl_training.errors import DatasetError

LABEL_FOLDERS = {
    "nyu13": "label",
    "nyu40": "label",
    "cityscapes7": "label_7",
    "cityscapes19": "label_19",
}
"""Where the ids of a label map lie."""

_FOCAL_RATIO = 0.92
"""About what a Kinect's focal length is to the width of NYUv2's crop; for `Axes.measured` only."""

_FRAMES_MEASURED = 12
_LEAST_COSINE = 0.5


@dataclass(frozen=True)
class Axes:
    """How stored normals become those of the optical frame: component i is sign i * channel i.

    Attributes:
        channels: (3,) the stored channels that are x right, y down, z forward.
        signs: (3,) float32 that turn them to face the camera.
    """

    channels: npt.NDArray[np.intp]
    signs: Floats

    @classmethod
    def measured(cls, split: Path, names: tuple[str, ...]) -> Axes:
        """The order and signs that agree best with the depth of some frames.

        Raises:
            DatasetError: No order and signs agree.
        """
        step = max(1, len(names) // _FRAMES_MEASURED)
        products, pixels = np.zeros((3, 3)), 0
        for name in names[::step]:
            stored = _vectors(split / "normal" / f"{name}.npy")
            path = split / "depth" / f"{name}.npy"
            depth = _positive(path)
            check_size(depth, stored, path)
            expected = _normals_of(depth)
            known = np.isfinite(expected).all(2) & np.isfinite(stored).all(2)
            products += expected[known].T.astype(np.float64) @ stored[known]
            pixels += int(known.sum())
        axes, channels = linear_sum_assignment(-np.abs(products))
        agreement = np.abs(products[axes, channels]).sum() / max(pixels, 1)
        if agreement < _LEAST_COSINE:
            raise DatasetError(
                f"{split / 'normal'}: normals that agree with the depth beside them expected; "
                f"whatever their axes, the mean cosine is {agreement:.2f} over {pixels} pixels"
            )
        return cls(channels, np.sign(products[axes, channels]).astype(np.float32))

    def turned(self, stored: Floats) -> Floats:
        """Stored normals (H, W, 3) in the camera's optical frame."""
        return stored[..., self.channels] * self.signs


class Npy(Uniform):
    """The arrays of one split.

    Args:
        root: The folder that holds `train` and `val`.
        split: One of them.
        classes: A key of `LABEL_FOLDERS`.

    Raises:
        DatasetError: The split or its images are missing; see `Axes.measured`.
    """

    def __init__(self, root: Path, split: str, classes: str = "nyu13") -> None:
        """List the arrays, and find out how normals are stored."""
        self._split = split_folder(root, split, (p.parent.name for p in root.glob("*/image")))
        self.label_map = LabelMap.load(classes)
        self.names = tuple(sorted(stems(self._split / "image", ".npy"), key=_by_number))
        readers: dict[str, tuple[str, Callable[[Path], npt.NDArray[Any]]]] = {
            "segmentation": (LABEL_FOLDERS[classes], self._labels),
            "inverse_depth" if classes.startswith("cityscapes") else "depth": ("depth", _positive),
            "normals": ("normal", lambda path: self._axes.turned(_vectors(path))),
        }
        self._readers = {
            task: (self._split / folder, read)
            for task, (folder, read) in readers.items()
            if (self._split / folder).is_dir()
        }
        self.tasks = frozenset(self._readers)
        if "normals" in self.tasks:
            self._axes = Axes.measured(self._split, self.names)

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`; the same in every epoch."""
        name = self.names[index]
        image = _image(self._split / "image" / f"{name}.npy")
        truth = {}
        for task, (folder, read) in self._readers.items():
            path = folder / f"{name}.npy"
            truth[task] = read(path)
            check_size(truth[task], image, path)
        return Sample(name, image, truth, None)

    def _labels(self, path: Path) -> Mask:
        stored = read_array(path)
        ids = stored.astype(np.int64)
        if stored.ndim != 2 or (ids != stored).any():
            raise DatasetError(f"{path}: whole ids (H, W) expected, got {_described(stored)}")
        if ids.size and (ids.min() < -1 or ids.max() > UNLABELLED):
            raise DatasetError(
                f"{path}: ids of {self.label_map.name} are 0 to {len(self.label_map) - 1} and "
                f"-1 = none, got {ids.min()} to {ids.max()}"
            )
        # -1 becomes 255 by itself.
        return check_ids(ids.astype(np.uint8), self.label_map, path)


def _by_number(name: str) -> tuple[int, str]:
    return (int(name), name) if name.isdecimal() else (-1, name)


def _image(path: Path) -> Mask:
    """(H, W, 3) uint8 RGB."""
    stored = read_array(path)
    if stored.ndim != 3 or stored.shape[2] != 3:
        raise DatasetError(f"{path}: an image (H, W, 3) expected, got {_described(stored)}")
    if stored.dtype == np.uint8:
        return stored
    if stored.dtype.kind != "f" or not -0.01 <= stored.min() <= stored.max() <= 1.01:
        raise DatasetError(f"{path}: uint8, or floats 0 to 1 expected, got {_described(stored)}")
    return np.clip(stored * 255.0 + 0.5, 0, 255).astype(np.uint8)


def _positive(path: Path) -> Floats:
    """(H, W) float32 from (H, W) or (H, W, 1); NaN where nothing above 0 is stored."""
    stored = read_array(path)
    if stored.ndim == 3 and stored.shape[2] == 1:
        stored = stored[..., 0]
    if stored.ndim != 2 or stored.dtype.kind not in "fiu":
        raise DatasetError(
            f"{path}: numbers (H, W) or (H, W, 1) expected, got {_described(stored)}"
        )
    values = stored.astype(np.float32)
    values[~(np.isfinite(values) & (values > 0))] = np.nan
    return values


def _vectors(path: Path) -> Floats:
    """(H, W, 3) float32 unit vectors as stored; NaN where there is none."""
    stored = read_array(path)
    if stored.ndim != 3 or stored.shape[2] != 3 or stored.dtype.kind != "f":
        raise DatasetError(f"{path}: floats (H, W, 3) expected, got {_described(stored)}")
    vectors = stored.astype(np.float32)
    length = np.linalg.norm(vectors, axis=2, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        unit: Floats = np.where(length > 0.5, vectors / length, np.float32(np.nan))
    return unit


def _described(array: npt.NDArray[Any]) -> str:
    if not array.size or array.dtype.kind not in "fiu":
        return f"{array.shape} {array.dtype}"
    return f"{array.shape} {array.dtype} from {array.min():g} to {array.max():g}"


def _normals_of(depth: Floats) -> Floats:
    """Rough normals (H, W, 3) of a depth image, towards the camera; NaN where unknown."""
    height, width = depth.shape
    focal = _FOCAL_RATIO * width
    camera = Intrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    # A Kinect's noise is larger than the slope of a surface from one pixel to the next.
    points = organised_points(cv2.GaussianBlur(depth, (5, 5), 0).astype(np.float32), camera)
    normals = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        unit: Floats = normals / np.linalg.norm(normals, axis=2, keepdims=True)
    return unit
