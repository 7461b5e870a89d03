"""NYU Depth v2 as it is published: `nyu_depth_v2_labeled.mat`, `splits.mat` and a class map.

Source: Silberman et al., ECCV 2012. The first file is HDF5 (MATLAB 7.3), whose axes are the
reverse of MATLAB's: `images` (N, 3, W, H) uint8, `depths` (N, W, H) float32 in-painted metres,
`labels` (N, W, H) uint16 with 894 raw classes from 1 and 0 = none, `scenes` (1, N) references to
texts. `splits.mat` holds `trainNdxs` and `testNdxs`, which count from 1.

What the raw classes become stands in a class map, a file of one of these kinds:

- `.mat` with a vector `mapClass` (the published `classMapping40.mat`) or `mapping`: entry i is
  the class, from 1, of raw class i + 1; 0 = none. A map to 40 classes serves nyu13 too, by the
  table of Couprie et al. 2013 (`class13Mapping.mat`), which is built in.
- `.json` with an object of raw class to id of the label map: `{"5": 4, "21": 0}`; a raw class
  that is not in it is none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import scipy.io

from mtl_core.labels import UNLABELLED, LabelMap
from mtl_training.data.files import Mask, read_json
from mtl_training.data.nyuv2_folder import INTRINSICS
from mtl_training.data.sample import Sample
from mtl_training.data.uniform import Uniform
from mtl_training.errors import DatasetError

FILE_NAME = "nyu_depth_v2_labeled.mat"
SPLITS_NAME = "splits.mat"
SPLITS = {"train": "trainNdxs", "test": "testNdxs"}
"""Variable of `splits.mat` by split."""

CLASS_MAP_NAMES = {
    "nyu13": ("class_map_nyu13.json", "classMapping13.mat", "classMapping40.mat"),
    "nyu40": ("class_map_nyu40.json", "classMapping40.mat"),
}
"""Files beside the data, the first of which that there is serves as class map."""

RAW_CLASSES = 894

NYU40_TO_13 = (11, 4, 5, 0, 3, 8, 9, 11, 12, 5, 7, 5, 12, 9, 5, 12, 5, 6, 6, 4) + (
    (6, 2, 1, 5, 10) + (6,) * 6 + (5,) + (6,) * 6 + (5, 6)
)
"""Id of nyu13 by id of nyu40."""

_RAW_TYPE = np.uint16


class NYUv2Mat(Uniform):
    """The images of an official split.

    Args:
        path: The labelled file.
        split: A key of `SPLITS`.
        classes: `nyu13` or `nyu40`.
        class_map: What the raw classes become; None looks for `CLASS_MAP_NAMES` beside `path`.

    Raises:
        DatasetError: A file is missing or not what it should be, or the split is empty.
    """

    def __init__(
        self, path: Path, split: str, classes: str = "nyu13", class_map: Path | None = None
    ) -> None:
        """Read splits, class map and scenes; images are read when asked for."""
        self._path = path
        self.label_map = LabelMap.load(classes)
        self.tasks = frozenset({"segmentation", "depth"})
        self._table = read_class_map(class_map or _class_map_beside(path, classes), self.label_map)
        with _opened(path) as file:
            frames = _checked(path, file)
            self._indices = _split(path.with_name(SPLITS_NAME), split, frames)
            if "scenes" in file:
                scenes = _texts(path, file, "scenes")
                self.scenes = tuple(scenes[index] for index in self._indices)
        self.names = tuple(f"{index:04d}" for index in self._indices)

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`; the same in every epoch."""
        at = self._indices[index]
        # An open HDF5 file does not survive the fork of a loader's workers.
        with _opened(self._path) as file:
            try:
                image, depth, raw = (file[key][at] for key in ("images", "depths", "labels"))
            except OSError as err:
                raise DatasetError(f"{self._path}: frame {at} cannot be read: {err}") from err
        if raw.max(initial=0) >= len(self._table):
            raise DatasetError(
                f"{self._path}: frame {at}: raw classes up to {len(self._table) - 1} expected, "
                f"got {raw.max()}"
            )
        metres = depth.T.astype(np.float32)
        metres[~(metres > 0)] = np.nan
        truth = {"segmentation": self._table[raw.T], "depth": metres}
        rgb = np.ascontiguousarray(image.transpose(2, 1, 0))
        return Sample(self.names[index], rgb, truth, INTRINSICS)


def read_class_map(path: Path, label_map: LabelMap) -> Mask:
    """Ids of the label map by raw class (0 included), 255 = none; see the module for the files.

    Raises:
        DatasetError: The file is missing, of no such kind, or maps to ids out of range.
    """
    if path.suffix == ".json":
        table = _from_json(path)
    elif path.suffix == ".mat":
        table = _from_mat(path, label_map)
    else:
        raise DatasetError(f"{path}: a class map is a .mat or a .json file")
    wrong = table[((table < 0) | (table >= len(label_map))) & (table != UNLABELLED)]
    if len(wrong):
        raise DatasetError(
            f"{path}: ids of {label_map.name} are 0 to {len(label_map) - 1}, got {wrong[0]}"
        )
    return table.astype(np.uint8)


def _from_json(path: Path) -> npt.NDArray[np.int64]:
    fields = read_json(path)
    try:
        pairs = {int(raw): int(to) for raw, to in fields.items()}
    except (AttributeError, TypeError, ValueError) as err:
        raise DatasetError(f"{path}: an object of raw class to id expected: {err}") from err
    if wrong := [raw for raw in pairs if not 1 <= raw <= RAW_CLASSES]:
        raise DatasetError(f"{path}: raw classes are 1 to {RAW_CLASSES}, got {wrong[0]}")
    table = np.full(RAW_CLASSES + 1, UNLABELLED, np.int64)
    table[list(pairs)] = list(pairs.values())
    return table


def _from_mat(path: Path, label_map: LabelMap) -> npt.NDArray[np.int64]:
    fields = _matlab(path)
    found = [fields[key] for key in ("mapClass", "mapping") if key in fields]
    if not found:
        raise DatasetError(f"{path}: a vector `mapClass` or `mapping` expected")
    classes = np.concatenate(([0], found[0].ravel().astype(np.int64)))
    table = np.where(classes == 0, UNLABELLED, classes - 1)
    known = table[table != UNLABELLED]
    if label_map.name == "nyu13" and known.size and 13 <= known.max() < len(NYU40_TO_13):
        fine = np.full(UNLABELLED + 1, UNLABELLED, np.int64)
        fine[: len(NYU40_TO_13)] = NYU40_TO_13
        return fine[table]
    return table


def _class_map_beside(path: Path, classes: str) -> Path:
    names = CLASS_MAP_NAMES[classes]
    for name in names:
        if path.with_name(name).is_file():
            return path.with_name(name)
    raise DatasetError(
        f"{path.parent}: a class map from the {RAW_CLASSES} raw classes to {classes} expected, "
        f"one of {', '.join(names)}"
    )


def _split(path: Path, split: str, frames: int) -> tuple[int, ...]:
    """Indices from 0, ascending: neighbours in the file are neighbours in the recording."""
    if split not in SPLITS:
        raise DatasetError(f"{path}: unknown split {split!r}, there are: {', '.join(SPLITS)}")
    fields = _matlab(path)
    if SPLITS[split] not in fields:
        raise DatasetError(f"{path}: a vector `{SPLITS[split]}` expected")
    numbers = np.unique(fields[SPLITS[split]].astype(np.int64))
    if not numbers.size:
        raise DatasetError(f"{path}: the split {split} is empty")
    if numbers[0] < 1 or numbers[-1] > frames:
        raise DatasetError(
            f"{path}: numbers 1 to {frames} expected, got {numbers[0]} to {numbers[-1]}"
        )
    return tuple(int(number) - 1 for number in numbers)


def _matlab(path: Path) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = scipy.io.loadmat(path)
    except (OSError, ValueError, TypeError, RuntimeError) as err:
        raise DatasetError(f"{path}: missing or not a MATLAB 5 file: {err}") from err
    return fields


def _opened(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except OSError as err:
        raise DatasetError(f"{path}: missing or not HDF5 (MATLAB 7.3): {err}") from err


def _checked(path: Path, file: h5py.File) -> int:
    """The number of frames, after a look at shapes and types."""
    expected = {"images": (3, 640, 480), "depths": (640, 480), "labels": (640, 480)}
    for key, shape in expected.items():
        if key not in file:
            raise DatasetError(f"{path}: no `{key}` in it, it has: {', '.join(file)}")
        if file[key].shape[1:] != shape:
            raise DatasetError(
                f"{path}: `{key}` of shape (N, {', '.join(map(str, shape))}) expected, "
                f"got {file[key].shape}"
            )
    counts = {key: len(file[key]) for key in expected}
    if len(set(counts.values())) != 1:
        raise DatasetError(f"{path}: equally many frames expected, got {counts}")
    if file["images"].dtype != np.uint8 or file["labels"].dtype != _RAW_TYPE:
        raise DatasetError(
            f"{path}: images uint8 and labels uint16 expected, "
            f"got {file['images'].dtype} and {file['labels'].dtype}"
        )
    return counts["images"]


def _texts(path: Path, file: h5py.File, key: str) -> list[str]:
    """A cell array of texts: references to arrays of UTF-16 units."""
    try:
        cells = (file[reference][()] for reference in file[key][()].ravel())
        return [cell.astype("<u2").tobytes().decode("utf-16-le") for cell in cells]
    except (AttributeError, KeyError, TypeError, ValueError) as err:
        raise DatasetError(f"{path}: `{key}`: references to texts expected: {err!r}") from err
