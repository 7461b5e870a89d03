"""The camera's walk through a room."""

import numpy as np
import pytest

from mtl_core.rooms.path import distance_to
from solid_oracle import inside


def test_the_camera_keeps_clear_of_everything(rooms):
    for room in rooms:
        eyes = room.camera_path(60)[:, :3, 3]
        assert distance_to(room.scene.solids, eyes).min() >= 0.38
        assert not any(inside(solid, eyes).any() for solid in room.scene.solids)


def test_the_camera_stays_in_the_room_at_head_height(rooms):
    for room in rooms:
        eyes = room.camera_path(60)[:, :3, 3]
        assert (eyes[:, :2] > 0).all()
        assert (eyes[:, :2] < room.size[:2]).all()
        assert ((eyes[:, 2] > 0.75) & (eyes[:, 2] < 1.85)).all()


def test_poses_are_rigid_and_nearly_level(rooms):
    for room in rooms:
        for pose in room.camera_path(12):
            rotation = pose[:3, :3]
            np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
            assert np.linalg.det(rotation) == pytest.approx(1)
            assert pose[3].tolist() == [0, 0, 0, 1]
            assert abs(rotation[2, 0]) < 0.15  # roll: the x axis' rise
            assert -0.6 < rotation[2, 2] < 0.3  # the viewing direction's rise


def test_more_frames_sample_the_same_walk_more_finely(rooms):
    coarse, fine = rooms[0].camera_path(5), rooms[0].camera_path(17)
    np.testing.assert_allclose(fine[::4], coarse, atol=1e-12)


def test_a_video_moves_smoothly(rooms):
    for room in rooms:
        path = room.camera_path(300)
        steps = np.linalg.norm(np.diff(path[:, :3, 3], axis=0), axis=1)
        turns = np.arccos(np.clip((path[1:, :3, 2] * path[:-1, :3, 2]).sum(1), -1, 1))
        assert steps.sum() > 0.5
        assert steps.max() < 0.12
        assert np.degrees(turns.max()) < 6


def test_distance_to_a_box_is_euclidean(rooms):
    """Against the nearest of many points of the box, for boxes of a real room."""
    rng = np.random.default_rng(5)
    cloud = rng.uniform(-1, 1, (4000, 3))
    eye = rooms[1].camera_path(2)[:1, :3, 3]
    for solid in rooms[1].scene.solids[10:40]:
        points = solid.centre + (cloud * solid.half) @ solid.rotation.T
        sampled = np.linalg.norm(points - eye, axis=1).min()
        exact = distance_to([solid], eye)[0]
        assert exact <= sampled + 1e-12
        assert sampled - exact < 0.5 * solid.half.max()
