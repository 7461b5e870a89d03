"""Plausibility of depth: of planes that are known, and of a model that says what it is shown."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_student
from mtl_core.errors import LabelMapError
from mtl_core.geometry import Intrinsics
from mtl_core.labels import UNLABELLED, LabelMap
from mtl_core.model import OnnxModel
from mtl_training.cli import main
from mtl_training.data.catalogue import open_source
from mtl_training.errors import ConfigError, DatasetError
from mtl_training.evaluate import data_config
from mtl_training.plausibility import Plane, Plausibility, plausibility
from pictures import written

CAMVID = LabelMap.load("camvid11")
SIZE = (40, 60)
ROWS, COLUMNS = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float64)
EVERYWHERE = np.ones(SIZE, bool)


def depth_of(inverse):
    return (1 / inverse).astype(np.float32)


@given(
    normal=st.tuples(*[st.floats(-0.3, 0.3)] * 2, st.sampled_from([-1.0, 1.0])),
    focal=st.floats(30, 200),
)
def test_a_plane_in_space_is_one_whatever_the_camera_is(normal, focal):
    """Rays of a pinhole camera onto n . X = d are the oracle."""
    camera = Intrinsics(SIZE[1], SIZE[0], focal, 1.1 * focal, 31.0, 18.0)
    rays = np.stack(
        [(COLUMNS - camera.cx) / camera.fx, (ROWS - camera.cy) / camera.fy, np.ones(SIZE)], axis=2
    )
    facing = rays @ (np.array(normal) * np.sign(normal[2]))
    if facing.min() < 0.05 or np.ptp(facing) < 1e-3:
        return
    plane = Plane.fit(depth_of(facing / 3.0), EVERYWHERE)
    assert plane.r2 == pytest.approx(1, abs=1e-4)
    down = normal[1] * np.sign(normal[2])
    if abs(down) > 1e-2:
        assert plane.nearer_below == (down > 0)


def test_r2_is_the_share_that_the_plane_explains():
    """A wave across columns that no slope explains, beside a slope of known variance."""
    slope = 0.001 * (ROWS - ROWS.mean())
    wave = 0.01 * np.cos(np.pi * COLUMNS)
    wave -= wave.mean()
    plane = Plane.fit(depth_of(0.2 + slope + wave), EVERYWHERE)
    assert plane.r2 == pytest.approx(slope.var() / (slope + wave).var(), abs=1e-3)
    assert plane.nearer_below


def test_the_sign_turns_with_the_picture_and_flat_depth_has_no_r2():
    slope = depth_of(0.2 + 0.001 * ROWS)
    assert Plane.fit(slope, EVERYWHERE).nearer_below
    assert not Plane.fit(slope[::-1], EVERYWHERE).nearer_below
    assert np.isnan(Plane.fit(np.full(SIZE, 3.3, np.float32), EVERYWHERE).r2)


def street(sky, car):
    """Sky above, a road that comes nearer, and a car on its left."""
    mask = np.where(ROWS < 16, CAMVID.index("sky"), CAMVID.index("road"))
    mask[16:, :20], mask[:, 56:] = CAMVID.index("car"), UNLABELLED
    depth = depth_of(0.1 + 0.01 * (ROWS - 16).clip(0))
    depth[mask == CAMVID.index("sky")], depth[mask == CAMVID.index("car")] = sky, car
    return depth, mask.astype(np.uint8)


def test_figures_of_streets_that_are_known():
    gathered = Plausibility(CAMVID)
    for sky, car in ((12.0, 5.0), (12.0, 20.0), (2.0, 1.0)):
        gathered.add(*street(sky, car))
    found = gathered.figures()
    assert found["images"] == 3
    assert list(found["classes"]) == ["sky", "road", "car"]
    assert found["classes"]["car"] == {"images": 3, "lower": 1, "median": 5, "upper": 20}
    assert found["ground"]["images"] == 3
    assert found["ground"]["nearer_below"] == 1
    assert found["ground"]["r2"]["median"] == pytest.approx(1, abs=1e-6)
    assert found["sky"]["road"] == {"images": 3, "farther": pytest.approx(2 / 3)}
    assert found["sky"]["car"] == {"images": 3, "farther": pytest.approx(2 / 3)}
    assert found["sky"]["all"] == {"images": 3, "farther": pytest.approx(1 / 3)}
    assert found["sky"]["building"]["images"] == 0
    assert np.isnan(found["sky"]["building"]["farther"])


def test_a_ground_that_no_class_is_called_is_refused():
    with pytest.raises(LabelMapError, match="nyu13 has no class 'road'"):
        Plausibility(LabelMap.load("nyu13"))


# ---- the report ----------------------------------------------------------------------------------


@pytest.fixture
def streets(tmp_path):
    """Images whose green is the depth that the tiny student says."""
    depth, mask = street(12.0, 5.0)
    green = np.clip((depth - 1) / 8 * 255, 0, 255)
    image = np.dstack([np.zeros(SIZE), green, np.full(SIZE, 255)]).astype(np.uint8)
    for name in ("a", "b"):
        big = [
            cv2.resize(array, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
            for array in (image, np.where(mask == UNLABELLED, 11, mask).astype(np.uint8))
        ]
        written(tmp_path / f"camvid/val/{name}.png", big[0])
        written(tmp_path / f"camvid/valannot/{name}.png", big[1])
    return tmp_path / "camvid"


def test_the_command_writes_figures_text_and_pictures(streets, tmp_path, capsys):
    model = tiny_student.write(tmp_path / "tiny.onnx")
    out = tmp_path / "out"
    assert (
        main(["plausibility", str(model), str(streets), "--split", "val", "--out", str(out)]) == 0
    )
    found = json.loads((out / "plausibility.json").read_text(encoding="utf-8"))
    assert (found["model"], found["images"], found["max_depth_m"]) == ("tiny", 2, 9.0)
    assert found["classes"]["car"]["median"] == pytest.approx(5, abs=0.05)
    assert found["ground"]["nearer_below"] == 1
    assert found["sky"]["all"] == {"images": 2, "farther": 1}
    text = (out / "plausibility.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out == text + "\n"
    assert "| building | 0 | - |" in text
    sheet = cv2.imread(str(out / "plausibility.png"))
    assert sheet.shape[1] == 3 * 240


def test_what_cannot_be_judged_is_refused(streets, tmp_path):
    card = tiny_student.card()
    depthless = OnnxModel(tiny_student.write(tmp_path / "a.onnx", replace(card, depth=None)))
    source = open_source(data_config(str(streets), "val"))
    with pytest.raises(ConfigError, match="tiny: a model of metric depth expected"):
        plausibility(depthless, source, tmp_path / "out", {})
    source.tasks = frozenset()
    with pytest.raises(DatasetError, match="true classes expected, got none"):
        plausibility(depthless, source, tmp_path / "out", {})
