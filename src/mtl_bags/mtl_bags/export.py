"""A labelled recording to a training set: the folder that `mtl-train` reads as `recording`."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mtl_bags import camera_info
from mtl_bags.errors import BagError
from mtl_bags.labelled import LabelledBag, LabelledFrame, Track
from mtl_bags.labelling.annotate import reason
from mtl_bags.messages import depth_of_size, to_colour_image, to_depth, to_mask
from mtl_bags.records import COMPRESSED_IMAGE
from mtl_core.depth import millimetres
from mtl_core.errors import MtlError
from mtl_core.images import ColourImage, check_whole
from mtl_core.labels import LabelMap

DATASET, SCHEMA = "dataset.json", 1

_THUMBNAIL = (32, 24)
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95]
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True)
class Selection:
    """Which frames are exported.

    Attributes:
        split: Name of the split that they belong to.
        min_confidence: Least mean confidence of a frame's mask, 0..1.
        min_change: Least mean difference (0..1) of a frame's brightness from that of the last one
            that was taken, on a thumbnail: leaves out what a standing robot sees again and again.
        sensor_depth: Take the sensor's depth as truth where a frame has some; else pseudo-depth.
    """

    split: str = "train"
    min_confidence: float = 0.0
    min_change: float = 0.0
    sensor_depth: bool = True


@dataclass
class Exported:
    """What became of the frames.

    Attributes:
        samples: Frames in the training set.
        left_out: Others, by reason.
    """

    samples: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def export(
    sources: Sequence[Path],
    out: Path,
    selection: Selection,
    track: Track = lambda frames, _: frames,
    *,
    colour: str | None = None,
    depth: str | None = None,
) -> Exported:
    """Export labelled recordings to one training set.

    Args:
        sources: Labelled recordings with the same classes.
        out: The folder to make; it appears when it is complete.
        selection: Which frames are taken.
        track: Wraps the frames, such as in a progress bar.
        colour: See `LabelledBag`.
        depth: Likewise.

    Raises:
        BagError: A recording cannot be read or has no labels, label maps differ, no frame is left,
            `out` is taken, or the disk is full.
    """
    done = Exported()
    with _growing(out) as folder:
        samples: list[dict[str, Any]] = []
        label_maps: list[LabelMap] = []
        for source, scene in zip(sources, _scenes(sources), strict=True):
            with LabelledBag(source, colour, depth) as bag:
                label_maps.append(bag.label_map)
                if bag.label_map != label_maps[0]:
                    raise BagError(f"{source} has other classes than {sources[0]}")
                exporter = _Exporter(bag, folder, selection, done, scene)
                samples += exporter.run(track)
                if bag.unlabelled:
                    done.left_out["without labels"] += bag.unlabelled
        if not samples:
            reasons = ", ".join(f"{count} x {why}" for why, count in done.left_out.items())
            raise BagError(f"no frame is left to export: {reasons or 'there are none'}")
        dataset = {
            "schema": SCHEMA,
            "label_map": label_maps[0].to_dict(),
            "tasks": sorted({task for sample in samples for task in sample["labels"]}),
            "samples": samples,
        }
        (folder / DATASET).write_text(json.dumps(dataset, indent=1), encoding="utf-8")
    return done


class _Exporter:
    """Writes the frames of one recording."""

    def __init__(
        self, bag: LabelledBag, folder: Path, selection: Selection, done: Exported, scene: str
    ) -> None:
        self._bag, self._folder, self._selection = bag, folder, selection
        self._done, self._scene = done, scene
        self._last: npt.NDArray[np.int64] | None = None
        self._names: set[str] = set()

    def run(self, track: Track) -> Iterator[dict[str, Any]]:
        for frame in track(self._bag, self._bag.camera.colour.count):
            try:
                sample = self._sample(frame)
            except (BagError, MtlError, ValueError) as err:
                self._done.left_out[f"not read: {reason(err)}"] += 1
                continue
            if sample:
                self._done.samples += 1
                yield sample

    def _sample(self, frame: LabelledFrame) -> dict[str, Any] | None:
        """Write a frame's files; None where it is left out."""
        message = self._bag.deserialize(frame.frame.image)
        picture = to_colour_image(message)
        mask = to_mask(self._bag.deserialize(frame.mask))
        confidence = to_mask(self._bag.deserialize(frame.confidence))
        if why := self._unwanted(picture, confidence):
            self._done.left_out[why] += 1
            return None
        name = self._name(frame)
        files = _Files(self._folder, name)
        labels = {
            "segmentation": {
                "state": "pseudo",
                "file": files.png("segmentation", mask),
                "confidence": files.png("confidence/segmentation", confidence),
            },
            **self._depth(frame, files, mask.shape),
        }
        return {
            "name": name,
            "split": self._selection.split,
            "scene": self._scene,
            "image": files.image(frame, message, picture),
            "intrinsics": self._intrinsics(frame, picture),
            "labels": labels,
        }

    def _unwanted(self, picture: ColourImage, confidence: npt.NDArray[np.uint8]) -> str:
        if confidence.mean() / 255 < self._selection.min_confidence:
            return "not confident enough"
        grey = cv2.cvtColor(picture.bgr(), cv2.COLOR_BGR2GRAY)
        small = cv2.resize(grey, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.int64)
        if self._last is not None:
            change = float(np.abs(small - self._last).mean()) / 255
            if change < self._selection.min_change:
                return "too like the one before"
        self._last = small
        return ""

    def _depth(
        self, frame: LabelledFrame, files: _Files, size: tuple[int, ...]
    ) -> dict[str, dict[str, str]]:
        if self._selection.sensor_depth and frame.frame.depth:
            depth = to_depth(self._bag.deserialize(frame.frame.depth))
            depth = depth_of_size(depth, *size)
            return {"depth": {"state": "truth", "file": files.png("depth", millimetres(depth))}}
        if frame.depth and frame.depth_confidence:
            depth = to_depth(self._bag.deserialize(frame.depth))
            confidence = to_mask(self._bag.deserialize(frame.depth_confidence))
            return {
                "depth": {
                    "state": "pseudo",
                    "file": files.png("depth", millimetres(depth)),
                    "confidence": files.png("confidence/depth", confidence),
                }
            }
        return {}

    def _intrinsics(self, frame: LabelledFrame, picture: ColourImage) -> dict[str, Any] | None:
        if frame.frame.camera_info is None:
            return None
        info = self._bag.deserialize(frame.frame.camera_info)
        intrinsics = camera_info.intrinsics(info, picture)
        return asdict(intrinsics) if intrinsics else None

    def _name(self, frame: LabelledFrame) -> str:
        """Recording, topic and stamp; unique also where stamps repeat."""
        topic = _NOT_IN_NAMES.sub("_", self._bag.camera.colour.name).strip("_")
        stem = f"{self._scene}-{topic}-{frame.frame.stamp_ns}"
        name, count = stem, 1
        while name in self._names:
            count += 1
            name = f"{stem}-{count}"
        self._names.add(name)
        return name


@dataclass(frozen=True)
class _Files:
    """The files of one sample; each method writes one and returns its path in the folder."""

    folder: Path
    name: str

    def png(self, kind: str, pixels: npt.NDArray[Any]) -> str:
        data = cv2.imencode(".png", pixels)[1].tobytes()
        return self._write(f"{kind}/{self.name}.png", data)

    def image(self, frame: LabelledFrame, message: Any, picture: ColourImage) -> str:
        """The camera's own JPEG or PNG as it is; raw images as JPEG."""
        if frame.frame.image.msgtype == COMPRESSED_IMAGE:
            data = bytes(message.data)
            suffix = {"JPEG": "jpg", "PNG": "png"}[check_whole(data)]
            return self._write(f"image/{self.name}.{suffix}", data)
        data = cv2.imencode(".jpg", picture.bgr(), _JPEG)[1].tobytes()
        return self._write(f"image/{self.name}.jpg", data)

    def _write(self, name: str, data: bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return name


def _scenes(sources: Sequence[Path]) -> list[str]:
    """The recordings' names in the training set; numbered where two are called alike."""
    names = [_NOT_IN_NAMES.sub("_", one.resolve().stem) for one in sources]
    return [
        name if names.count(name) == 1 else f"{name}_{place}" for place, name in enumerate(names)
    ]


@contextmanager
def _growing(out: Path) -> Iterator[Path]:
    """A hidden folder that takes its name when the block ends well."""
    if out.exists():
        raise BagError(f"{out} exists already")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
        try:
            yield folder
            folder.chmod(0o755)
            os.rename(folder, out)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as err:
        raise BagError(f"cannot write {out}: {err}") from err
