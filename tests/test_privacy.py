"""A robot reports to nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import tiny_student

RUN_A_MODEL = """
import sys
import numpy as np
from mtl_core.images import ColourImage
from mtl_core.predictor import OnnxPredictor
OnnxPredictor(sys.argv[1]).predict(ColourImage(np.zeros((48, 64, 3), np.uint8), "rgb")).mask()
"""


def test_running_a_model_leaves_no_telemetry_behind(tmp_path: Path) -> None:
    """ONNX Runtime keeps a device id and its unsent events under the home folder."""
    home = tmp_path / "home"
    home.mkdir()
    model = tiny_student.write(tmp_path / "tiny.onnx")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))}
    command = [sys.executable, "-c", RUN_A_MODEL, str(model)]
    subprocess.run(command, env={**kept, "HOME": str(home)}, check=True)
    assert not list(home.rglob("*"))
