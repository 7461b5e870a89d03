"""A folder made from a recording is read as its docstring says, and its contradictions refused."""

import json

import cv2
import numpy as np
import pytest

from mtl_core.geometry import Intrinsics
from mtl_core.labels import LabelMap
from mtl_training.data.recording import Recording
from mtl_training.data.sample import LabelState
from mtl_training.errors import DatasetError

SIZE, SMALL = (12, 16), (6, 8)
IMAGE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
DEPTH = np.random.default_rng(1).integers(0, 5000, SIZE).astype(np.uint16)
IDS = np.random.default_rng(2).choice(np.array([0, 3, 12, 255], np.uint8), SIZE)
CONFIDENCE = np.random.default_rng(3).integers(0, 256, SMALL).astype(np.uint8)
DEPTH[0], IDS[0] = 0, 255
CAMERA = {"width": 16, "height": 12, "fx": 20.0, "fy": 21.0, "cx": 7.5, "cy": 5.5}


def entry(name, split, labels, **more):
    return {"name": name, "split": split, "image": f"image/{name}.png", "labels": labels, **more}


def dataset(*samples, **changes):
    fields = {"schema": 1, "label_map": "nyu13", "tasks": ["segmentation", "depth"]}
    return {**fields, "samples": list(samples), **changes}


TRUTH = {
    "segmentation": {"state": "truth", "file": "segmentation/a.png"},
    "depth": {"state": "truth", "file": "depth/a.png"},
}
PSEUDO = {
    "segmentation": {
        "state": "pseudo",
        "file": "segmentation/b.png",
        "confidence": "confidence/segmentation/b.png",
    },
    "depth": {
        "state": "pseudo",
        "file": "depth/b.png",
        "confidence": "confidence/depth/b.png",
    },
}
SAMPLES = (
    entry("a", "train", TRUTH, intrinsics=CAMERA, scene="one"),
    entry("b", "train", PSEUDO, intrinsics=None, scene="two"),
    entry("c", "val", {"depth": {"state": "none"}}),
)


@pytest.fixture
def folder(tmp_path):
    files = {
        **{f"image/{name}.png": IMAGE[..., ::-1] for name in "abc"},
        "segmentation/a.png": IDS,
        "depth/a.png": DEPTH,
        "segmentation/b.png": IDS[::2, ::2],
        "depth/b.png": DEPTH[::2, ::2],
        "confidence/segmentation/b.png": CONFIDENCE,
        "confidence/depth/b.png": CONFIDENCE,
    }
    for name, array in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(tmp_path / name), array)
    (tmp_path / "dataset.json").write_text(json.dumps(dataset(*SAMPLES)))
    return tmp_path


def test_truth_is_read_back(folder):
    data = Recording(folder, "train")
    assert (data.names, data.scenes) == (("a", "b"), ("one", "two"))
    assert data.tasks == {"segmentation", "depth"}
    assert (data.labelled("depth"), data.pseudo_labelled("depth")) == ((0,), (1,))
    assert Recording(folder).pseudo_labelled("segmentation") == (1,)
    assert Recording(folder, "val").pseudo_labelled("depth") == ()
    sample = data.sample(0)
    np.testing.assert_array_equal(sample.image, IMAGE)
    np.testing.assert_array_equal(sample.truth["segmentation"], IDS)
    metres = np.where(DEPTH == 0, np.nan, DEPTH / 1000)
    np.testing.assert_allclose(sample.truth["depth"], metres, rtol=1e-6)
    assert sample.intrinsics == Intrinsics(**CAMERA)
    assert not sample.pseudo


def test_what_a_model_said_becomes_pseudo_labels(folder):
    sample = Recording(folder, "train").sample(1)
    assert sample.state("segmentation") is sample.state("depth") is LabelState.PSEUDO
    ids, confidence = IDS[::2, ::2], CONFIDENCE / 255
    label = sample.pseudo["segmentation"]
    np.testing.assert_allclose(label.value.sum(axis=2), 1.0, rtol=1e-5)
    np.testing.assert_allclose(label.confidence, np.where(ids == 255, 0, confidence), rtol=1e-6)
    for row, column in np.argwhere(ids != 255):
        others = np.full(13, (1 - confidence[row, column]) / 12)
        others[ids[row, column]] = confidence[row, column]
        np.testing.assert_allclose(label.value[row, column], others, atol=1e-6)
    depth = sample.pseudo["depth"]
    known = DEPTH[::2, ::2] > 0
    np.testing.assert_allclose(depth.value[known][:, 0], DEPTH[::2, ::2][known] / 1000, rtol=1e-6)
    assert (depth.confidence[~known] == 0).all()
    np.testing.assert_allclose(depth.confidence[known], confidence[known], rtol=1e-6)
    for pseudo in sample.pseudo.values():
        assert pseudo.value.dtype == pseudo.confidence.dtype == np.float32


def test_without_labels_a_sample_is_its_image(folder):
    data = Recording(folder, "val")
    assert (data.tasks, data.scenes) == (frozenset(), None)
    sample = data.sample(0)
    assert not sample.truth
    assert not sample.pseudo
    assert sample.intrinsics is None
    assert Recording(folder).names == ("a", "b", "c")


def test_a_label_map_of_its_own_is_read(folder):
    own = LabelMap("floor", ("floor", "rest"), ((1, 2, 3), (4, 5, 6)))
    (folder / "dataset.json").write_text(json.dumps(dataset(*SAMPLES, label_map=own.to_dict())))
    data = Recording(folder, "train")
    assert data.label_map == own
    with pytest.raises(DatasetError, match=r"segmentation/a\.png: ids of floor .* got 3, 12"):
        data.sample(0)


LONE = {"state": "pseudo", "file": "segmentation/b.png"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([], "an object of label_map, samples, schema, tasks expected"),
        (dataset(schema=2), "schema 1 expected, got 2"),
        (dataset(more=1), "an object of label_map, samples, schema, tasks expected"),
        (dataset(tasks=["depth", "poses"]), "segmentation and depth can be stored, got poses"),
        (dataset(label_map="nyu12"), "unknown label map 'nyu12'"),
        (dataset(*SAMPLES, tasks=["depth"]), "a: labels of segmentation, but `tasks` lists: depth"),
        (dataset(SAMPLES[0], SAMPLES[0]), "the name 'a' stands there twice"),
        (dataset(entry("a", "train", {"depth": {"state": "guess"}})), "'guess' is not a valid"),
        (dataset(entry("a", "train", {"segmentation": LONE})), "pseudo have a file and a conf"),
        (dataset(entry("a", "train", {}, colour=1)), "unexpected keyword argument 'colour'"),
        (dataset({"name": "a"}), "labels"),
        (dataset(entry("../a", "train", {})), r"a path inside the folder expected, got 'image/"),
        (dataset(), "no split 'train', there are: none"),
        (dataset(SAMPLES[2]), "no split 'train', there are: val"),
        (dataset(entry("a", "train", {}, intrinsics={**CAMERA, "fx": 0})), "focal lengths must"),
    ],
)
def test_a_contradictory_dataset_file_is_refused(folder, fields, message):
    (folder / "dataset.json").write_text(json.dumps(fields))
    with pytest.raises(DatasetError, match=message) as caught:
        Recording(folder, "train")
    assert "dataset.json" in str(caught.value)


def test_files_that_disagree_are_named(folder):
    cv2.imwrite(str(folder / "depth/a.png"), DEPTH[:6])
    with pytest.raises(
        DatasetError, match=r"depth/a\.png: 16x12 like its image expected, got 16x6"
    ):
        Recording(folder, "train").sample(0)
    cv2.imwrite(str(folder / "confidence/depth/b.png"), CONFIDENCE[:3])
    with pytest.raises(DatasetError, match=r"confidence/depth/b\.png: 8x6 like"):
        Recording(folder, "train").sample(1)
    (folder / "dataset.json").write_text(json.dumps(dataset(*SAMPLES, label_map=None)))
    with pytest.raises(
        DatasetError, match=r"segmentation/a\.png: dataset\.json names no label map"
    ):
        Recording(folder, "train").sample(0)
    (folder / "dataset.json").unlink()
    with pytest.raises(DatasetError, match=r"dataset\.json: missing or not JSON"):
        Recording(folder, "train")
