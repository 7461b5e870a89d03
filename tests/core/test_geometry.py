"""Camera geometry: laws of projection under resize, crop and flip."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_core.errors import GeometryError
from mtl_core.geometry import Intrinsics, organised_points

focal = st.floats(50, 2000)
side = st.integers(2, 64)
points = st.tuples(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.5, 9))


@st.composite
def cameras(draw):
    width, height = draw(side), draw(side)
    centre = draw(st.floats(0, width - 1)), draw(st.floats(0, height - 1))
    return Intrinsics(width, height, draw(focal), draw(focal), *centre)


def project(k, point):
    x, y, z = point
    return np.array([k.fx * x / z + k.cx, k.fy * y / z + k.cy])


@given(cameras(), points, side, side)
def test_resizing_moves_a_projection_as_it_moves_the_image(k, point, width, height):
    u, v = project(k, point)
    expected = [(u + 0.5) * width / k.width - 0.5, (v + 0.5) * height / k.height - 0.5]
    np.testing.assert_allclose(
        project(k.resized(width, height), point), expected, rtol=1e-6, atol=1e-6
    )


@given(cameras(), side, side)
def test_resizing_there_and_back_changes_nothing(k, width, height):
    back = k.resized(width, height).resized(k.width, k.height)
    got = [back.fx, back.fy, back.cx, back.cy]
    np.testing.assert_allclose(got, [k.fx, k.fy, k.cx, k.cy], rtol=1e-9, atol=1e-9)


def test_resizing_agrees_with_what_opencv_does_to_pixels():
    """A bright spot's centre of mass, before and after cv2.resize, as an independent oracle."""
    image = np.zeros((40, 60), np.float32)
    image[10:14, 20:28] = 1.0
    k = Intrinsics(60, 40, 100.0, 100.0, 23.5, 11.5)  # the principal point is the spot's centre
    for width, height in ((120, 80), (30, 20), (90, 40)):
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        rows, columns = np.mgrid[:height, :width]
        centre = [(columns * small).sum() / small.sum(), (rows * small).sum() / small.sum()]
        resized = k.resized(width, height)
        np.testing.assert_allclose([resized.cx, resized.cy], centre, atol=0.03)


@given(cameras(), points)
def test_a_mirror_image_shows_the_mirrored_point(k, point):
    u, v = project(k, point)
    mirrored = project(k.flipped(), (-point[0], point[1], point[2]))
    np.testing.assert_allclose(mirrored, [k.width - 1 - u, v], rtol=1e-9, atol=1e-6)


@given(cameras(), points, st.integers(0, 5), st.integers(0, 5))
def test_a_crop_shifts_every_projection(k, point, left, top):
    cropped = k.cropped(left, top, k.width, k.height)
    np.testing.assert_allclose(project(cropped, point), project(k, point) - [left, top], atol=1e-6)


@given(cameras(), st.floats(0.1, 20))
def test_points_project_back_to_their_own_pixels(k, metres):
    depth = np.full((k.height, k.width), metres, np.float32)
    cloud = organised_points(depth, k)
    u = cloud[..., 0] / cloud[..., 2] * k.fx + k.cx
    v = cloud[..., 1] / cloud[..., 2] * k.fy + k.cy
    rows, columns = np.mgrid[: k.height, : k.width]
    np.testing.assert_allclose(u, columns, atol=1e-3)
    np.testing.assert_allclose(v, rows, atol=1e-3)
    np.testing.assert_array_equal(cloud[..., 2], depth)


def test_unknown_depth_gives_unknown_points():
    depth = np.array([[1.0, np.nan]], np.float32)
    cloud = organised_points(depth, Intrinsics(2, 1, 10, 10, 0, 0))
    np.testing.assert_array_equal(np.isnan(cloud), [[[False] * 3, [True] * 3]])


def test_a_depth_image_of_another_size_is_refused():
    with pytest.raises(GeometryError, match=r"depth is \(3, 2\), intrinsics are for \(2, 3\)"):
        organised_points(np.ones((2, 3), np.float32), Intrinsics(2, 3, 10, 10, 0, 0))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0, 4, 1, 1, 0, 0), "size must be positive, got 0x4"),
        ((4, 4, -1, 1, 0, 0), "focal lengths must be positive, got fx=-1"),
        ((4, 4, 1, 1, float("nan"), 0), "finite"),
    ],
)
def test_an_impossible_camera_is_refused(numbers, message):
    with pytest.raises(GeometryError, match=message):
        Intrinsics(*numbers)
