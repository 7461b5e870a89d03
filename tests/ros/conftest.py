from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import frames
import interface_package
import tiny_student
from interface_package import Overlay
from peer import TYPES, Peer, student


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny student's ONNX file."""
    return tiny_student.write(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="session")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Overlay:
    """A workspace with `vision_msgs`, which neither this process nor another test sees."""
    if missing := interface_package.missing_tools():
        pytest.skip(f"{interface_package.PACKAGE} cannot be built without {', '.join(missing)}")
    return interface_package.build(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="module")
def peer(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """A peer of an active student with all outputs subscribed, shared by a module's tests."""
    log = tmp_path_factory.mktemp("node") / "log.txt"
    with student(log, "-p", f"model:={model}") as peer:
        peer.read(*TYPES)
        peer.camera = frames.camera_info()
        peer.warm_up(frames.image())
        yield peer
        assert "Traceback" not in peer.node.log
        assert peer.node.end() == 0
