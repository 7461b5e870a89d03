"""A NYUv2 folder made on the spot, from synthetic rooms, in the layout of the real one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mtl_core.rooms import Room
from mtl_training.config import StudentConfig
from mtl_training.data.nyuv2 import INTRINSICS

CONFIG = StudentConfig(
    name="smoke",
    nyuv2_list="fit.txt",
    room_frames=2,
    height=64,
    width=96,
    canonical_fx=77.8,
    min_depth_m=0.3,
    max_depth_m=12.0,
    epochs=2,
    batch_size=2,
    backbone_lr=1e-4,
    lr=1e-3,
    weight_decay=0.01,
    ema_decay=0.9,
    depth_weight=1.0,
    seed=0,
)


@pytest.fixture
def config() -> StudentConfig:
    return CONFIG


@pytest.fixture(scope="session")
def nyuv2_frames():
    """What the made folder holds: three frames at 640x480."""
    room = Room.generate(11)
    return [room.render(pose, INTRINSICS) for pose in room.camera_path(3)]


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory, nyuv2_frames) -> Path:
    """A folder for MTL_DATA with `nyuv2/`: `fit.txt` of two images, `val.txt` of one."""
    root = tmp_path_factory.mktemp("data") / "nyuv2"
    for folder in ("rgb", "depth8", "label13"):
        (root / folder).mkdir(parents=True)
    for index, frame in enumerate(nyuv2_frames):
        stem = f"{index:04d}"
        depth8 = np.clip(np.floor(frame.depth * 25.5), 0, 255).astype(np.uint8)
        cv2.imwrite(str(root / "rgb" / f"{stem}.jpg"), frame.image[..., ::-1])
        cv2.imwrite(str(root / "depth8" / f"{stem}.png"), depth8)
        cv2.imwrite(str(root / "label13" / f"{stem}.png"), frame.labels)
    (root / "fit.txt").write_text("0000\n0001\n", encoding="utf-8")
    (root / "val.txt").write_text("0002\n", encoding="utf-8")
    return root.parent


@pytest.fixture
def made_data(data_folder, monkeypatch) -> Path:
    """That folder, where MTL_DATA says."""
    monkeypatch.setenv("MTL_DATA", str(data_folder))
    return data_folder
