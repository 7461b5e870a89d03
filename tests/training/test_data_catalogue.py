"""Every data set opens by its name, and its folder tells which it is."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mtl_core.labels import LabelMap
from mtl_training.config import DataConfig
from mtl_training.data.catalogue import (
    SOURCES,
    View,
    check_same_classes,
    open_source,
    recognise,
    with_classes_of,
)
from mtl_training.data.files import data_root
from mtl_training.errors import ConfigError, DatasetError

VIEW = View(48, 64, 50.0)
GREY = np.full((480, 640), 9, np.uint8)


def picture(path, array=GREY):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), array)


def nyuv2(root):
    for name in ("rgb/1.jpg", "depth8/1.png", "label13/1.png", "label40/1.png"):
        picture(root / name)
    (root / "fit.txt").write_text("1")


def npy(root):
    for name in ("image", "label"):
        (root / "fit" / name).mkdir(parents=True)
    np.save(root / "fit/image/0.npy", np.zeros((4, 4, 3), np.uint8))
    np.save(root / "fit/label/0.npy", np.zeros((4, 4), np.int64))


def cityscapes(root):
    picture(root / "leftImg8bit/fit/ulm/ulm_0_1_leftImg8bit.png")
    picture(root / "gtFine/fit/ulm/ulm_0_1_gtFine_labelIds.png")


def camvid(root):
    picture(root / "fit/1.png")
    picture(root / "fitannot/1.png")


def recording(root):
    sample = {"name": "1", "split": "fit", "image": "1.png", "labels": {}}
    fields = {"schema": 1, "label_map": "nyu40", "tasks": [], "samples": [sample]}
    root.mkdir(parents=True)
    (root / "dataset.json").write_text(json.dumps(fields))
    picture(root / "1.png")


LAYOUTS = {f.__name__: f for f in (nyuv2, npy, cityscapes, camvid, recording)}
CLASSES = {
    "nyuv2": "nyu13",
    "npy": "nyu13",
    "cityscapes": "cityscapes19",
    "camvid": "camvid11",
    "recording": "nyu40",
}


@pytest.mark.parametrize("key", LAYOUTS)
def test_a_folder_is_recognised_and_opened(tmp_path, monkeypatch, key):
    LAYOUTS[key](tmp_path / key)
    assert recognise(tmp_path / key) == key
    monkeypatch.setenv("MTL_DATA", str(tmp_path))
    for root in (key, str(tmp_path / key)):
        source = open_source(DataConfig(key, root=root, split="fit"))
        assert len(source) == 1
        assert source.label_map.name == CLASSES[key]
        assert source.sample(0).name == source.names[0]
        assert len(source.pseudo_labelled("segmentation")) == 0


def test_a_labelled_mat_file_is_recognised_with_and_without_its_folder(tmp_path):
    path = tmp_path / "nyu_depth_v2_labeled.mat"
    path.write_bytes(b"")
    assert recognise(path) == recognise(tmp_path) == "nyuv2-mat"


def test_what_is_no_data_set_is_told_what_was_looked_for(tmp_path):
    with pytest.raises(
        DatasetError, match=r"no data set that is known\. Looked for nyuv2: rgb/.*;"
    ):
        recognise(tmp_path)
    with pytest.raises(DatasetError, match="no such folder or file"):
        recognise(tmp_path / "nowhere")


def test_classes_are_chosen_among_those_offered(tmp_path):
    nyuv2(tmp_path / "a")
    config = DataConfig("nyuv2", root=str(tmp_path / "a"), split="fit", classes="nyu40")
    assert open_source(config).label_map.name == "nyu40"
    for key, lacking in (("nyuv2", "bed, books, .* of nyu13"), ("camvid", "building, .*camvid11")):
        LAYOUTS[key](tmp_path / key)
        config = DataConfig(key, root=str(tmp_path / key), split="fit", classes="cityscapes7")
        with pytest.raises(ConfigError, match=f"source '{key}'.*: cityscapes7 lacks {lacking}"):
            open_source(config)
    with pytest.raises(ConfigError, match=r"source 'camvid'.*: unknown label map 'nyu14'"):
        open_source(replace(config, classes="nyu14"))


@pytest.mark.parametrize("key", ["nyuv2", "camvid"])
def test_a_data_set_is_read_in_any_map_that_has_its_classes(tmp_path, key):
    LAYOUTS[key](tmp_path)
    config = DataConfig(key, root=str(tmp_path), split="fit", classes="nyu13_camvid11")
    source, own = open_source(config), open_source(replace(config, classes=""))
    assert source.label_map.name == "nyu13_camvid11"
    assert (source.names, source.tasks) == (own.names, own.tasks)
    (mask,), (theirs,) = (np.unique(s.sample(0).truth["segmentation"]) for s in (source, own))
    assert source.label_map.classes[mask] == own.label_map.classes[theirs]


def test_rooms_are_rendered_in_the_classes_that_are_asked_for():
    config = DataConfig("held-out-rooms", frames=6, classes="nyu13_camvid11")
    source, own = open_source(config), open_source(replace(config, classes=""))
    assert source.scenes == own.scenes
    mask, theirs = (s.sample(0).truth["segmentation"] for s in (source, own))
    np.testing.assert_array_equal(mask, theirs)  # since nyu13 keeps its ids


def test_classes_of_a_model_are_taken_where_they_have_all_of_the_datas(tmp_path):
    nyuv2(tmp_path)
    config = DataConfig("nyuv2", root=str(tmp_path), split="fit")
    maps = ("nyu13", "nyu40", "nyu13_camvid11", "camvid11")
    found = [with_classes_of(config, LabelMap.load(name)).classes for name in maps]
    assert found == ["nyu13", "nyu40", "nyu13_camvid11", ""]
    assert with_classes_of(config, None) == config


@pytest.mark.parametrize(("key", "frames"), [("rooms", 9), ("rooms-fixed", 9)])
def test_rooms_are_rendered_for_a_view(key, frames):
    source = open_source(DataConfig(key, frames=frames), VIEW, seed=3)
    assert len(source) == frames
    assert source.sample(8).image.shape == (48, 64, 3)
    with pytest.raises(ConfigError, match=f"source '{key}' is rendered for a network"):
        open_source(DataConfig(key, frames=frames))


def test_held_out_rooms_are_at_least_as_many_frames_as_asked_for():
    assert len(open_source(DataConfig("held-out-rooms", frames=7))) == 12


def test_unknown_sources_and_places_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="unknown source 'kitti', known: " + ", ".join(SOURCES)):
        open_source(DataConfig("kitti"))
    for key in ("npy", "recording"):
        with pytest.raises(ConfigError, match=f"source '{key}' has no usual place: root is needed"):
            open_source(DataConfig(key))
    monkeypatch.setenv("MTL_DATA", str(tmp_path))
    with pytest.raises(DatasetError, match="camvid: no such folder or file"):
        open_source(DataConfig("camvid"))
    monkeypatch.setenv("MTL_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match=r"MTL_DATA must name the data folder, got '.*nowhere'"):
        data_root()


def test_arrays_without_labels_are_refused(tmp_path):
    npy(tmp_path / "a")
    (tmp_path / "a/fit/label").rename(tmp_path / "a/fit/masks")
    with pytest.raises(DatasetError, match="a: one of label, label_7, label_19 expected"):
        open_source(DataConfig("npy", root=str(tmp_path / "a"), split="fit"))


@pytest.mark.data
def test_the_real_folders_are_recognised(mtl_data):
    for folder in ("nyuv2", "camvid"):
        assert recognise(mtl_data / folder) == folder
    assert recognise(mtl_data / "samples/cityscapes_fixture") == "cityscapes"


def test_classes_are_compared_by_what_they_are_and_only_where_they_matter():
    source = open_source(DataConfig("held-out-rooms", frames=6))
    nyu13, nyu40 = LabelMap.load("nyu13"), LabelMap.load("nyu40")
    renamed = LabelMap("of-a-recording", nyu13.classes, nyu13.colours)
    false_friend = LabelMap("nyu13", nyu40.classes, nyu40.colours)
    for names in (["segmentation"], ["depth", "labels"]):
        check_same_classes(renamed, source, names)
        with pytest.raises(ConfigError, match="the model says the classes of nyu40, the data have"):
            check_same_classes(nyu40, source, names)
        with pytest.raises(ConfigError, match="the classes of nyu13, the data have nyu13"):
            check_same_classes(false_friend, source, names)
        check_same_classes(None, source, names)
    check_same_classes(nyu40, source, ["depth", "normals"])
