"""What all tests share: the markers' meaning, and where the real data lies."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

import recordings

# A machine's speed is no property of the code.
settings.register_profile("repository", deadline=None, print_blob=True)
settings.load_profile("repository")

NEEDS = {"torch": ("training",), "rclpy": ("ros", "launch", "e2e", "docs")}
"""Folders of tests that are left out where a module is missing."""

MISSING = [module for module in NEEDS if find_spec(module) is None]
collect_ignore = [folder for module in MISSING for folder in NEEDS[module]]


def pytest_report_header() -> list[str]:
    return [f"without {module}: not collected: {', '.join(NEEDS[module])}" for module in MISSING]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("data") and not os.environ.get("MTL_DATA"):
        pytest.skip("MTL_DATA is not set: it names the folder with the real data")
    if item.get_closest_marker("ros") and "rclpy" in MISSING:
        pytest.skip("rclpy is not installed")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The short recording of a camera with depth."""
    return recordings.write(tmp_path_factory.mktemp("source") / "walk", recordings.records())


@pytest.fixture(scope="session")
def mtl_data() -> Path:
    """The folder with the real data; tests that take it are marked `data`."""
    folder = os.environ.get("MTL_DATA")
    if not folder:
        pytest.skip("MTL_DATA is not set: it names the folder with the real data")
    return Path(folder)
