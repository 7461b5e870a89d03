"""The contact sheet: what went in, what came out, and the truth where it is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mtl_bags.compose import cdr_stamp_ns
from mtl_bags.messages import to_colour_image, to_depth, to_mask
from mtl_bags.reader import BagReader
from mtl_bags.synthetic import TRUTH_DEPTH_TOPIC, TRUTH_MASK_TOPIC
from mtl_core.draw import Bgr, colour_depth, contact_sheet, legend, overlay
from mtl_core.labels import LabelMap
from mtl_perception.demo.replay import DEPTH, MASK
from mtl_perception.demo.score import TRUTH_LABELS

_ROWS = 6
_TILE_WIDTH = 384

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _Column:
    """A column of the sheet, by stamp."""

    title: str
    pictures: dict[int, Array]


def write_sheet(
    path: Path, recording: BagReader, image_topic: str, answers: BagReader, label_map: LabelMap
) -> None:
    """Write a PNG of frames evenly spread over those answered; nothing where none was.

    Args:
        path: File to write.
        recording: What was played.
        image_topic: Its colour images.
        answers: What the node published.
        label_map: Of the node's model.
    """
    answered = _stamps(answers, MASK) & _stamps(answers, DEPTH)
    stamps = _spread(answered & _stamps(recording, image_topic))
    if not stamps:
        return
    images = _read(recording, image_topic, stamps, lambda m: to_colour_image(m).bgr())
    masks = _read(answers, MASK, stamps, to_mask)
    depths = _read(answers, DEPTH, stamps, to_depth)
    true_masks = _read(recording, TRUTH_MASK_TOPIC, stamps, to_mask)
    true_depths = _read(recording, TRUTH_DEPTH_TOPIC, stamps, to_depth)
    far_m = _far(list((true_depths or depths).values()))
    columns = [
        _Column("input", images),
        _Column("segmentation", _overlaid(images, masks, label_map)),
        _Column("true labels", _overlaid(images, true_masks, LabelMap.load(TRUTH_LABELS))),
        _Column(f"depth, 0 to {far_m:.1f} m", _coloured(depths, far_m)),
        _Column("true depth", _coloured(true_depths, far_m)),
    ]
    cv2.imwrite(str(path), _drawn([c for c in columns if c.pictures], stamps, label_map))


def _stamps(bag: BagReader, topic: str) -> set[int]:
    if topic not in {t.name for t in bag.topics}:
        return set()
    return {cdr_stamp_ns(record.data) for record in bag.messages([topic])}


def _spread(stamps: set[int]) -> list[int]:
    ordered = sorted(stamps)
    chosen = np.linspace(0, len(ordered) - 1, min(_ROWS, len(ordered)))
    return [ordered[round(index)] for index in chosen]


def _read(
    bag: BagReader, topic: str, stamps: Sequence[int], convert: Callable[[Any], Array]
) -> dict[int, Array]:
    """Return the arrays of these stamps; none at all where the recording lacks the topic."""
    if topic not in {t.name for t in bag.topics}:
        return {}
    return {
        stamp_ns: convert(bag.deserialize(record))
        for record in bag.messages([topic])
        if (stamp_ns := cdr_stamp_ns(record.data)) in stamps
    }


def _far(depths: Sequence[Array]) -> float:
    return float(max(np.nanpercentile(depth, 99) for depth in depths))


def _overlaid(
    images: dict[int, Array], masks: dict[int, Array], label_map: LabelMap
) -> dict[int, Array]:
    return {stamp: overlay(images[stamp], mask, label_map) for stamp, mask in masks.items()}


def _coloured(depths: dict[int, Array], far_m: float) -> dict[int, Array]:
    return {stamp: colour_depth(depth, far_m) for stamp, depth in depths.items()}


def _drawn(columns: Sequence[_Column], stamps: Sequence[int], label_map: LabelMap) -> Bgr:
    rows = [[_tile(column.pictures[stamp]) for column in columns] for stamp in stamps]
    sheet = contact_sheet(rows, [column.title for column in columns])
    return np.vstack([sheet, legend(label_map, sheet.shape[1])])


def _tile(picture: Array) -> Array:
    height, width = picture.shape[:2]
    size = (_TILE_WIDTH, round(_TILE_WIDTH * height / width))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
