"""The part of an installed workspace that launch looks at, made from the source tree."""

from __future__ import annotations

import sys
from pathlib import Path

import mtl_perception

PACKAGE = Path(mtl_perception.__file__).parents[1]
LAUNCH_FILES = PACKAGE / "launch"


def make_prefix(folder: Path) -> Path:
    """Make a prefix with the package's share folder and the node's executable; return it."""
    index = folder / "share/ament_index/resource_index/packages"
    executables = folder / "lib/mtl_perception"
    for made in (index, executables):
        made.mkdir(parents=True)
    (index / "mtl_perception").touch()
    (folder / "share/mtl_perception").symlink_to(PACKAGE)
    node = executables / "student_node"
    node.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mtl_perception.student_node "$@"\n')
    node.chmod(0o755)
    return folder
