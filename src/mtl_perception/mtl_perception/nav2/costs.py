"""What the classes of a label map mean to a robot that drives: free, caution or lethal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mtl_core.labels import LabelMap
from mtl_perception.errors import PerceptionError
from mtl_perception.resources import share_path

LARGEST_COST = 254
"""`LETHAL_OBSTACLE` of nav2_costmap_2d; 255 is what it does not know."""

LARGEST_MARK = 254
"""The layer asks for a mean confidence strictly above the mark, and 255 is the largest there is."""


@dataclass(frozen=True)
class Level:
    """How the semantic layer treats a group of classes; the names are its parameters.

    Attributes:
        base_cost: Of a cell as long as the condition below does not hold.
        max_cost: Of a cell with so many samples whose mean confidence is above the mark.
        mark_confidence: 0 to 254, of 255.
        samples_to_max_cost: Frames that saw the class there, within `tile_map_decay_time`.
        dominant_priority: One sample outweighs all those of other classes.
    """

    base_cost: int
    max_cost: int
    mark_confidence: int
    samples_to_max_cost: int
    dominant_priority: bool


LEVELS: Mapping[str, Level] = {
    "free": Level(0, 0, 0, 0, False),
    "caution": Level(64, 128, 63, 3, False),
    "lethal": Level(128, 254, 63, 3, True),
}
"""One noisy frame costs, but does not block; three frames that are sure enough do. Something that
comes into a cell long seen free counts at once."""


@dataclass(frozen=True)
class CostTable:
    """Which level each class of a label map has.

    Attributes:
        label_map: Whose classes.
        groups: Levels with their classes, in the order of `LEVELS`; none is empty.

    Raises:
        PerceptionError: A level or class is unknown, or a class has no level or two.
    """

    label_map: LabelMap
    groups: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        """Refuse what is not the label map's, and what leaves a class of it out."""
        name, classes = self.label_map.name, self.label_map.classes
        if unknown := sorted(set(self.groups) - set(LEVELS)):
            raise PerceptionError(f"unknown levels {_listed(unknown)}; there are {_listed(LEVELS)}")
        given = [one for group in self.groups.values() for one in group]
        faults = {
            f"not of {name}": set(given) - set(classes),
            "with two levels": {one for one in given if given.count(one) > 1},
            "without a level": set(classes) - set(given),
        }
        if any(faults.values()):
            said = "; ".join(f"{what}: {_listed(sorted(f))}" for what, f in faults.items() if f)
            raise PerceptionError(f"classes {said}; expected each of {_listed(classes)} once")

    @classmethod
    def load(cls, label_map: LabelMap, path: Path | None = None) -> CostTable:
        """Read a table.

        Args:
            label_map: Whose classes it is of.
            path: The file; None: the one that ships for the label map.

        Raises:
            PerceptionError: There is none, it cannot be read, or it does not fit the label map.
        """
        path = path or _shipped(label_map.name)
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
            raise PerceptionError(f"cost table {path}: {err}") from err
        try:
            return cls(label_map, _groups(content))
        except PerceptionError as err:
            raise PerceptionError(f"cost table {path}: {err}") from err

    def ids(self, level: str) -> tuple[int, ...]:
        """Class ids of a level."""
        return tuple(self.label_map.index(name) for name in self.groups.get(level, ()))


def _groups(content: Any) -> dict[str, tuple[str, ...]]:
    listed = isinstance(content, dict) and all(isinstance(v, list) for v in content.values())
    if not listed:
        raise PerceptionError(f"expected 'LEVEL: [CLASS, ...]' lines, got {content!r:.80}")
    known = [level for level in LEVELS if content.get(level)]
    others = [level for level in content if level not in LEVELS]
    return {level: tuple(map(str, content[level])) for level in (*known, *others)}


def _shipped(label_map: str) -> Path:
    folder = share_path("config", "nav2", "costs")
    path = folder / f"{label_map}.yaml"
    if not path.is_file():
        there = _listed(sorted(one.stem for one in folder.glob("*.yaml")))
        raise PerceptionError(
            f"no cost table ships for the label map {label_map!r}, only for {there}; name a file"
        )
    return path


def _listed(names: Any) -> str:
    return ", ".join(map(str, names))
