"""Files appear under their final name only when they are complete."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mtl_training.errors import OutputError

_PART = re.compile(r"\.part-(\d+)(\.|$)")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, which takes its place when the block has gone well.

    The temporary file keeps the suffix, by which libraries choose formats. Should the block fail,
    it is removed and what stood at `path` stays. What a killed process leaves, `remove_orphans`
    finds.

    Raises:
        OutputError: The disk is full, or nothing can be written there.
    """
    part = path.with_name(f"{path.stem}.part-{os.getpid()}{path.suffix}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            _flush(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Translate the system's errors while a file is written.

    Raises:
        OutputError: The disk is full, or nothing can be written there.
    """
    try:
        yield
    except OSError as err:
        raise OutputError(f"{path}: not written, what stood there is kept: {err}") from err


def remove_orphans(folder: Path) -> None:
    """Delete what processes that no longer run had not finished writing there."""
    for path in folder.glob("*.part-*"):
        if (found := _PART.search(path.name)) and not _runs(int(found[1])):
            path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _flush(path: Path) -> None:
    """To the disk before it gets its name, lest a power cut leave the name with nothing in it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; NaN is refused, it is no JSON."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")
