"""Single solids: where rays enter them and which way their surface faces."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mtl_core.geometry import Intrinsics
from mtl_core.rooms.kit import Piece
from mtl_core.rooms.light import looking
from mtl_core.rooms.raycast import Camera, Scene
from mtl_core.rooms.solids import Material, Solid, pitch, texture_coordinates, yaw
from mtl_core.rooms.surfaces import surfaces
from mtl_core.rooms.textures import SIZE, Texture
from solid_oracle import entry, inside

GREY = Material(Texture.from_srgb(np.full((SIZE, SIZE, 3), 0.5, np.float32)))
VIEW = Intrinsics(24, 18, 30.0, 28.0, 11.2, 9.1)

angles = st.floats(-3.1, 3.1)
sizes = st.floats(0.02, 0.8)


@st.composite
def solids(draw, shapes=("box", "tube", "ball")):
    centre = np.array([draw(st.floats(-1, 1)), draw(st.floats(1.5, 6)), draw(st.floats(-1, 1))])
    half = np.array([draw(sizes), draw(sizes), draw(sizes)])
    turn = yaw(draw(angles)) @ pitch(draw(angles)) @ yaw(draw(angles))
    return Solid(
        draw(st.sampled_from(shapes)), 6, GREY, centre, half, turn, draw(st.floats(-0.9, 0.9))
    )


def camera(intrinsics=VIEW):
    """At the origin, looking along the world's y axis."""
    return Camera.of(looking(np.zeros(3), np.array([0.0, 1.0, 0.0])), intrinsics)


@given(solids(), st.integers(0, 23), st.integers(0, 17))
def test_depth_is_where_the_ray_first_lies_inside_the_solid(solid, column, row):
    view = camera()
    depth = Scene([solid]).cast(view).depth[row, column]
    ray = view.rotation @ [view.x[column], view.y[row], 1.0]
    expected = entry(solid, np.zeros(3), ray, 0.02, 9.0)
    if np.isfinite(expected) == np.isfinite(depth):
        assert depth == pytest.approx(expected, abs=2e-4) or np.isinf(depth)
    else:  # a ray that grazes the surface may count either way
        at = np.linspace(0.02, 9.0, 4000)[:, None]
        assert inside(solid, at * ray, 3e-3).any()
        assert not inside(solid, at * ray, -min(3e-3, solid.half.min() / 2)).any()


@given(solids())
def test_normals_are_unit_face_the_camera_and_leave_the_solid(solid):
    view, scene = camera(), Scene([solid])
    hits = scene.cast(view)
    assume(np.isfinite(hits.depth).any())
    seen = np.isfinite(hits.depth).ravel()
    hits.ids[~np.isfinite(hits.depth)] = 0  # surfaces() is for closed scenes
    hits.depth[~np.isfinite(hits.depth)] = 5.0
    found = surfaces(scene, view, hits)
    points, normals = found.points[:, seen].T, found.normals[:, seen].T
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    assert ((normals * points).sum(1) <= 1e-6).all()
    world, out = points @ view.rotation.T, normals @ view.rotation.T
    step = 0.05 * solid.half.min()
    assert not inside(solid, world + step * out).any()
    assert inside(solid, world - 1e-3 * step * out, 2e-3).all()


@given(solids(), angles, st.floats(-1, 1), st.floats(-1, 1))
def test_a_moved_solid_looks_the_same_to_a_camera_moved_along(solid, angle, x, y):
    rotation, offset = yaw(angle), np.array([x, y, 0.5])
    pose = looking(np.zeros(3), np.array([0.0, 1.0, 0.0]))
    moved_pose = np.eye(4)
    moved_pose[:3, :3], moved_pose[:3, 3] = rotation @ pose[:3, :3], offset
    before = Scene([solid]).cast(Camera.of(pose, VIEW))
    after = Scene([solid.moved(rotation, offset)]).cast(Camera.of(moved_pose, VIEW))
    both = np.isfinite(before.depth) & np.isfinite(after.depth)
    assert (np.isfinite(before.depth) != np.isfinite(after.depth)).sum() <= 2
    np.testing.assert_allclose(before.depth[both], after.depth[both], atol=2e-3)


@given(st.lists(solids(), min_size=2, max_size=6))
def test_a_scene_shows_the_nearest_of_its_solids(several):
    view = camera()
    alone = np.stack([Scene([solid]).cast(view).depth for solid in several])
    together = Scene(several).cast(view)
    np.testing.assert_array_equal(together.depth, alone.min(0))
    seen = np.isfinite(together.depth)
    owner = np.take_along_axis(alone, np.maximum(together.ids, 0)[None].astype(int), 0)[0]
    np.testing.assert_array_equal(owner[seen], together.depth[seen])
    assert (together.ids[~seen] == -1).all()


@given(solids(), st.floats(0.3, 3.0))
def test_only_the_window_of_a_solid_is_searched_yet_nothing_is_missed(solid, zoom):
    """A narrow camera behind a wide one's pixel sees what the wide one sees there."""
    wide = Intrinsics(24, 18, 30.0 * zoom, 28.0 * zoom, 11.2, 9.1)
    whole = Scene([solid]).cast(camera(wide)).depth
    for row, column in ((0, 0), (9, 11), (17, 23)):
        pixel = wide.cropped(column, row, 1, 1)
        assert Scene([solid]).cast(camera(pixel)).depth[0, 0] == whole[row, column]


def test_a_ray_along_a_face_still_hits_what_lies_ahead():
    wall = Solid("box", 11, GREY, np.array([0.0, 4.0, 0.0]), np.array([2.0, 0.5, 2.0]))
    level = Intrinsics(5, 5, 5.0, 5.0, 2.0, 2.0)
    np.testing.assert_allclose(Scene([wall]).cast(camera(level)).depth, 3.5, atol=1e-5)


def test_a_fitted_texture_spans_each_face_once():
    fitted = Material(GREY.texture, tile=(0.0, 0.0))
    box = Solid("box", 7, fitted, np.zeros(3), np.array([0.4, 0.01, 0.3]))
    corners = np.array([[-1, 1, -1], [1, 1, -1], [-1, 1, 1], [0, 1, 0]], np.float32).T
    corners[[0, 2]] *= np.float32(0.9999)  # on the edge itself two faces meet
    u, v = texture_coordinates(box, corners)
    np.testing.assert_allclose(u, [0, 1, 0, 0.5], atol=1e-3)
    np.testing.assert_allclose(v, [0, 0, 1, 0.5], atol=1e-3)


@given(st.lists(solids(), min_size=1, max_size=4))
def test_a_piece_knows_how_high_and_low_it_reaches(several):
    piece = Piece(1.0, 1.0, list(several))
    rng = np.random.default_rng(0)
    cloud = rng.uniform(-1, 1, (3000, 3))
    heights = np.concatenate(
        [(p := s.centre + (cloud * s.half) @ s.rotation.T)[inside(s, p), 2] for s in several]
    )
    assert piece.bottom - 1e-9 <= heights.min()
    assert heights.max() <= piece.height + 1e-9
