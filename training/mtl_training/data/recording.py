"""A training set made from a recording: one `dataset.json` beside images and labels.

`mtl-bags export` writes such a folder, and `mtl-train` reads it as it is:

    dataset.json
    image/NAME.jpg                 the camera's picture, JPEG or PNG
    segmentation/NAME.png          8 bit, ids of the label map, 255 = none
    depth/NAME.png                 16 bit, millimetres along Z, 0 = none
    confidence/TASK/NAME.png       8 bit, confidence * 255, of labels that a model made

`dataset.json` (file paths are relative to it, no key may be unknown):

    {"schema": 1,
     "label_map": "nyu13",         # or {"name", "classes", "colours"}, or null
     "tasks": ["segmentation", "depth"],
     "samples": [                  # in the order of recording
       {"name": "camera_color-1718000000123456789",     # topic and stamp in ns; unique
        "split": "train",
        "scene": "kitchen",                             # optional: recordings that share none
        "image": "image/camera_color-1718000000123456789.jpg",
        "intrinsics": {"width": 640, "height": 480,     # or null, at the image's size
                       "fx": 525.0, "fy": 525.0, "cx": 319.5, "cy": 239.5},
        "labels": {
          "depth": {"state": "truth", "file": "depth/....png"},
          "segmentation": {"state": "pseudo", "file": "segmentation/....png",
                           "confidence": "confidence/segmentation/....png"}}}]}

The state of a task that `labels` leaves out is `none`. Truth has the image's size; what a model
made (`pseudo`) may have any size of the same view, and needs a confidence of its own size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from mtl_core.errors import MtlError
from mtl_core.geometry import Intrinsics
from mtl_core.labels import UNLABELLED, LabelMap
from mtl_training.data.files import (
    Floats,
    Mask,
    check_ids,
    check_size,
    read_image,
    read_json,
    read_mask,
    read_uint16,
)
from mtl_training.data.sample import LabelState, PseudoLabel, Sample
from mtl_training.errors import DatasetError

FILE_NAME = "dataset.json"
SCHEMA = 1


@dataclass(frozen=True)
class LabelFile:
    """Where a task's labels lie, relative to the folder, and where they come from.

    Raises:
        DatasetError: A file lacks, is one too many, or lies outside the folder.
    """

    state: LabelState
    file: str = ""
    confidence: str = ""

    def __post_init__(self) -> None:
        """Refuse labels without a file, and models' labels without a confidence."""
        wanted = {
            LabelState.TRUTH: (True, False),
            LabelState.PSEUDO: (True, True),
            LabelState.NONE: (False, False),
        }
        if (bool(self.file), bool(self.confidence)) != wanted[self.state]:
            raise DatasetError(
                f"labels in state {self.state} have {'a' if self.state != 'none' else 'no'} file "
                f"and {'a' if self.state == 'pseudo' else 'no'} confidence, got {self}"
            )
        for path in (self.file, self.confidence):
            _inside(path)


@dataclass(frozen=True)
class Entry:
    """One sample of `dataset.json`."""

    name: str
    split: str
    image: str
    labels: dict[str, LabelFile]
    intrinsics: Intrinsics | None = None
    scene: str = ""

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Entry:
        """An entry of the JSON object; KeyError, TypeError, ValueError where it is none."""
        fields = dict(fields)
        camera = fields.pop("intrinsics", None)
        labels = {
            task: LabelFile(**{**label, "state": LabelState(label["state"])})
            for task, label in fields.pop("labels").items()
        }
        _inside(fields["image"])
        return cls(labels=labels, intrinsics=camera and Intrinsics(**camera), **fields)


class Recording:
    """The samples of one split.

    Args:
        root: The folder that holds `dataset.json`.
        split: A split that the file speaks of; "" = all samples.

    Raises:
        DatasetError: The file is missing or contradicts its schema, or the split is empty.
    """

    def __init__(self, root: Path, split: str = "") -> None:
        """Read `dataset.json`; images are read when asked for."""
        self._root = root
        self.label_map, entries = _read(root / FILE_NAME)
        self._entries = [entry for entry in entries if split in ("", entry.split)]
        if not self._entries:
            known = ", ".join(sorted({entry.split for entry in entries})) or "none"
            raise DatasetError(f"{root / FILE_NAME}: no split {split!r}, there are: {known}")
        self.names = tuple(entry.name for entry in self._entries)
        scenes = tuple(entry.scene for entry in self._entries)
        self.scenes = scenes if all(scenes) else None
        self.tasks = frozenset(task for task in _READERS if self.labelled(task))

    def __len__(self) -> int:
        """Samples of the split."""
        return len(self._entries)

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """See `SampleSource.sample`; the same in every epoch."""
        entry = self._entries[index]
        image = read_image(self._root / entry.image)
        truth, pseudo = {}, {}
        for task, label in entry.labels.items():
            path = self._root / label.file
            if label.state is LabelState.TRUTH:
                truth[task] = self._read(task, path)
                check_size(truth[task], image, path)
            elif label.state is LabelState.PSEUDO:
                values = self._read(task, path)
                confidence = read_mask(self._root / label.confidence)
                check_size(confidence, values, self._root / label.confidence)
                pseudo[task] = _PSEUDO[task](
                    values, (confidence / 255).astype(np.float32), self.label_map
                )
        return Sample(entry.name, image, truth, entry.intrinsics, pseudo)

    def labelled(self, task: str) -> Sequence[int]:
        """See `SampleSource.labelled`."""
        return self._in_state(task, LabelState.TRUTH)

    def pseudo_labelled(self, task: str) -> Sequence[int]:
        """See `SampleSource.pseudo_labelled`."""
        return self._in_state(task, LabelState.PSEUDO)

    def _in_state(self, task: str, state: LabelState) -> tuple[int, ...]:
        return tuple(
            index
            for index, entry in enumerate(self._entries)
            if task in entry.labels and entry.labels[task].state is state
        )

    def _read(self, task: str, path: Path) -> npt.NDArray[Any]:
        return _READERS[task](path, self.label_map)


def _ids(path: Path, label_map: LabelMap | None) -> Mask:
    if label_map is None:
        raise DatasetError(f"{path}: {FILE_NAME} names no label map")
    return check_ids(read_mask(path), label_map, path)


def _metres(path: Path, label_map: LabelMap | None) -> Floats:
    """(H, W) float32 metres, NaN = none."""
    depth = read_uint16(path).astype(np.float32)
    depth[depth == 0] = np.nan
    metres: Floats = depth / np.float32(1000)
    return metres


def _probabilities(mask: Mask, confidence: Floats, label_map: LabelMap | None) -> PseudoLabel:
    """The confidence for the mask's class, and what is left for the others alike."""
    classes = len(label_map or ())
    known = mask != UNLABELLED
    confidence = np.where(known, confidence, np.float32(0))
    first = np.where(known, confidence, np.float32(1 / classes))
    others = (1 - first) / np.float32(max(classes - 1, 1))
    value = np.repeat(others[..., None], classes, axis=2)
    chosen = np.where(known, mask, 0).astype(np.intp)[..., None]
    np.put_along_axis(value, chosen, first[..., None], axis=2)
    return PseudoLabel(value.astype(np.float32), confidence)


def _distances(depth: Floats, confidence: Floats, label_map: LabelMap | None) -> PseudoLabel:
    known = np.isfinite(depth)
    return PseudoLabel(depth[..., None], np.where(known, confidence, np.float32(0)))


_READERS: Mapping[str, Callable[[Path, LabelMap | None], npt.NDArray[Any]]] = {
    "segmentation": _ids,
    "depth": _metres,
}
_PSEUDO: Mapping[str, Callable[[Any, Floats, LabelMap | None], PseudoLabel]] = {
    "segmentation": _probabilities,
    "depth": _distances,
}


def _inside(path: str) -> None:
    parts = PurePosixPath(path).parts
    if ".." in parts or path.startswith("/") or "\\" in path:
        raise DatasetError(f"a path inside the folder expected, got {path!r}")


def _read(path: Path) -> tuple[LabelMap | None, list[Entry]]:
    fields = read_json(path)
    expected = {"schema", "label_map", "tasks", "samples"}
    if not isinstance(fields, dict) or fields.keys() != expected:
        raise DatasetError(
            f"{path}: an object of {', '.join(sorted(expected))} expected, got {fields!r:.200}"
        )
    if fields["schema"] != SCHEMA:
        raise DatasetError(f"{path}: schema {SCHEMA} expected, got {fields['schema']!r}")
    try:
        label_map = _label_map(fields["label_map"])
        entries = [Entry.of(entry) for entry in fields["samples"]]
        _check(entries, set(fields["tasks"]))
    except (AttributeError, KeyError, TypeError, ValueError, MtlError, DatasetError) as err:
        raise DatasetError(
            f"{path}: {err if isinstance(err, DatasetError) else repr(err)}"
        ) from err
    return label_map, entries


def _label_map(stored: Any) -> LabelMap | None:
    if stored is None:
        return None
    return LabelMap.load(stored) if isinstance(stored, str) else LabelMap.from_dict(stored)


def _check(entries: Iterable[Entry], tasks: set[str]) -> None:
    if unknown := tasks - _READERS.keys():
        raise DatasetError(
            f"tasks {' and '.join(_READERS)} can be stored, got {', '.join(sorted(unknown))}"
        )
    seen: set[str] = set()
    for entry in entries:
        if entry.name in seen:
            raise DatasetError(f"the name {entry.name!r} stands there twice")
        if unlisted := entry.labels.keys() - tasks:
            raise DatasetError(
                f"{entry.name}: labels of {', '.join(sorted(unlisted))}, "
                f"but `tasks` lists: {', '.join(sorted(tasks)) or 'none'}"
            )
        seen.add(entry.name)
