"""Whole rooms: frames and truth that fit each other and the room's geometry."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_core.geometry import Intrinsics, organised_points
from mtl_core.labels import LabelMap
from mtl_core.rooms import Room
from mtl_core.rooms.light import looking
from solid_oracle import inside

NYU13 = LabelMap.load("nyu13")


def world_points(frame):
    """Back-projected depth in the world, (H, W, 3)."""
    points = organised_points(frame.depth, frame.intrinsics).astype(np.float64)
    pose = frame.world_from_camera
    return points @ pose[:3, :3].T + pose[:3, 3]


def test_a_seed_gives_the_same_bytes_again(rooms, frames):
    room, frame = frames[0]
    again = Room.generate(room.seed)
    np.testing.assert_array_equal(again.camera_path(4), room.camera_path(4))
    other = again.render(frame.world_from_camera, frame.intrinsics)
    for name in ("image", "labels", "depth", "normals"):
        assert getattr(other, name).tobytes() == getattr(frame, name).tobytes(), name


def test_other_seeds_give_other_rooms(rooms):
    assert len({room.size.tobytes() for room in rooms}) == len(rooms)


def test_frames_have_the_promised_shapes_and_types(frames):
    for _, frame in frames:
        height, width = frame.intrinsics.height, frame.intrinsics.width
        assert (frame.image.shape, frame.image.dtype) == ((height, width, 3), np.uint8)
        assert (frame.labels.shape, frame.labels.dtype) == ((height, width), np.uint8)
        assert (frame.depth.shape, frame.depth.dtype) == ((height, width), np.float32)
        assert (frame.normals.shape, frame.normals.dtype) == ((height, width, 3), np.float32)
        assert all(a.flags.c_contiguous for a in (frame.image, frame.depth, frame.normals))


def test_a_room_is_closed_and_keeps_its_distance(frames):
    for room, frame in frames:
        assert np.isfinite(frame.depth).all()
        assert frame.depth.max() <= np.linalg.norm(room.size)
        assert frame.depth.min() > 0.3


def test_labels_are_nyu13_classes_and_all_of_them_occur(frames):
    seen = np.unique([np.bincount(f.labels.ravel(), minlength=256) > 0 for _, f in frames], axis=0)
    occurring = np.flatnonzero(seen.any(0)).tolist()
    assert [NYU13.classes[index] for index in occurring] == list(NYU13.classes)


def test_normals_are_unit_and_face_the_camera(frames):
    for _, frame in frames:
        np.testing.assert_allclose(np.linalg.norm(frame.normals, axis=-1), 1, atol=1e-4)
        assert ((frame.normals * frame.intrinsics.rays()).sum(-1) <= 1e-6).all()


def test_floor_and_ceiling_lie_where_the_room_says_and_face_each_other(frames):
    for room, frame in frames:
        points, up = world_points(frame), frame.normals @ frame.world_from_camera[2, :3]
        flat = up > 0.999
        floor = (frame.labels == NYU13.index("floor")) & flat
        np.testing.assert_array_less(np.abs(points[floor][:, 2]), 0.02)  # a rug is 1.6 cm thick
        ceiling = frame.labels == NYU13.index("ceiling")
        np.testing.assert_allclose(points[ceiling][:, 2], room.size[2], atol=2e-3)
        np.testing.assert_allclose(up[ceiling], -1, atol=1e-4)


def test_all_points_lie_in_the_room(frames):
    for room, frame in frames:
        points = world_points(frame).reshape(-1, 3)
        assert (points > -5e-3).all()
        assert (points < room.size + 5e-3).all()


def test_each_ray_is_free_up_to_its_depth_and_ends_on_a_solid_of_its_label(frames):
    """The oracle knows no rays: it asks whether points on them lie inside any solid."""
    rng = np.random.default_rng(3)
    for room, frame in frames[::5]:
        rows, columns = rng.integers(48, size=40), rng.integers(64, size=40)
        ends = world_points(frame)[rows, columns]
        eye = frame.world_from_camera[:3, 3]
        away = np.linalg.norm(ends - eye, axis=1)
        before = np.linspace(0.02, 1, 600) * (1 - 3e-3 / away[:, None])
        free = eye + before[..., None] * (ends - eye)[:, None]
        on = np.zeros(40, bool)
        for solid in room.scene.solids:
            assert not inside(solid, free, -1e-3).any()
            on |= inside(solid, ends, 2e-3) & (solid.label == frame.labels[rows, columns])
        assert on.all()


@pytest.mark.parametrize("factor", [2, 3])
def test_two_resolutions_see_the_same_at_the_same_place(rooms, factor):
    """An odd enlargement has a pixel centre where each small pixel's is; so has an odd crop."""
    room = rooms[2]
    small = Intrinsics(40, 30, 32.0, 32.0, 19.5, 14.5)
    large = small.resized(40 * factor * 2 + 40, 30 * factor * 2 + 30)
    middle = factor
    pose = room.camera_path(3)[1]
    coarse, fine = room.render(pose, small), room.render(pose, large)
    step = slice(middle, None, 2 * factor + 1)
    same = coarse.labels == fine.labels[step, step]
    assert same.mean() > 0.99
    np.testing.assert_allclose(coarse.depth[same], fine.depth[step, step][same], rtol=2e-2)
    close = np.isclose(coarse.depth, fine.depth[step, step], rtol=1e-4)
    assert close.mean() > 0.99


@settings(max_examples=25)
@given(st.integers(0, 3), st.integers(0, 39), st.integers(1, 3))
def test_what_one_pose_sees_another_sees_at_the_same_depth(rooms, number, start, gap):
    """Points re-projected into a second view have its depth there, or lie behind something."""
    room = rooms[number]
    first, second = room.camera_path(43)[[start, start + gap]]
    camera = Intrinsics(48, 36, 40.0, 40.0, 23.5, 17.5)
    one, two = room.render(first, camera), room.render(second, camera)
    local = (world_points(one).reshape(-1, 3) - second[:3, 3]) @ second[:3, :3]
    ahead = local[:, 2] > 0.1
    u = camera.fx * local[ahead, 0] / local[ahead, 2] + camera.cx
    v = camera.fy * local[ahead, 1] / local[ahead, 2] + camera.cy
    column, row = np.rint(u).astype(int), np.rint(v).astype(int)
    shown = (column >= 0) & (column < 48) & (row >= 0) & (row < 36)
    column, row, depth = column[shown], row[shown], local[ahead, 2][shown]
    # The plane that the second view sees at the pixel, met by the ray through the exact place.
    normal = two.normals[row, column].astype(np.float64)
    centre = camera.rays()[row, column] * two.depth[row, column, None]
    exact = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 0 * u + 1], 1)
    met = (normal * centre).sum(1) / (normal * exact[shown]).sum(1)
    agree = np.isclose(met, depth, rtol=0.01)
    behind = depth > two.depth[row, column] * 0.97
    assert len(depth) == 0 or agree.mean() > 0.5
    assert (agree | behind).mean() > 0.93


def test_the_camera_looks_level_in_a_room_without_gaps(rooms):
    """Rays exactly along walls and floor are the hard case of a slab test."""
    room = rooms[0]
    for towards in ([1.0, 0, 0], [0, 1.0, 0], [-1.0, 0, 0], [0, -1.0, 0]):
        pose = looking(room.camera_path(2)[0][:3, 3], np.array(towards))
        frame = room.render(pose, Intrinsics(33, 25, 16.0, 16.0, 16.0, 12.0))
        assert np.isfinite(frame.depth).all()


def test_any_image_size_can_be_rendered(rooms):
    pose = rooms[0].camera_path(2)[0]
    for width, height in ((1, 1), (2, 3), (5, 1), (37, 23)):
        camera = Intrinsics(width, height, 20.0, 20.0, (width - 1) / 2, (height - 1) / 2)
        frame = rooms[0].render(pose, camera)
        assert frame.image.shape == (height, width, 3)
        assert np.isfinite(frame.normals).all()


def test_pictures_are_exposed_neither_black_nor_white(frames):
    for _, frame in frames:
        assert 40 < np.median(frame.image) < 235
