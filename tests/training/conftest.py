"""A NYUv2 folder made on the spot, from synthetic rooms, in the layout of the real one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mtl_core.rooms import Room
from mtl_training.config import DataConfig, NetworkConfig, ScheduleConfig, TrainConfig
from mtl_training.data.nyuv2_folder import INTRINSICS
from mtl_training.learning.machine import Machine
from mtl_training.tasks.registry import TaskConfig

CONFIG = TrainConfig(
    name="smoke",
    seed=0,
    tasks=TaskConfig(("segmentation", "depth"), "nyu13", 77.8, 0.3, 12.0),
    network=NetworkConfig("student", 64, 96),
    data=(DataConfig("nyuv2", split="fit"),),
    schedule=ScheduleConfig(steps=4, batch_size=2, backbone_lr=1e-4, lr=1e-3, ema_decay=0.9),
)

HERE = Machine(accelerator="cpu", workers=0, save_every=2)


@pytest.fixture
def config() -> TrainConfig:
    """A student at 64x96, for four steps."""
    return CONFIG


@pytest.fixture
def teacher_config() -> TrainConfig:
    """A teacher of the same tasks with both of them as inputs."""
    network = NetworkConfig("teacher", 64, 96, ("depth", "segmentation"))
    return replace(CONFIG, name="teacher", network=network)


@pytest.fixture
def here() -> Machine:
    """This process, on the CPU."""
    return HERE


@pytest.fixture(scope="session")
def nyuv2_frames():
    """What the made folder holds: five frames at 640x480."""
    room = Room.generate(11)
    return [room.render(pose, INTRINSICS) for pose in room.camera_path(5)]


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory, nyuv2_frames) -> Path:
    """A folder for MTL_DATA with `nyuv2/`: `fit.txt` of four images, `val.txt` of one."""
    root = tmp_path_factory.mktemp("data") / "nyuv2"
    for folder in ("rgb", "depth8", "label13"):
        (root / folder).mkdir(parents=True)
    for index, frame in enumerate(nyuv2_frames):
        stem = f"{index:04d}"
        depth8 = np.clip(np.floor(frame.depth * 25.5), 0, 255).astype(np.uint8)
        cv2.imwrite(str(root / "rgb" / f"{stem}.jpg"), frame.image[..., ::-1])
        cv2.imwrite(str(root / "depth8" / f"{stem}.png"), depth8)
        cv2.imwrite(str(root / "label13" / f"{stem}.png"), frame.labels)
    (root / "fit.txt").write_text("0000\n0001\n0002\n0003\n", encoding="utf-8")
    (root / "val.txt").write_text("0004\n", encoding="utf-8")
    return root.parent


@pytest.fixture
def made_data(data_folder, monkeypatch) -> Path:
    """That folder, where MTL_DATA says."""
    monkeypatch.setenv("MTL_DATA", str(data_folder))
    return data_folder
