"""Reading the files of data sets; every error names its file and what was expected."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mtl_core.errors import ImageError
from mtl_core.images import check_whole
from mtl_core.labels import UNLABELLED, LabelMap
from mtl_training.errors import DatasetError

Mask = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

# Masks are not turned as EXIF says, so images must not be either.
_COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def data_root() -> Path:
    """The folder that the environment variable MTL_DATA names.

    Raises:
        DatasetError: The variable is unset, or names no folder.
    """
    root = os.environ.get("MTL_DATA", "")
    if not root or not Path(root).is_dir():
        raise DatasetError(f"MTL_DATA must name the data folder, got {root!r}")
    return Path(root)


def read_image(path: Path) -> Mask:
    """An image file as (H, W, 3) uint8 RGB; grey images become three equal channels.

    Raises:
        DatasetError: The file is missing, cut short or not an image.
    """
    image = _decoded(path, _COLOUR)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, image).astype(np.uint8, copy=False)


def read_mask(path: Path) -> Mask:
    """An image file of one 8-bit channel as (H, W) uint8.

    Raises:
        DatasetError: The file is missing, cut short, not an image, or of another kind.
    """
    return _one_channel(path, np.dtype(np.uint8)).astype(np.uint8, copy=False)


def read_uint16(path: Path) -> npt.NDArray[np.uint16]:
    """An image file of one 16-bit channel as (H, W) uint16.

    Raises:
        DatasetError: The file is missing, cut short, not an image, or of another kind.
    """
    return _one_channel(path, np.dtype(np.uint16)).astype(np.uint16, copy=False)


def read_array(path: Path) -> npt.NDArray[Any]:
    """An `.npy` file; none that would run code when read.

    Raises:
        DatasetError: The file is missing or holds no plain array.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as err:
        raise DatasetError(f"{path}: missing or not an .npy array: {err}") from err
    if not isinstance(array, np.ndarray):
        raise DatasetError(f"{path}: an .npy array expected, got {type(array).__name__}")
    return array


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        DatasetError: The file is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise DatasetError(f"{path}: missing or not JSON: {err}") from err


def check_ids(mask: Mask, label_map: LabelMap, path: Path) -> Mask:
    """The mask (H, W), whose ids are all of the label map or 255 = none.

    Raises:
        DatasetError: An id is out of range.
    """
    known = (*range(len(label_map)), UNLABELLED)
    if wrong := ids_beside(mask, known):
        raise DatasetError(
            f"{path}: ids of {label_map.name} are 0 to {len(label_map) - 1} and "
            f"{UNLABELLED} = none, got {', '.join(map(str, wrong))}"
        )
    return mask


def ids_beside(mask: Mask, known: Iterable[int]) -> list[int]:
    """The values in a mask that are none of those known, ascending."""
    unknown = np.ones(256, np.uint8)
    unknown[list(known)] = 0
    # Looking each pixel up costs a sixth of counting all values.
    if not cv2.countNonZero(cv2.LUT(mask, unknown)):
        return []
    return [int(value) for value in np.unique(mask[unknown[mask] > 0])]


def check_size(array: npt.NDArray[Any], image: npt.NDArray[Any], path: Path) -> None:
    """Refuse labels whose rows and columns are not the image's.

    Raises:
        DatasetError: They differ; the labels' file is named.
    """
    if array.shape[:2] != image.shape[:2]:
        height, width = image.shape[:2]
        raise DatasetError(
            f"{path}: {width}x{height} like its image expected, "
            f"got {array.shape[1]}x{array.shape[0]}"
        )


def split_folder(root: Path, split: str, known: Iterable[str]) -> Path:
    """The folder of a split.

    Raises:
        DatasetError: There is none; the known splits are listed.
    """
    if not split or not (root / split).is_dir():
        there = ", ".join(sorted(known)) or "none"
        raise DatasetError(f"{root}: no split {split!r}, there are: {there}")
    return root / split


def stems(folder: Path, ending: str) -> tuple[str, ...]:
    """Names of a folder's files of that ending, without it, in order.

    Raises:
        DatasetError: The folder is missing or holds no such file.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    found = sorted(p.name.removesuffix(ending) for p in folder.iterdir() if p.match("*" + ending))
    if not found:
        raise DatasetError(f"{folder}: no file *{ending} in it")
    return tuple(found)


def _decoded(path: Path, mode: int) -> npt.NDArray[Any]:
    try:
        data = path.read_bytes()
        check_whole(data)
    except (OSError, ImageError) as err:
        raise DatasetError(f"{path}: missing or not an image: {err}") from err
    # OpenCV takes no empty buffer.
    image = cv2.imdecode(np.frombuffer(data, np.uint8), mode) if data else None
    if image is None:
        raise DatasetError(f"{path}: missing or not an image: {len(data)} bytes")
    return image


def _one_channel(path: Path, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    image = _decoded(path, cv2.IMREAD_UNCHANGED)
    if image.ndim != 2 or image.dtype != dtype:
        channels = 1 if image.ndim == 2 else image.shape[2]
        raise DatasetError(
            f"{path}: one channel of {dtype} expected, got {channels} of {image.dtype}"
        )
    return image
