"""The short recording, the tiny teacher, and what that makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import tiny_student
from mtl_bags.labelling.job import Labeller
from mtl_bags.labelling.summary import Settings


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_student.write_teacher(tmp_path_factory.mktemp("model") / "tiny-teacher.onnx")


@pytest.fixture(scope="module")
def labelled(model: Path, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "walk"
    Labeller(model, Settings()).label(source, out)
    return out
