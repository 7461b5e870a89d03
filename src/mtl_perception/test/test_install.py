"""What `colcon build` installed, found as ROS 2 finds it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ament_index_python.packages import get_package_prefix, get_package_share_directory

PACKAGE = "mtl_perception"
SOURCE = Path(__file__).parents[1]
SHARE = Path(get_package_share_directory(PACKAGE))
EXECUTABLES = Path(get_package_prefix(PACKAGE)) / "lib" / PACKAGE
FOLDERS = (
    "launch",
    "config",
    "config/nav2",
    "config/nav2/costs",
    "models",
    "rviz",
    "foxglove",
    "security",
)
COMMANDS = (
    "mtl-check-nav2",
    "mtl-costmap-config",
    "mtl-demo",
    "mtl-health",
    "mtl-play",
    "mtl-policy",
    "mtl-predict",
    "mtl-view",
)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def outside(folder: Path, *command: str | Path) -> str:
    """Run a command where no source lies in its way, and return what it prints."""
    run = subprocess.run(command, cwd=folder, check=True, text=True, stdout=subprocess.PIPE)
    return run.stdout.strip()


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_shared_file_of_the_source_is_installed(folder: str) -> None:
    assert names(SHARE / folder) == names(SOURCE / folder) != set()


def test_version_is_that_of_the_package_description(tmp_path: Path) -> None:
    code = f"from importlib.metadata import version; print(version('{PACKAGE}'))"
    described = ElementTree.parse(SHARE / "package.xml").findtext("version")
    assert outside(tmp_path, sys.executable, "-c", code) == described


def test_the_package_finds_its_own_installed_files(tmp_path: Path) -> None:
    code = f"from {PACKAGE}.resources import share_path; print(share_path('models'))"
    assert Path(outside(tmp_path, sys.executable, "-c", code)) == SHARE / "models"


@pytest.mark.parametrize("name", ["student_node", "teacher_node", *COMMANDS])
def test_executable_stands_where_ros2_run_looks(name: str) -> None:
    assert os.access(EXECUTABLES / name, os.X_OK)


@pytest.mark.parametrize("name", COMMANDS)
def test_executable_says_how_it_is_used(name: str, tmp_path: Path) -> None:
    assert outside(tmp_path, EXECUTABLES / name, "--help").startswith(f"usage: {name}")
