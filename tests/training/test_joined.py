"""Two data sets of other classes, one of them without depth: the whole way, in a few steps."""

from dataclasses import replace

import numpy as np
import pytest

import tiny_student
from mtl_core.labels import UNLABELLED, LabelMap
from mtl_training.config import DataConfig, LossConfig, NetworkConfig
from mtl_training.data.catalogue import open_source
from mtl_training.data.loader import BatchOrder, batches
from mtl_training.data.sample import LabelState
from mtl_training.evaluate import data_config, evaluate_file
from mtl_training.learning.engine import train
from mtl_training.learning.material import class_weights, gather
from mtl_training.models import open_model
from mtl_training.pseudo.job import Job
from mtl_training.pseudo.store import PseudoStore
from pictures import noise, written

NAME = "nyu13_camvid11"
JOINED, CAMVID = LabelMap.load(NAME), LabelMap.load("camvid11")
NYUV2 = DataConfig("nyuv2", split="fit", classes=NAME)
STREETS = DataConfig("camvid", split="train", classes=NAME)


@pytest.fixture
def made(data_folder, tmp_path, monkeypatch):
    """MTL_DATA with the rooms of `data_folder` as NYUv2 and noise as streets: 4 and 4 images."""
    (tmp_path / "nyuv2").symlink_to(data_folder / "nyuv2")
    for split, count in (("train", 4), ("val", 2)):
        for index in range(count):
            written(tmp_path / f"camvid/{split}/{index}.png", noise((90, 120, 3), seed=index))
            written(tmp_path / f"camvid/{split}annot/{index}.png", noise((90, 120), 12, seed=index))
    monkeypatch.setenv("MTL_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def student(config):
    """On both, in halves."""
    return replace(
        config,
        tasks=replace(config.tasks, label_map=NAME),
        data=(NYUV2, STREETS),
        schedule=replace(config.schedule, steps=2, balanced=True, batch_size=4),
        losses=LossConfig(class_weighting="frequency", pseudo_threshold=0.0),
    )


@pytest.fixture
def teacher(student):
    """The same task, from the image alone."""
    return replace(student, name="teacher", network=NetworkConfig("teacher", 64, 96, ("image",)))


def test_depth_that_a_data_set_lacks_is_learned_from_the_other_ones_teacher(
    student, teacher, made, here, tmp_path
):
    taught = train(teacher, tmp_path / "teacher", here)
    job = Job(taught, replace(STREETS, root=str(made / "camvid")))
    job.label(tmp_path / "pseudo")
    labelled = PseudoStore.open(tmp_path / "pseudo").record.labelled
    assert (len(labelled["depth"]), labelled["segmentation"]) == (4, ())

    data = (NYUV2, replace(STREETS, pseudo=str(tmp_path / "pseudo")))
    trained = train(replace(student, data=data), tmp_path / "student", here)
    streets = evaluate_file(trained, str(made / "camvid"), "val")
    rooms = evaluate_file(trained, str(made / "nyuv2"), "val")
    assert (streets["classes"], streets["labelled"]) == (11, {"segmentation": 2})
    assert rooms["labelled"] == {"segmentation": 1, "depth": 1}
    assert list(streets["iou"]) == list(rooms["iou"]) == list(JOINED.classes)
    seen = {name for name, pixels in rooms["pixels"].items() if pixels}
    assert seen.isdisjoint(CAMVID.classes)
    card = open_model(trained).card
    assert data_config("rooms:1", "", card) == DataConfig("held-out-rooms", "", "", NAME, 6)

    material = gather(replace(student, data=data))
    order = BatchOrder(material.pools, 4, 0, 0, 1)
    (batch,) = batches(material.views, order, material.tasks, 0)
    depth, weight = batch["truth"]["depth"], batch["weight"]["depth"]
    known = depth.isfinite().flatten(1).any(dim=1)
    told = (weight > 0).flatten(1).any(dim=1)
    assert known.tolist() == [True, False] * 2
    assert told.tolist() == [False, True] * 2


def test_half_of_each_batch_has_the_task_that_a_data_set_lacks(student, made):
    material = gather(student)
    assert [sorted(pool) for pool in material.pools] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    source = open_source(STREETS)
    assert source.sample(0).state("depth") is LabelState.NONE


def test_class_weights_follow_the_shares_of_images_whatever_their_sizes(student, made):
    """Both data sets have as many images; those of one are thirty times as large."""
    (segmentation, _) = gather(student).learned
    shares = np.zeros(len(JOINED))
    for data in student.data:
        source = open_source(data)
        for index in range(len(source)):
            mask = source.sample(index).truth["segmentation"]
            ids = mask[mask != UNLABELLED]
            shares += np.bincount(ids, minlength=len(JOINED)) / mask.size
    found = segmentation._weights.numpy()
    np.testing.assert_allclose(found, class_weights(shares), rtol=1e-6)


def test_an_unknown_camera_is_taken_to_see_at_the_canonical_focal_length(student, made):
    """The whole image at no zoom has ratio 1, and a crop as much more as it is zoomed in."""
    material = gather(replace(student, schedule=replace(student.schedule, max_zoom=1.0)))
    ratio = material.views[(0, 4)].focal_ratio
    # 120x90 is fitted into 96x64 by its height, and fills the view by its width.
    assert ratio == pytest.approx(96 / 120 / (64 / 90), rel=0.02)


# ---- measuring -----------------------------------------------------------------------------------


SHOWN_AND_TRUE = {"a": ("sky", "sky"), "b": ("road", "road"), "c": ("floor", "road")}


@pytest.fixture
def painted(tmp_path):
    """Three images of one class each; one of both roads shows the tiny student a floor."""
    for name, (shown, true) in SHOWN_AND_TRUE.items():
        colour = (10 * JOINED.index(shown), 0, 255)
        written(tmp_path / f"camvid/val/{name}.png", np.full((64, 96, 3), colour, np.uint8))
        mask = np.full((64, 96), CAMVID.index(true), np.uint8)
        written(tmp_path / f"camvid/valannot/{name}.png", mask)
    return tmp_path / "camvid"


def test_an_indoor_class_on_a_street_is_wrong_and_no_class_of_the_mean(
    painted, tmp_path, monkeypatch
):
    monkeypatch.setattr(tiny_student, "RED_PER_CLASS", 10)
    card = replace(tiny_student.card(), label_map=JOINED)
    path = tiny_student.write(tmp_path / "tiny.onnx", card)
    found = evaluate_file(path, str(painted), "val")
    assert found["classes"] == 2
    assert (found["iou"]["sky"], found["iou"]["road"]) == (1, 0.5)
    assert found["miou"] == 0.75
    assert found["iou"]["bed"] is None
