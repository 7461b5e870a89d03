"""What a folder of pseudo-labels says of itself: `pseudo.json`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from mtl_core.errors import LabelMapError
from mtl_core.labels import LabelMap
from mtl_training.config import DataConfig
from mtl_training.data.files import read_json
from mtl_training.errors import ConfigError, DatasetError, ResumeError
from mtl_training.files import write_json
from mtl_training.settings import Settings, config_fields, parse_config

SCHEMA = 2
RECORD = "pseudo.json"

LEVEL_COUNT = 256
"""Confidences that a file can hold; the first one, 0, means that there is no label."""


@dataclass(frozen=True)
class Recipe(Settings):
    """All that decides what the labels of an image are; a folder holds those of one recipe.

    Attributes:
        teacher: Name of the model.
        sha256: Of its weights or ONNX file.
        teacher_data: What it was trained on, in its card's words.
        licence: Of its weights, in its card's words.
        tasks: What is labelled.
        label_map: Classes of the teacher's segmentation; None where it has none.
        signals: Inputs in which the teacher sees other tasks' ground truth beside the image.
        flip: Whether the mirror image is predicted too.
        everywhere: Whether what has ground truth is labelled as well.
        temperatures: By task, where they are not part of the teacher's file.
        data: What is labelled, see `described`; None = samples of no configuration.
    """

    teacher: str
    sha256: str
    teacher_data: tuple[str, ...]
    licence: str
    tasks: tuple[str, ...]
    label_map: LabelMap | None
    signals: tuple[str, ...]
    flip: bool
    everywhere: bool
    temperatures: dict[str, float]
    data: DataConfig | None


@dataclass(frozen=True)
class Record(Settings):
    """What `pseudo.json` says.

    Attributes:
        recipe: How the labels are made.
        finished: Whether every image of the data was done.
        labelled: By task, names of the samples that have labels; empty until done.
        histograms: By task and group, cells at each of the 256 confidences; empty until done.
        schema: Version of the folder's layout.
    """

    recipe: Recipe
    finished: bool = False
    labelled: dict[str, tuple[str, ...]] = field(default_factory=dict)
    histograms: dict[str, dict[str, tuple[int, ...]]] = field(default_factory=dict)
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        """Refuse a finished record whose names or counts do not fit its tasks."""
        for what, found in (("histograms", self.histograms), ("names", self.labelled)):
            if self.finished and found.keys() != set(self.recipe.tasks):
                raise DatasetError(
                    f"{what} of {', '.join(self.recipe.tasks)} expected, "
                    f"got {', '.join(found) or 'none'}"
                )
        rows = [row for groups in self.histograms.values() for row in groups.values()]
        if wrong := {len(row) for row in rows} - {LEVEL_COUNT}:
            raise DatasetError(f"histograms of {LEVEL_COUNT} counts expected, got {wrong}")

    @cached_property
    def names(self) -> frozenset[str]:
        """Of all samples that have labels."""
        return frozenset().union(*self.labelled.values())

    @classmethod
    def read(cls, folder: Path) -> Record:
        """That of a folder.

        Raises:
            DatasetError: There is none, it is damaged or of another schema.
        """
        path = folder / RECORD
        fields = read_json(path)
        schema = fields.get("schema") if isinstance(fields, dict) else None
        # The schema decides what the other fields may be, so it is judged before them.
        if schema != SCHEMA:
            raise DatasetError(f"{path}: pseudo-labels of schema {SCHEMA} expected, got {schema!r}")
        try:
            return parse_config(cls, fields, str(path))
        except (ConfigError, DatasetError, LabelMapError) as err:
            raise DatasetError(f"{path}: not a record of pseudo-labels: {err}") from err

    def write(self, folder: Path) -> None:
        """Write it into a folder, which is made if there is none.

        Raises:
            OutputError: It cannot be written.
        """
        write_json(folder / RECORD, config_fields(self))

    def check(self, recipe: Recipe, folder: Path) -> None:
        """Refuse another recipe.

        Raises:
            ResumeError: It differs; what differs is named.
        """
        there, now = config_fields(self.recipe), config_fields(recipe)
        if differing := [
            f"{key}: {there[key]!r:.80} there, {now[key]!r:.80} now"
            for key in now
            if there[key] != now[key]
        ]:
            raise ResumeError(
                f"{folder}: holds pseudo-labels of another recipe, choose another folder; "
                f"{'; '.join(differing)}"
            )


def described(data: DataConfig) -> DataConfig:
    """Data by content: in place of a protocol's path stands the SHA-256 of that file.

    Raises:
        DatasetError: There is no such file.
    """
    protocol = sha256_of(Path(data.protocol)) if data.protocol else ""
    return replace(data, protocol=protocol, pseudo="")


def sha256_of(path: Path) -> str:
    """Of a file.

    Raises:
        DatasetError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as err:
        raise DatasetError(f"{path}: cannot be read: {err}") from err
