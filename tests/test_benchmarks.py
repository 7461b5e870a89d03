"""Benchmarks start and end; what they measure is no matter of tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import tiny_student

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_models_are_compared(tmp_path: Path) -> None:
    paths = [tiny_student.write(tmp_path / name) for name in ("one.onnx", "two.onnx")]
    command = [sys.executable, str(BENCHMARKS / "compare.py"), *map(str, paths), "--rounds", "3"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in said.splitlines()[1:]] == ["one.onnx", "two.onnx"]
