"""What `colcon build` installed works without ROS, seen from outside the source tree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1]
MODULES = sorted(path.stem for path in (SOURCE / "mtl_bags").glob("[a-z]*.py"))

IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    print(importlib.import_module(f"mtl_bags.{name}").__file__)
print(*sys.modules.keys() & {"rclpy", "torch"})
"""


def test_every_module_imports_where_installed_and_brings_neither_rclpy_nor_torch(
    tmp_path: Path,
) -> None:
    run = [sys.executable, "-c", IMPORT_ALL, *MODULES]
    printed = subprocess.run(run, cwd=tmp_path, check=True, text=True, stdout=subprocess.PIPE)
    *files, unwanted = printed.stdout.splitlines()
    assert unwanted == ""
    assert [Path(file).stem for file in files] == MODULES
    assert not [file for file in files if Path(file).is_relative_to(SOURCE)]
