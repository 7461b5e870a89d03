"""A camera_info of a resized image is the camera that took it: a checkerboard says so."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mtl_bags.camera_info import View, resized, view
from mtl_bags.compose import Stamped, camera_info
from mtl_core.geometry import Intrinsics
from mtl_core.images import ColourImage

WIDTH, HEIGHT, SQUARE = 640, 480, 0.1
CAMERA = Intrinsics(WIDTH, HEIGHT, 525.0, 520.0, 318.3, 241.7)
CORNERS = np.stack(np.meshgrid(np.arange(-3, 4), np.arange(-2, 3)), -1).reshape(-1, 2) * SQUARE
TILT = cv2.Rodrigues(np.array([0.25, -0.2, 0.1]))[0]
PLACE = np.array([0.02, -0.03, 1.4])
FINE = 4
"""Rays for each pixel, in each direction."""


def message(camera: Intrinsics) -> object:
    return camera_info(camera, Stamped(0, "camera"))


def board() -> np.ndarray:
    """The board as the camera sees it: of each pixel, the mean over the rays that fall into it."""
    u, v = np.meshgrid(*((np.arange(FINE * n) + 0.5) / FINE - 0.5 for n in (WIDTH, HEIGHT)))
    rays = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones_like(u)], -1)
    normal = TILT[:, 2]
    points = rays * (normal @ PLACE / (rays @ normal))[..., None] - PLACE
    squares = np.floor(points @ TILT[:, :2] / SQUARE).sum(-1) % 2
    return squares.reshape(HEIGHT, FINE, WIDTH, FINE).mean((1, 3)).astype(np.float32) * 255


def projected(info: object) -> np.ndarray:
    """Where P puts the corners, (N, 2) pixels."""
    points = np.c_[CORNERS, np.zeros(len(CORNERS))] @ TILT.T + PLACE
    pixels = np.c_[points, np.ones(len(points))] @ info.p.reshape(3, 4).T  # type: ignore[attr-defined]
    return pixels[:, :2] / pixels[:, 2:]


def found(picture: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Where the corners are seen, (N, 2) pixels."""
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 100, 1e-4)
    corners = near.astype(np.float32).reshape(-1, 1, 2).copy()
    return cv2.cornerSubPix(picture.astype(np.uint8), corners, (4, 4), (-1, -1), stop)[:, 0]


@pytest.mark.parametrize("size", [(640, 480), (320, 240), (384, 288), (160, 120)])
def test_corners_are_where_the_resized_camera_projects_them(size: tuple[int, int]) -> None:
    picture = cv2.resize(board(), size, interpolation=cv2.INTER_AREA)
    info = resized(message(CAMERA), *size)
    expected = projected(info)
    offset = np.median(found(picture, expected) - expected, axis=0)
    np.testing.assert_allclose(offset, 0, atol=0.05)
    assert (info.width, info.height) == size


def test_without_the_half_pixel_corners_are_a_quarter_off() -> None:
    """The rule that image_pipeline follows, as the picture refutes it."""
    picture = cv2.resize(board(), (320, 240), interpolation=cv2.INTER_AREA)
    info = resized(message(CAMERA), 320, 240)
    info.p[2], info.p[6] = CAMERA.cx / 2, CAMERA.cy / 2
    expected = projected(info)
    offset = np.median(found(picture, expected) - expected, axis=0)
    np.testing.assert_allclose(offset, -0.25, atol=0.05)


def test_it_is_what_our_own_geometry_says() -> None:
    info = resized(message(CAMERA), 384, 288)
    small = CAMERA.resized(384, 288)
    expected = [small.fx, 0, small.cx, 0, small.fy, small.cy, 0, 0, 1]
    np.testing.assert_allclose(info.k, expected)
    np.testing.assert_allclose(info.p.reshape(3, 4)[:, :3].reshape(-1), expected)


def test_an_empty_p_and_a_stereo_baseline_are_kept() -> None:
    info = message(CAMERA)
    info.p = np.zeros(12)
    assert not resized(info, 320, 240).p.any()
    info = message(CAMERA)
    info.p[3] = -50.0
    assert resized(info, 320, 240).p[3] == -25.0
    assert info.p[3] == -50.0


def distorted(camera: Intrinsics) -> object:
    info = message(camera)
    info.d = np.array([0.1, -0.05, 0.0, 0.0, 0.0])
    info.k = np.array(info.k) * [1.1, 1, 1, 1, 1.1, 1, 1, 1, 1]
    return info


def test_a_distortion_is_a_fault_only_where_images_may_not_be_rectified() -> None:
    info, image = distorted(CAMERA), ColourImage(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "rgb")
    assert view(info, image) == View(info, CAMERA.fx, "")
    known = view(info, image, rectified=False)
    assert known.fx == pytest.approx(1.1 * CAMERA.fx)  # that of K, which is of the image as it came
    assert "distortion 0.1, -0.05" in known.fault
    assert view(info, image, fallback_fx=300.0, rectified=False).fx == 300.0
    assert view(message(CAMERA), image, rectified=False).fault == ""
    for none in (np.nan, -1.0, 0.0):
        info.k = np.array(info.k) * 0 + none
        assert view(info, image, rectified=False).fx == CAMERA.fx  # P is all there is


@pytest.mark.parametrize("fx", [np.nan, 0.0, np.inf, -1.0])
def test_a_focal_length_that_is_none_comes_before_distortion(fx: float) -> None:
    info, image = distorted(CAMERA), ColourImage(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "rgb")
    info.k = np.array(info.k) * 0 + fx
    info.p = np.array(info.p) * 0 + fx
    seen = view(info, image, fallback_fx=300.0, rectified=False)
    assert seen.fx == 300.0
    assert "expected a positive number of pixels" in seen.fault
