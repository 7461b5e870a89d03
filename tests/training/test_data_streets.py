"""Cityscapes and CamVid give back, to the exact value, what stands in their official files."""

import json

import cv2
import numpy as np
import pytest

from mtl_core.geometry import Intrinsics
from mtl_core.labels import LabelMap
from mtl_training.data.camvid import CamVid
from mtl_training.data.cityscapes import CATEGORY_IDS, TRAIN_IDS, Cityscapes
from mtl_training.data.sample import LabelState
from mtl_training.errors import DatasetError
from pictures import noise, written

CAMERA = {
    "extrinsic": {"baseline": 0.25, "pitch": 0.03, "roll": 0.0, "x": 1.7, "y": 0.1, "z": 1.2},
    "intrinsic": {"fx": 2200.0, "fy": 2210.0, "u0": 1023.5, "v0": 511.5},
}
CITY_SIZE = (128, 256)


@pytest.fixture
def cities(tmp_path):
    """An image of Aachen with everything, and one of Bonn without disparity and camera."""
    for name in ("bonn_000001_000019", "aachen_000000_000019"):
        place = f"train/{name.split('_')[0]}/{name}"
        written(tmp_path / f"leftImg8bit/{place}_leftImg8bit.png", noise((*CITY_SIZE, 3)))
        written(tmp_path / f"gtFine/{place}_gtFine_labelIds.png", noise(CITY_SIZE, 34))
    written(tmp_path / f"disparity/{place}_disparity.png", noise(CITY_SIZE, 32258, np.uint16))
    camera = tmp_path / f"camera/{place}_camera.json"
    camera.parent.mkdir(parents=True)
    camera.write_text(json.dumps(CAMERA))
    return tmp_path


def test_cityscapes_reads_back_what_was_written(cities):
    data = Cityscapes(cities, "train")
    assert data.names == ("aachen_000000_000019", "bonn_000001_000019")
    assert data.tasks == {"segmentation", "depth"}
    assert (data.labelled("depth"), data.labelled("segmentation")) == ((0,), range(2))
    sample = data.sample(0)
    np.testing.assert_array_equal(sample.image, noise((*CITY_SIZE, 3)))
    stored = noise(CITY_SIZE, 32258, np.uint16).astype(np.float64)
    with np.errstate(divide="ignore"):
        metres = np.where(stored > 1, 0.25 * 2200.0 / ((stored - 1) / 256), np.nan)
    np.testing.assert_allclose(sample.truth["depth"], metres, rtol=1e-6)
    # The file speaks of 2048x1024; this image is an eighth of that.
    assert sample.intrinsics == Intrinsics(256, 128, 275.0, 276.25, 127.5, 63.5)


def test_cityscapes_without_disparity_has_no_depth(cities):
    sample = Cityscapes(cities, "train").sample(1)
    assert sample.state("depth") is LabelState.NONE
    assert sample.state("segmentation") is LabelState.TRUTH
    assert sample.intrinsics is None


# (raw id, training id, category) where the official evaluation counts the id.
OFFICIAL_IDS = """
7 0 flat, 8 1 flat, 11 2 construction, 12 3 construction, 13 4 construction, 17 5 object,
19 6 object, 20 7 object, 21 8 nature, 22 9 nature, 23 10 sky, 24 11 human, 25 12 human,
26 13 vehicle, 27 14 vehicle, 28 15 vehicle, 31 16 vehicle, 32 17 vehicle, 33 18 vehicle
"""


def test_raw_ids_become_those_of_the_official_table(cities):
    rows = [row.split() for row in OFFICIAL_IDS.split(",")]
    categories = LabelMap.load("cityscapes7").classes
    assert {int(raw): int(train) for raw, train, _ in rows} == TRAIN_IDS
    assert {int(raw): categories.index(name) for raw, _, name in rows} == CATEGORY_IDS
    raw = noise(CITY_SIZE, 34)
    for classes, table in (("cityscapes19", TRAIN_IDS), ("cityscapes7", CATEGORY_IDS)):
        ids = Cityscapes(cities, "train", classes).sample(0).truth["segmentation"]
        for value in range(34):
            assert set(ids[raw == value]) == {table.get(value, 255)}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda place: written(place("gtFine", "gtFine_labelIds.png"), noise(CITY_SIZE, 35)),
            r"aachen_000000_000019_gtFine_labelIds\.png: raw ids are 0 to 33, got 34",
        ),
        (
            lambda place: place("gtFine", "gtFine_labelIds.png").unlink(),
            r"gtFine_labelIds\.png: missing or not an image",
        ),
        (
            lambda place: written(place("disparity", "disparity.png"), noise(CITY_SIZE)),
            r"disparity\.png: one channel of uint16 expected, got 1 of uint8",
        ),
        (
            lambda place: written(place("disparity", "disparity.png"), noise((9, 8), 9, np.uint16)),
            r"disparity\.png: 256x128 like its image expected, got 8x9",
        ),
        (
            lambda place: place("camera", "camera.json").write_text('{"intrinsic": {}}'),
            r"camera\.json: intrinsic fx, fy, u0, v0 and extrinsic baseline expected",
        ),
        (
            lambda place: place("camera", "camera.json").write_text(
                json.dumps({**CAMERA, "extrinsic": {"baseline": 0}})
            ),
            r"camera\.json: a positive baseline expected, got 0",
        ),
    ],
)
def test_a_bad_cityscapes_file_is_named(cities, spoil, message):
    stem = "train/aachen/aachen_000000_000019"
    spoil(lambda kind, ending: cities / kind / f"{stem}_{ending}")
    with pytest.raises(DatasetError, match=message):
        Cityscapes(cities, "train").sample(0)


def test_an_unknown_or_empty_cityscapes_split_is_refused(cities):
    with pytest.raises(DatasetError, match="no split 'val', there are: train"):
        Cityscapes(cities, "val")
    (cities / "leftImg8bit/val").mkdir()
    with pytest.raises(DatasetError, match=r"val: no image CITY/\*_leftImg8bit\.png in it"):
        Cityscapes(cities, "val")


@pytest.mark.data
def test_the_real_cityscapes_image_has_the_official_training_ids(mtl_data):
    root = mtl_data / "samples/cityscapes_fixture"
    data = Cityscapes(root, "val")
    ids = data.sample(0).truth["segmentation"]
    official = cv2.imread(str(next(root.rglob("*_labelTrainIds.png"))), cv2.IMREAD_UNCHANGED)
    assert data.tasks == {"segmentation"}
    # Both were shrunk on their own: some pixels at the borders of objects differ.
    assert (ids == official).mean() > 0.995


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_camvid_reads_back_what_was_written(tmp_path, ending):
    written(tmp_path / f"train/0016E5_02.{ending}", np.full((12, 16, 3), 40, np.uint8))
    written(tmp_path / "trainannot/0016E5_02.png", noise((12, 16), 12))
    sample = CamVid(tmp_path, "train").sample(0)
    np.testing.assert_array_equal(sample.image, 40)
    ids = noise((12, 16), 12)
    np.testing.assert_array_equal(sample.truth["segmentation"], np.where(ids == 11, 255, ids))
    assert (sample.name, sample.intrinsics) == ("0016E5_02", None)


def test_bad_camvid_data_are_refused(tmp_path):
    written(tmp_path / "train/a.png", noise((12, 16, 3)))
    written(tmp_path / "trainannot/a.png", np.full((12, 16), 12, np.uint8))
    with pytest.raises(DatasetError, match=r"trainannot/a\.png: ids of camvid11 .* got 12"):
        CamVid(tmp_path, "train").sample(0)
    with pytest.raises(DatasetError, match="no split 'val', there are: train"):
        CamVid(tmp_path, "val")
    (tmp_path / "val").mkdir()
    with pytest.raises(DatasetError, match=r"val: no file \*\.png in it"):
        CamVid(tmp_path, "val")


@pytest.mark.data
def test_the_real_camvid_is_read(mtl_data):
    data = CamVid(mtl_data / "camvid", "val")
    ids = data.sample(0).truth["segmentation"]
    assert len(data) == 101
    assert ids.shape == (360, 480)
    assert {0, 3, 255} <= set(np.unique(ids))
