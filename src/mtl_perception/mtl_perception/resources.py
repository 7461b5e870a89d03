"""Finds the files that ship with the package: models, configuration, launch files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from mtl_perception.errors import PerceptionError

PACKAGE = "mtl_perception"


def share_path(*parts: str) -> Path:
    """Return the package's share folder, or a path below it.

    In a source tree (and an editable installation of one) this is the folder of `package.xml`;
    elsewhere it is `share/mtl_perception` under a prefix of the ament index or of this Python.
    It needs no ROS.

    Args:
        parts: Components below the share folder, such as `("config", "student.yaml")`.

    Raises:
        PerceptionError: No such folder or file; the message lists the places looked at.
    """
    looked_at = [folder.joinpath(*parts) for folder in _share_folders()]
    for path in looked_at:
        if path.exists():
            return path
    places = ", ".join(map(str, looked_at)) or "no folder of the package"
    raise PerceptionError(f"{PACKAGE}/{'/'.join(parts)} not found; looked at {places}")


def _share_folders() -> Iterator[Path]:
    source = Path(__file__).resolve().parents[1]
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    for folder in (source, *(Path(p) / "share" / PACKAGE for p in (*prefixes, sys.prefix))):
        if (folder / "package.xml").is_file():
            yield folder
