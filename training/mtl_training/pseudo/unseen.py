"""That a network is calibrated on samples that it was not trained on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mtl_training.cards import ancestry
from mtl_training.config import DataConfig, TrainConfig
from mtl_training.data.catalogue import FILE_SOURCES, View, open_source
from mtl_training.data.protocols import Assignment
from mtl_training.errors import ConfigError
from mtl_training.learning.checkpoint import Trained
from mtl_training.pseudo.record import described
from mtl_training.settings import parse_config


def check_unseen(trained: Trained, names: Collection[str], data: DataConfig) -> None:
    """Refuse samples that a run, or one that it started from, has trained on.

    Args:
        trained: The run.
        names: Of the samples. Images of one kind are told apart by them, wherever they lie.
        data: What the samples are part of. What its protocol sets aside is unseen where a teacher
            was trained with a protocol of the same content.

    Raises:
        ConfigError: The run was trained on some of them.
        DatasetError: The data that the run was trained on are absent, so that nobody can tell.
    """
    seen: set[str] = set()
    for record in ancestry(trained.record):
        seen |= _seen(record, data, str(trained.path))
    if known := seen.intersection(names):
        raise ConfigError(
            f"{trained.path}: trained on {len(known)} of the {len(names)} samples that are to "
            f"calibrate it, such as {min(known)!r}; calibrate on what the protocol that it was "
            "trained with sets aside, or on a split that it has not seen"
        )


def _seen(record: Mapping[str, Any], data: DataConfig, where: str) -> set[str]:
    config = parse_config(TrainConfig, record["config"], where)
    size = config.network
    view = View(size.height, size.width, config.tasks.canonical_fx)
    aside: frozenset[str] = frozenset()
    if data.protocol and size.role == "teacher":
        aside = Assignment.load(Path(data.protocol)).calibration
    content = described(data).protocol
    seen: set[str] = set()
    for one in (one for one in config.data if _kind(one) == _kind(data)):
        names = frozenset(open_source(one, view, config.seed).names)
        same = one.protocol and record.get("protocols", {}).get(one.protocol) == content
        seen |= names - aside if same else names
    return seen


def _kind(data: DataConfig) -> str:
    """What images of the same name are the same; all that are rendered count as one kind."""
    file = FILE_SOURCES.get(data.source)
    return (file.usual_root or data.source) if file else "rendered"
