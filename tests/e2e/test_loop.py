"""The loop: record, label, export, train, export, and the node answers with what was learned."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import frames
import tiny_student
from mtl_bags.synthetic import CAMERA_INFO_TOPIC, IMAGE_TOPIC, write_room_bag
from mtl_core.geometry import Intrinsics
from mtl_core.predictor import OnnxPredictor
from mtl_perception import topics
from peer import student

pytestmark = [pytest.mark.ros, pytest.mark.slow]
pytest.importorskip("torch", reason="training is not installed")

CAMERA = Intrinsics(160, 120, 131.0, 131.0, 79.5, 59.5)
CONFIG = """
name = "looped"
seed = 0

[tasks]
names = ["segmentation", "depth"]
label_map = "nyu13"
canonical_fx = 78.6
min_depth_m = 0.3
max_depth_m = 12.0

[network]
role = "student"
height = 64
width = 96

[[data]]
source = "recording"
root = "{root}"
split = "train"

[schedule]
steps = 6
batch_size = 4
"""


def run(*words: object) -> str:
    """A command of the project, as a user would give it."""
    module, *arguments = map(str, words)
    done = subprocess.run(
        [sys.executable, "-c", f"from {module} import main; raise SystemExit(main())", *arguments],
        capture_output=True, text=True, check=False, env=os.environ, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_from_a_recording_to_a_node_that_learned_from_it(tmp_path: Path) -> None:
    bags, train = "mtl_bags.cli", "mtl_training.cli"
    teacher = tiny_student.write_teacher(tmp_path / "tiny-teacher.onnx")
    write_room_bag(tmp_path / "room", 30, 10, 5.0, CAMERA, depth_sensor=True)

    labelled, data = tmp_path / "labelled", tmp_path / "set"
    run(bags, "label", tmp_path / "room", "--out", labelled, "--model", teacher)
    run(bags, "report", labelled / "room", "--out", tmp_path / "room.html")
    said = run(bags, "export", labelled / "room", "--out", data)
    assert "10 samples" in said

    (tmp_path / "looped.toml").write_text(CONFIG.format(root=data), encoding="utf-8")
    run(train, "student", tmp_path / "looped.toml", "--run", tmp_path / "run", "--workers", 0)
    run(train, "export", tmp_path / "run", data, "--split", "train", "--out", tmp_path / "models")
    model = tmp_path / "models" / "looped.onnx"
    card = OnnxPredictor(model).card
    assert (card.role, card.name) == ("student", "looped")

    with student(tmp_path / "log", "-p", f"model:={model}") as peer:
        peer.read(topics.MASK, topics.DEPTH)
        peer.camera = frames.camera_info()
        peer.warm_up(frames.image())
        answer = peer.ask(frames.image())
        assert (answer[topics.MASK].width, answer[topics.DEPTH].encoding) == (96, "32FC1")
        assert peer.node.end() == 0


def test_a_rendered_recording_has_what_a_robot_would_record(tmp_path: Path) -> None:
    write_room_bag(tmp_path / "room", 30, 2, 5.0, CAMERA, depth_sensor=True)
    said = run("mtl_bags.cli", "info", tmp_path / "room")
    assert f"camera: colour {IMAGE_TOPIC}, info {CAMERA_INFO_TOPIC}, depth /camera/aligned" in said
