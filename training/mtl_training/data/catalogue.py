"""All data sets by name, and by what their folders look like."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mtl_core.card import CLASSES
from mtl_core.errors import LabelMapError
from mtl_core.labels import LabelMap
from mtl_training.config import DataConfig
from mtl_training.data import nyuv2_mat, recording
from mtl_training.data.camvid import CamVid
from mtl_training.data.cityscapes import TABLES, Cityscapes
from mtl_training.data.files import data_root
from mtl_training.data.npy import LABEL_FOLDERS as NPY_FOLDERS
from mtl_training.data.npy import Npy
from mtl_training.data.nyuv2_folder import LABEL_FOLDERS, NYUv2Folder
from mtl_training.data.nyuv2_mat import NYUv2Mat
from mtl_training.data.recording import Recording
from mtl_training.data.rooms import FixedRooms, HeldOutRooms, Rooms
from mtl_training.data.source import SampleSource
from mtl_training.data.translated import in_classes
from mtl_training.errors import ConfigError, DatasetError

HELD_OUT_FRAMES = 6
"""Frames of each held-out room."""


@dataclass(frozen=True)
class View:
    """At which size and focal length, in pixels, synthetic sources render for training."""

    height: int
    width: int
    canonical_fx: float


@dataclass(frozen=True)
class FileSource:
    """A data set that lies on a disk.

    Attributes:
        open: Opens (root, split, classes).
        looks_like: Whether a folder, or a file, holds one.
        signs: What `looks_like` looks for.
        usual_root: Its place below `$MTL_DATA`; "" = it has none.
        classes: Label maps that it offers for a root, the usual one first; empty = its own alone.
    """

    open: Callable[[Path, str, str], SampleSource]
    looks_like: Callable[[Path], bool]
    signs: str
    usual_root: str = ""
    classes: Callable[[Path], tuple[str, ...]] = field(default=lambda root: ())

    def __call__(self, data: DataConfig, view: View | None, seed: int) -> SampleSource:
        """Open what the configuration names; see `open_source`."""
        if not data.root and not self.usual_root:
            raise ConfigError(f"source {data.source!r} has no usual place: root is needed")
        root = Path(data.root or self.usual_root)
        root = root if root.is_absolute() else data_root() / root
        if not root.exists():
            raise DatasetError(f"{root}: no such folder or file")
        return self.open(root, data.split, self._classes(data, root))

    def _classes(self, data: DataConfig, root: Path) -> str:
        """What is asked for, else the first that can be translated into it, else the usual."""
        offered = self.classes(root)
        if not data.classes or data.classes in offered:
            return data.classes or next(iter(offered), "")
        wanted = set(LabelMap.load(data.classes).classes)
        contained = (one for one in offered if wanted.issuperset(LabelMap.load(one).classes))
        return next(contained, next(iter(offered), ""))


def _npy_classes(root: Path) -> tuple[str, ...]:
    """The label maps whose folders are in a split."""
    there = {folder.name for folder in root.glob("*/label*") if folder.is_dir()}
    if found := tuple(classes for classes, folder in NPY_FOLDERS.items() if folder in there):
        return found
    raise DatasetError(f"{root}: one of {', '.join(dict.fromkeys(NPY_FOLDERS.values()))} expected")


def _mat_file(root: Path) -> Path:
    return root / nyuv2_mat.FILE_NAME if root.is_dir() else root


def _rooms(kind: type[Rooms]) -> Callable[[DataConfig, View | None, int], SampleSource]:
    def opened(data: DataConfig, view: View | None, seed: int) -> SampleSource:
        if view is None:
            raise ConfigError(f"source {data.source!r} is rendered for a network: none is given")
        return kind(data.frames, view.height, view.width, view.canonical_fx, seed)

    return opened


def _held_out(data: DataConfig, view: View | None, seed: int) -> SampleSource:
    return HeldOutRooms(-(-data.frames // HELD_OUT_FRAMES), HELD_OUT_FRAMES)


FILE_SOURCES: Mapping[str, FileSource] = {
    "nyuv2": FileSource(
        NYUv2Folder,
        lambda root: (root / "rgb").is_dir() and (root / "depth8").is_dir(),
        "rgb/, depth8/, label13/ and lists *.txt",
        "nyuv2",
        lambda root: tuple(LABEL_FOLDERS),
    ),
    "nyuv2-mat": FileSource(
        lambda root, split, classes: NYUv2Mat(_mat_file(root), split, classes),
        lambda root: _mat_file(root).suffix == ".mat" and _mat_file(root).is_file(),
        f"{nyuv2_mat.FILE_NAME}, or that file itself",
        "nyuv2",
        lambda root: tuple(nyuv2_mat.CLASS_MAP_NAMES),
    ),
    "npy": FileSource(
        Npy,
        lambda root: any(root.glob("*/image/*.npy")),
        "train/image/*.npy, val/image/*.npy",
        classes=_npy_classes,
    ),
    "cityscapes": FileSource(
        Cityscapes,
        lambda root: (root / "leftImg8bit").is_dir(),
        "leftImg8bit/",
        "cityscapes",
        lambda root: tuple(TABLES),
    ),
    "camvid": FileSource(
        lambda root, split, classes: CamVid(root, split),
        lambda root: any(root.glob("*annot/*.png")),
        "train/, trainannot/*.png",
        "camvid",
    ),
    "recording": FileSource(
        lambda root, split, classes: Recording(root, split),
        lambda root: (root / recording.FILE_NAME).is_file(),
        recording.FILE_NAME,
    ),
}
"""Data sets on disk."""

SOURCES: Mapping[str, Callable[[DataConfig, View | None, int], SampleSource]] = {
    **FILE_SOURCES,
    "rooms": _rooms(Rooms),
    "rooms-fixed": _rooms(FixedRooms),
    "held-out-rooms": _held_out,
}
"""Everything that `DataConfig.source` may name."""


def open_source(data: DataConfig, view: View | None = None, seed: int = 0) -> SampleSource:
    """Open a data set, in the classes that are asked for.

    Args:
        data: Which; its `protocol` and `pseudo` are not looked at.
        view: What synthetic sources are rendered for.
        seed: Of synthetic sources.

    Raises:
        ConfigError: The source or its classes are unknown, it has a class that these lack, or it
            lacks a root or a view.
        DatasetError: The data are absent or damaged.
    """
    if data.source not in SOURCES:
        raise ConfigError(f"unknown source {data.source!r}, known: {', '.join(SOURCES)}")
    try:
        source = SOURCES[data.source](data, view, seed)
        return in_classes(source, LabelMap.load(data.classes)) if data.classes else source
    except LabelMapError as err:
        raise ConfigError(f"source {data.source!r}, classes {data.classes!r}: {err}") from err


def with_classes_of(data: DataConfig, label_map: LabelMap | None) -> DataConfig:
    """The same data in a model's classes, where these have all of theirs; else as they are.

    Raises:
        DatasetError: The data are absent or damaged.
    """
    if label_map is None:
        return data
    wanted = replace(data, classes=label_map.name)
    try:
        open_source(wanted)
    except ConfigError:
        # Depth can be compared whatever the classes are; `check_same_classes` says where not.
        return data
    return wanted


def check_same_classes(
    label_map: LabelMap | None, source: SampleSource, names: Iterable[str]
) -> None:
    """Refuse data of other classes than a model's, where classes matter at all.

    Args:
        label_map: The model's; None = it has no classes.
        source: The data.
        names: Tasks and inputs that are learned, compared or given.

    Raises:
        ConfigError: The classes differ, whatever the maps are called.
    """
    theirs = source.label_map
    if label_map is None or theirs is None or not CLASSES.intersection(names):
        return
    if label_map.classes != theirs.classes:
        raise ConfigError(
            f"the model says the classes of {label_map.name}, the data have {theirs.name}"
        )


def recognise(root: Path) -> str:
    """The key of `SOURCES` for a folder or a file, told by its contents.

    Raises:
        DatasetError: Nothing is there, or nothing that a data set consists of.
    """
    if not root.exists():
        raise DatasetError(f"{root}: no such folder or file")
    for key, source in FILE_SOURCES.items():
        if source.looks_like(root):
            return key
    expected = "; ".join(f"{key}: {source.signs}" for key, source in FILE_SOURCES.items())
    raise DatasetError(f"{root}: no data set that is known. Looked for {expected}")
