from __future__ import annotations

import gc
import warnings
from pathlib import Path

import pytest

UNCLOSED = ("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
"""Launch never closes its event loops, and whichever test is at work meets those of others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Launching starts nodes, and nothing fails for what launch leaves open.

    What launch_testing collects takes neither a fixture nor a module's marks.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.ros)
            for what in UNCLOSED:
                item.add_marker(pytest.mark.filterwarnings(what))


def pytest_sessionfinish() -> None:
    """Let go of the event loops that launch never closes, before pytest takes them for ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
