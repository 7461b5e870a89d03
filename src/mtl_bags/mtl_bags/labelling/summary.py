"""How a recording was labelled, and what became of it: a file in the labelled one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtl_bags.errors import BagError
from mtl_bags.frames import SLOP_NS
from mtl_bags.writer import Storage

SUMMARY = "mtl_labels.json"
"""In the new recording's folder: what was done, and how."""

Identity = Mapping[str, Any]
"""What a result depends on: source, model and settings, as plain types."""


@dataclass(frozen=True)
class Settings:
    """How recordings are labelled.

    Attributes:
        colour: Topic of the colour images; None = found by type and name.
        depth: Topic of the depth images, `none` for none; None = likewise.
        slop_ns: The largest difference between the stamps of colour and depth of a frame.
        flip: Ask the teacher for the mirror image too.
        everywhere: Offer depth also where the sensor has some.
        labels_only: Leave the original messages out.
        storage: Of the new recording.
        fx: Focal length where no camera_info says it, pixels; 0 = the model's own.
    """

    colour: str | None = None
    depth: str | None = None
    slop_ns: int = SLOP_NS
    flip: bool = True
    everywhere: bool = False
    labels_only: bool = False
    storage: Storage = "mcap"
    fx: float = 0.0


@dataclass(frozen=True)
class Summary:
    """What became of a recording.

    Attributes:
        source: The recording.
        out: The new one.
        model: Name of the teacher.
        model_sha256: Of its file.
        settings: How it was labelled.
        topics: What was read.
        frames: Images that there were.
        labelled: Images with labels.
        problems: How many images had which problem.
        tally: Pairs of colour and depth, stamps that repeat or go backwards.
        depth_ratio: The sensor's depth over the teacher's, by percentile over images: where it is
            not about 1, the camera's focal length is not what camera_info says, or the scenes are
            not what the teacher knows. Empty without a sensor.
        damage: What of the recording could not be read.
    """

    source: str
    out: str
    model: str
    model_sha256: str
    settings: dict[str, Any]
    topics: dict[str, str | None]
    frames: int
    labelled: int
    problems: dict[str, int]
    tally: dict[str, int]
    depth_ratio: dict[str, float]
    damage: list[str]

    def to_json(self, identity: Identity) -> str:
        """The text that `read_summary` reads."""
        return json.dumps({"identity": identity, **asdict(self)}, indent=1)


def read_summary(labelled: Path) -> tuple[Summary, dict[str, Any]]:
    """What was done to make a labelled recording, and what its work is known by.

    Raises:
        BagError: It is none.
    """
    try:
        found = json.loads((labelled / SUMMARY).read_text(encoding="utf-8"))
        identity = found.pop("identity")
        return Summary(**found), identity
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise BagError(f"{labelled} exists, and is no labelled recording: {err}") from err


def finished(out: Path, identity: Identity) -> Summary:
    """The summary of what stands there, if it is what is asked for.

    Raises:
        BagError: It is something else.
    """
    summary, before = read_summary(out)
    wanted = json.loads(json.dumps(identity))
    if before != wanted:
        changed = [key for key in wanted if before.get(key) != wanted[key]]
        raise BagError(
            f"{out} exists, made of or with something else ({', '.join(changed)}): "
            "remove it or name another folder"
        )
    return summary


def percentiles(values: list[float]) -> dict[str, float]:
    """Some percentiles by name; none of nothing."""
    if not values:
        return {}
    points = (5, 25, 50, 75, 95)
    found = np.percentile(values, points).tolist()
    return {str(point): round(value, 4) for point, value in zip(points, found, strict=True)}
