"""Label maps: which class id has which name and colour. One YAML file each, beside this module.

A file has `classes`, names with colours in the order of their ids, or `join`, names of other maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from mtl_core.errors import LabelMapError

UNLABELLED = 255
"""The id of a pixel without a class, in every uint8 mask of this project."""

_FOLDER = Path(__file__).parent / "label_maps"


@dataclass(frozen=True)
class LabelMap:
    """Names and RGB colours of the classes 0 .. len - 1.

    Raises:
        LabelMapError: Counts differ, a name repeats, or a colour is not three bytes.
    """

    name: str
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]

    def __post_init__(self) -> None:
        """Refuse a map that contradicts itself."""
        if len(self.classes) != len(self.colours):
            raise LabelMapError(
                f"{self.name}: {len(self.classes)} names but {len(self.colours)} colours"
            )
        if not 0 < len(self.classes) < UNLABELLED:
            raise LabelMapError(f"{self.name}: 1 to 254 classes expected, got {len(self.classes)}")
        if repeated := sorted({c for c in self.classes if self.classes.count(c) > 1}):
            raise LabelMapError(f"{self.name}: class names repeat: {', '.join(repeated)}")
        for colour in self.colours:
            if len(colour) != 3 or not all(isinstance(v, int) and 0 <= v <= 255 for v in colour):
                raise LabelMapError(f"{self.name}: a colour is three integers 0..255, got {colour}")

    def __len__(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @staticmethod
    def available() -> tuple[str, ...]:
        """Names that `load` knows."""
        return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))

    @classmethod
    def load(cls, name: str) -> LabelMap:
        """Read one of the maps that ship with this package.

        Raises:
            LabelMapError: There is no map of that name.
        """
        if name not in cls.available():
            raise LabelMapError(f"unknown label map {name!r}, known: {', '.join(cls.available())}")
        content = yaml.safe_load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
        if "join" in content:
            return cls.joined(name, [cls.load(part) for part in content["join"]])
        entries = content["classes"]
        return cls(name, tuple(entries), tuple(tuple(c) for c in entries.values()))

    @classmethod
    def joined(cls, name: str, parts: Sequence[LabelMap]) -> LabelMap:
        """The classes of several maps, one after the other; a name that comes again is one class.

        Ids and colours of a class are those of the first map that has it.

        Raises:
            LabelMapError: Two classes have one colour, or there are too many or none.
        """
        colours: dict[str, tuple[int, int, int]] = {}
        owners: dict[tuple[int, int, int], str] = {}
        for part in parts:
            for one, colour in zip(part.classes, part.colours, strict=True):
                owner = owners.setdefault(colours.setdefault(one, colour), one)
                if owner != one:
                    raise LabelMapError(f"{name}: {owner} and {one} have one colour, {colour}")
        return cls(name, tuple(colours), tuple(colours.values()))

    @classmethod
    def of_classes(cls, classes: Mapping[int, str]) -> LabelMap:
        """The map of these ids and names: one that ships, or one with colours made up for it.

        Raises:
            LabelMapError: The ids are not 0, 1, 2, ..., or the map contradicts itself.
        """
        if sorted(classes) != list(range(len(classes))):
            raise LabelMapError(f"ids 0 to {len(classes) - 1} expected, got {sorted(classes)}")
        names = tuple(classes[number] for number in range(len(classes)))
        for known in map(cls.load, cls.available()):
            if known.classes == names:
                return known
        hues = np.arange(len(names)) * 180 // max(len(names), 1)
        hsv = np.stack([hues, np.full_like(hues, 160), np.full_like(hues, 220)], axis=1)
        rgb = cv2.cvtColor(hsv[None].astype(np.uint8), cv2.COLOR_HSV2RGB)[0]
        return cls("custom", names, tuple((int(r), int(g), int(b)) for r, g, b in rgb))

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> LabelMap:
        """Rebuild a map from `to_dict`.

        Raises:
            LabelMapError: A field is missing, unknown or of the wrong kind.
        """
        if not isinstance(fields, dict) or fields.keys() != {"name", "classes", "colours"}:
            raise LabelMapError(
                f"not a label map: expected name, classes and colours, got {fields!r:.200}"
            )
        try:
            return cls(
                name=str(fields["name"]),
                classes=tuple(str(c) for c in fields["classes"]),
                colours=tuple(tuple(c) for c in fields["colours"]),
            )
        except TypeError as err:
            raise LabelMapError(f"not a label map ({err!r}): {fields!r:.200}") from err

    def to_dict(self) -> dict[str, Any]:
        """The map as plain JSON types."""
        return {
            "name": self.name,
            "classes": list(self.classes),
            "colours": [list(c) for c in self.colours],
        }

    def index(self, class_name: str) -> int:
        """Id of a class.

        Raises:
            LabelMapError: The map has no such class.
        """
        if class_name not in self.classes:
            raise LabelMapError(
                f"{self.name} has no class {class_name!r}, it has: {', '.join(self.classes)}"
            )
        return self.classes.index(class_name)

    def translation(self, other: LabelMap) -> npt.NDArray[np.uint8]:
        """What each id is in a map that has all classes of this one, by name.

        Returns:
            (256,) uint8; 255 and ids without a class become 255.

        Raises:
            LabelMapError: The other map lacks a class, which is named.
        """
        if lacking := [one for one in self.classes if one not in other.classes]:
            raise LabelMapError(f"{other.name} lacks {', '.join(lacking)} of {self.name}")
        table = np.full(256, UNLABELLED, np.uint8)
        table[: len(self)] = [other.classes.index(one) for one in self.classes]
        return table

    def colourise(self, mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Paint a mask: (H, W) uint8 ids to (H, W, 3) uint8 RGB; ids without a class are black."""
        table = np.zeros((256, 1, 3), np.uint8)
        table[: len(self), 0] = self.colours
        painted: npt.NDArray[np.uint8] = cv2.LUT(cv2.merge([mask] * 3), table)  # type: ignore[assignment]
        return painted
