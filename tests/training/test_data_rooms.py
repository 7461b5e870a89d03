"""Synthetic rooms give exact truth, under names that stay."""

import numpy as np
import pytest

from mtl_core.card import InputSpec
from mtl_training.data.augment import Augmentation
from mtl_training.data.loader import Views
from mtl_training.data.rooms import FRAMES_PER_ROOM, FixedRooms, HeldOutRooms, Rooms
from mtl_training.errors import DatasetError
from mtl_training.tasks.registry import TaskConfig, build_tasks


def test_rooms_give_exact_truth_of_three_tasks():
    rooms = Rooms(6, 48, 64, 50.0, seed=0)
    assert rooms.tasks == {"segmentation", "depth", "normals"}
    for index in range(6):
        sample = rooms.sample(index)
        assert 0.8 * 50.0 <= sample.intrinsics.fx <= 1.3 * 50.0
        assert sample.truth["segmentation"].max() < 13
        assert 0.1 < sample.truth["depth"].min() <= sample.truth["depth"].max() < 15
        towards = (sample.truth["normals"] * sample.intrinsics.rays()).sum(axis=2)
        assert towards.max() < 1e-4
        np.testing.assert_allclose(np.linalg.norm(sample.truth["normals"], axis=2), 1.0, atol=1e-5)


def test_names_of_rooms_are_stable_and_say_the_room():
    rooms, again = Rooms(20, 48, 64, 50.0, seed=0), Rooms(20, 48, 64, 50.0, seed=9)
    assert rooms.names == again.names
    assert len(set(rooms.names)) == 20
    for room in set(rooms.scenes):
        assert 0 < rooms.scenes.count(room) <= FRAMES_PER_ROOM
    assert rooms.sample(3).name == rooms.sample(3, epoch=1).name == rooms.names[3]


def test_rooms_change_with_the_epoch_and_fixed_rooms_do_not():
    new, fixed = (kind(2, 48, 64, 50.0, seed=0) for kind in (Rooms, FixedRooms))
    first, second = (new.sample(1, epoch) for epoch in (0, 1))
    assert (first.image != second.image).any()
    for epoch in (0, 1):
        np.testing.assert_array_equal(fixed.sample(1, epoch).image, first.image)


def test_fixed_rooms_are_rendered_once_as_far_as_memory_is_set_aside(monkeypatch):
    fixed = FixedRooms(2, 48, 64, 50.0, seed=0)
    first = fixed.sample(0)
    size = first.image.nbytes + sum(labels.nbytes for labels in first.truth.values())
    monkeypatch.setattr("mtl_training.data.rooms._MOST_KEPT", size)
    second = fixed.sample(1)
    assert fixed.sample(0, epoch=1) is first
    assert fixed.sample(1, epoch=1) is not second
    with pytest.raises(ValueError, match="read-only"):
        first.truth["depth"][0, 0] = 0.0


def test_training_sees_fixed_rooms_as_they_are_in_every_epoch():
    fixed = FixedRooms(2, 64, 96, 77.8, seed=0)
    learned = TaskConfig(("segmentation", "depth", "normals"), "nyu13", 77.8, 0.3, 12.0)
    tasks = {task.name: task for task in build_tasks(learned)}
    spec = InputSpec(64, 96, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    augment = Augmentation(tasks, spec, 77.8, max_zoom=1.0, degrade=1.0)
    views = Views([fixed], augment, seed=0)
    for epoch in range(3):
        views[epoch, 1]
    again = FixedRooms(2, 64, 96, 77.8, seed=0).sample(1)
    np.testing.assert_array_equal(fixed.sample(1).image, again.image)
    for name, labels in again.truth.items():
        np.testing.assert_array_equal(fixed.sample(1).truth[name], labels)


def test_held_out_rooms_are_finite_and_as_many_as_asked_for():
    rooms = HeldOutRooms(2, frames=3)
    assert len(rooms) == 6
    assert len(set(rooms.names)) == 6
    assert rooms.sample(4).image.shape == (480, 640, 3)
    for wrong in (0, 1001):
        with pytest.raises(DatasetError, match=f"1 to 1000 rooms are held out, got {wrong}"):
            HeldOutRooms(wrong)
    with pytest.raises(DatasetError, match="1 frame or more expected, got 0"):
        Rooms(0, 48, 64, 50.0, seed=0)
