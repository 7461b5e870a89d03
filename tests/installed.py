"""The part of an installed workspace that launch looks at, made from the source tree."""

from __future__ import annotations

import sys
from pathlib import Path

import mtl_perception

PACKAGE = Path(mtl_perception.__file__).parents[1]
LAUNCH_FILES = PACKAGE / "launch"


EXECUTABLES = {
    "mtl_perception": {
        "student_node": "mtl_perception.student_node",
        "teacher_node": "mtl_perception.teacher_node",
        "mtl-play": "mtl_perception.play",
        "mtl-view": "mtl_perception.view",
    },
    "mtl_bags": {"mtl-bags": "mtl_bags"},
}
"""What `ros2 run` finds, by package, and the module behind it."""


def make_prefix(folder: Path) -> Path:
    """Make a prefix with the packages' share folders and executables; return it."""
    index = folder / "share/ament_index/resource_index/packages"
    index.mkdir(parents=True)
    for package, executables in EXECUTABLES.items():
        (index / package).touch()
        (folder / "share" / package).symlink_to(PACKAGE.with_name(package))
        (folder / "lib" / package).mkdir(parents=True)
        for name, module in executables.items():
            path = folder / "lib" / package / name
            path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
            path.chmod(0o755)
    return folder


def shim(prefix: Path, package: str, name: str, said: Path) -> None:
    """Put an executable into a prefix that ends, its arguments written to a file, a line each."""
    index = prefix / "share/ament_index/resource_index/packages" / package
    index.touch()
    path = prefix / "lib" / package / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{said}"\n')
    path.chmod(0o755)
