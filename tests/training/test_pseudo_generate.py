"""Making pseudo-labels: what is asked, what is written, and going on after an interruption."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import untrained
from mtl_core.images import ColourImage
from mtl_core.predictor import ModelPredictor
from mtl_training.errors import ConfigError, ResumeError
from mtl_training.learning.checkpoint import load_trained
from mtl_training.models import open_model
from mtl_training.pseudo.calibrate import calibrate
from mtl_training.pseudo.generate import Labeller, Origin, generate
from mtl_training.pseudo.selection import quantised
from mtl_training.tasks.inverse_depth import InverseDepth
from mtl_training.tasks.registry import build_tasks
from pseudo_teacher import (
    CAMERA,
    DEPTH,
    ORIGIN,
    SEGMENTATION,
    TASKS,
    ColourTeacher,
    Listed,
    mirrored,
    rooms,
    without,
)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---- one image -----------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_the_label_of_the_mirror_image_is_the_mirrored_label(task):
    labeller = Labeller(ColourTeacher(), [DEPTH])
    sample = rooms().sample(0)
    label = labeller.labels(sample, [task])[task.name]
    other = labeller.labels(mirrored(sample), [task])[task.name]
    np.testing.assert_allclose(other.value, task.mirrored(label.value), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(other.confidence, label.confidence[:, ::-1], atol=1e-6)


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_without_flip_averaging_it_is_not(task):
    labeller = Labeller(ColourTeacher(), flip=False)
    sample = rooms().sample(0)
    label = labeller.labels(sample, [task])[task.name]
    other = labeller.labels(mirrored(sample), [task])[task.name]
    assert np.abs(other.value - task.mirrored(label.value)).max() > 0.01


def test_the_part_of_the_grid_without_image_is_cut():
    label = Labeller(ColourTeacher()).labels(rooms().sample(0), [DEPTH])["depth"]
    # 110x80 fills 88x64 of the input's 96x64, in cells of 4.
    assert label.value.shape == (16, 22, 1)


@given(factor=st.floats(0.5, 2))
def test_depth_is_for_the_image_s_own_camera(factor):
    sample = rooms().sample(0)
    camera = replace(CAMERA, fx=CAMERA.fx * factor, fy=CAMERA.fy * factor)
    labeller = Labeller(ColourTeacher())
    near = labeller.labels(sample, [DEPTH])["depth"]
    far = labeller.labels(replace(sample, intrinsics=camera), [DEPTH])["depth"]
    np.testing.assert_allclose(far.value, near.value * factor, rtol=1e-4)
    np.testing.assert_array_equal(far.confidence, near.confidence)


def test_the_teacher_is_told_the_truth_that_there_is_and_no_more():
    sample, told = rooms().sample(0), Labeller(ColourTeacher(), [DEPTH])
    blind = replace(sample, truth={})
    plain = Labeller(ColourTeacher()).labels(sample, TASKS)["segmentation"].value
    np.testing.assert_array_equal(told.labels(blind, TASKS)["segmentation"].value, plain)
    assert np.abs(told.labels(sample, TASKS)["segmentation"].value - plain).max() > 0.1


def test_a_task_without_encoder_is_no_signal():
    with pytest.raises(ConfigError, match="inverse_depth cannot be an input"):
        Labeller(ColourTeacher(), [InverseDepth()])


# ---- a folder ------------------------------------------------------------------------------------


def test_labels_are_made_for_what_lacks_truth(tmp_path):
    source = without(without(rooms(), "segmentation", of=[1, 2]), "normals", of=[2])
    teacher = ColourTeacher()
    store = generate(Labeller(teacher), ORIGIN, source, TASKS, tmp_path / "out")
    assert [store.read(name, TASKS).keys() for name in source.names] == [
        set(),
        {"segmentation"},
        {"segmentation", "normals"},
        set(),
    ]
    # Nothing is asked of images that lack nothing.
    assert teacher.asked == 4
    assert store.record.labelled == {
        "segmentation": ("a/1", "a/2"),
        "depth": (),
        "normals": ("a/2",),
    }


def test_everywhere_means_everywhere(tmp_path):
    store = generate(
        Labeller(ColourTeacher()), ORIGIN, rooms(), TASKS, tmp_path / "out", everywhere=True
    )
    for name in rooms().names:
        labels = store.read(name, TASKS)
        assert labels.keys() == {task.name for task in TASKS}
        assert all((label.confidence > 0).all() for label in labels.values())


def test_only_the_holes_of_a_sensor_are_filled(tmp_path):
    sample = rooms().sample(0)
    depth, normals = sample.truth["depth"].copy(), sample.truth["normals"].copy()
    depth[:40] = np.nan
    normals[:, 50:] = np.nan
    labels = np.where(np.arange(80)[:, None] < 40, np.uint8(255), sample.truth["segmentation"])
    truth = {"segmentation": labels, "depth": depth, "normals": normals}
    source = Listed([replace(sample, truth=truth)])
    store = generate(Labeller(ColourTeacher()), ORIGIN, source, TASKS, tmp_path / "out")
    stored = store.read(sample.name, TASKS)
    assert stored.keys() == {"depth", "normals"}
    np.testing.assert_array_equal(stored["depth"].confidence.any(axis=1), np.arange(16) < 8)
    np.testing.assert_array_equal(stored["normals"].confidence.any(axis=0), np.arange(22) >= 10)


def test_the_histograms_count_what_lies_there(tmp_path):
    source = without(rooms(), "segmentation", "depth")
    store = generate(Labeller(ColourTeacher()), ORIGIN, source, TASKS, tmp_path / "out")
    for task in (SEGMENTATION, DEPTH):
        counted = dict.fromkeys(task.group_names, 0)
        levels = np.zeros(256, int)
        for name in source.names:
            label = store.read(name, [task])[task.name]
            for group in task.groups(label.value).flat:
                counted[task.group_names[group]] += 1
            levels += np.bincount(quantised(label.confidence).ravel(), minlength=256)
        rows = store.record.histograms[task.name]
        assert {group: sum(row) for group, row in rows.items()} == counted
        np.testing.assert_array_equal(np.sum(list(rows.values()), axis=0), levels)


def test_going_on_gives_the_same_files(tmp_path):
    source = without(rooms(), "segmentation", "depth")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    generate(Labeller(ColourTeacher()), ORIGIN, source, TASKS, whole)
    generate(Labeller(ColourTeacher()), ORIGIN, source, TASKS, parts)
    assert files(whole) == files(parts)
    (parts / "a%2F1.npz").unlink()
    (parts / "a%2F3.npz").unlink()
    teacher = ColourTeacher()
    generate(Labeller(teacher), ORIGIN, source, TASKS, parts)
    assert files(whole) == files(parts)
    # Two images and their mirror images: what was there is not made again.
    assert teacher.asked == 4


KILLED = """
import sys, time
from pathlib import Path
from pseudo_teacher import ORIGIN, ColourTeacher, TASKS, rooms, without
from mtl_training.pseudo.generate import Labeller, generate

class Slow(ColourTeacher):
    def predict(self, *args, **kwargs):
        time.sleep(0.3)
        return super().predict(*args, **kwargs)

source = without(rooms(), "segmentation", "depth")
generate(Labeller(Slow()), ORIGIN, source, TASKS, Path(sys.argv[1]))
"""


def test_after_kill_9_the_same_command_ends_with_the_same_files(tmp_path):
    source = without(rooms(), "segmentation", "depth")
    generate(Labeller(ColourTeacher()), ORIGIN, source, TASKS, tmp_path / "whole")
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(killed)],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    while process.poll() is None and not (killed / "a%2F0.npz").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    generate(Labeller(ColourTeacher()), ORIGIN, source, TASKS, killed)
    left = {name: data for name, data in files(killed).items() if ".part-" not in name}
    assert left == files(tmp_path / "whole")


@pytest.mark.parametrize(
    ("labeller", "origin", "tasks"),
    [
        (Labeller(ColourTeacher()), replace(ORIGIN, sha256="1" * 64), TASKS),
        (Labeller(ColourTeacher()), replace(ORIGIN, temperatures={"depth": 2.0}), TASKS),
        (Labeller(ColourTeacher(), flip=False), ORIGIN, TASKS),
        (Labeller(ColourTeacher(), [DEPTH]), ORIGIN, TASKS),
        (Labeller(ColourTeacher()), ORIGIN, TASKS[:1]),
    ],
    ids=["file", "temperature", "flip", "signals", "tasks"],
)
def test_what_would_mix_two_kinds_of_labels_is_refused(labeller, origin, tasks, tmp_path):
    source = without(rooms(), "segmentation")
    generate(Labeller(ColourTeacher()), ORIGIN, source, TASKS, tmp_path / "out")
    with pytest.raises(ResumeError, match="another recipe"):
        generate(labeller, origin, source, tasks, tmp_path / "out")


# ---- a real network ------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path, teacher_config):
    """Folder of a teacher that nobody trained, as training leaves it."""
    return untrained.run(tmp_path / "run", teacher_config)


def test_a_teacher_is_calibrated_and_labels_images(run, tmp_path):
    source = without(rooms(), "normals")
    tasks = build_tasks(load_trained(run).config.tasks)
    _, depth = tasks
    found = calibrate(run, source, [depth])
    trained = load_trained(run)
    assert trained.temperatures == found
    assert found.keys() == {"segmentation", "depth"}

    hidden = without(source, "segmentation")
    predictor = ModelPredictor(open_model(run))
    origin = Origin.of(predictor.card, trained.path, trained.temperatures)
    store = generate(Labeller(predictor, [depth]), origin, hidden, tasks, tmp_path / "out")
    assert store.record.recipe.temperatures == found
    assert len(store.record.recipe.sha256) == 64
    assert store.record.names == set(source.names)

    # What the file says is what the network says, but for rounding and the mirror image.
    sample = hidden.sample(0)
    direct = predictor.predict(
        ColourImage(sample.image, "rgb"), CAMERA.fx, {"depth": sample.truth["depth"]}
    )
    single = Labeller(predictor, [depth], flip=False).labels(sample, tasks)["segmentation"]
    confidence = direct.grid("segmentation_confidence")[0]
    np.testing.assert_allclose(single.confidence, confidence, atol=1e-5)
    stored = store.read(sample.name, tasks)["segmentation"]
    assert stored.confidence.shape == confidence.shape
    assert np.abs(stored.confidence - confidence).max() < 0.3


def test_the_leak_rule_holds_for_pseudo_labels(run):
    """Depth is predicted without depth, even where the teacher is given it."""
    segmentation, depth = tasks = build_tasks(load_trained(run).config.tasks)
    sample = rooms().sample(0)
    predictor = ModelPredictor(open_model(run))
    told = Labeller(predictor, [depth]).labels(sample, tasks)
    alone = Labeller(predictor).labels(sample, tasks)
    np.testing.assert_array_equal(told[depth.name].value, alone[depth.name].value)
    gain = told[segmentation.name].value - alone[segmentation.name].value
    assert np.abs(gain).max() > 0.01
