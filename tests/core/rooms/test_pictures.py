"""Textures, light and film: what makes a frame look like a picture."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_core.geometry import Intrinsics
from mtl_core.rooms import patterns, pictures
from mtl_core.rooms.exposure import Film, binomial
from mtl_core.rooms.light import Light, looking
from mtl_core.rooms.raycast import Camera, Scene
from mtl_core.rooms.shading import occlusion
from mtl_core.rooms.solids import Material, Solid
from mtl_core.rooms.surfaces import surfaces
from mtl_core.rooms.textures import SIZE, Texture, srgb_to_linear
from solid_oracle import inside

IMAGE = np.random.default_rng(0).random((SIZE, SIZE, 3), dtype=np.float32)
TEXTURE = Texture.from_srgb(IMAGE)
PATTERNS = sorted({*patterns.WALLS, *patterns.FLOORS, *patterns.CLOTHS}, key=lambda p: p.__name__)
PICTURES = [pictures.painting, pictures.spines, pictures.screen, pictures.outside, pictures.blinds]


def column(value):
    return np.array([value], np.float32)


@given(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1), st.integers(-3, 3))
def test_a_near_texture_shows_its_texels_in_every_period(row, place, period):
    found = TEXTURE.sample(
        column((place + 0.5) / SIZE + period), column((row + 0.5) / SIZE), column(0.0)
    )
    np.testing.assert_allclose(found[:, 0], srgb_to_linear(IMAGE[row, place]), atol=2e-3)


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_a_far_texture_shows_its_mean_colour(u, v):
    found = TEXTURE.sample(column(u), column(v), column(3.0))
    np.testing.assert_allclose(found[:, 0], srgb_to_linear(IMAGE).mean((0, 1)), atol=1e-4)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda p: p.__name__)
def test_patterns_are_images_of_about_their_colours(pattern):
    image = pattern(np.random.default_rng(1), (0.6, 0.5, 0.4), (0.5, 0.45, 0.4))
    assert (image.shape, image.dtype) == ((SIZE, SIZE, 3), np.float32)
    np.testing.assert_allclose(image.mean((0, 1)), (0.55, 0.475, 0.4), atol=0.12)


@pytest.mark.parametrize("picture", PICTURES, ids=lambda p: p.__name__)
def test_pictures_are_images_and_differ_by_their_randomness(picture):
    one, other = (picture(np.random.default_rng(seed)) for seed in (1, 2))
    assert one.shape == other.shape == (SIZE, SIZE, 3)
    assert np.isfinite(one).all()
    assert np.abs(one - other).max() > 0


@given(st.floats(0, 2.5), st.sampled_from([1.0, 4.0, 20.0]))
def test_noise_has_mean_0_and_deviation_1_and_wraps_around(roughness, along):
    field = patterns.noise(np.random.default_rng(7), roughness, along)
    assert field.mean() == pytest.approx(0, abs=1e-3)
    assert field.std() == pytest.approx(1, abs=1e-3)
    inner = np.abs(np.diff(field, axis=0)).max()
    assert np.abs(field[0] - field[-1]).max() <= 1.5 * inner


@given(st.integers(1, 9), st.integers(1, 9))
def test_the_blur_is_the_mean_with_binomial_weights(height, width):
    image = np.random.default_rng(height * 10 + width).random((height, width), dtype=np.float32)
    padded = np.pad(image, 1, mode="edge").astype(np.float64)
    weights = np.outer([1, 2, 1], [1, 2, 1]) / 16
    expected = sum(
        weights[i, j] * padded[i : i + height, j : j + width] for i in range(3) for j in range(3)
    )
    np.testing.assert_allclose(binomial(image), expected, atol=1e-6)


@given(st.floats(0.01, 100), st.integers(0, 5))
def test_exposure_makes_up_for_the_strength_of_the_light(strength, seed):
    film = Film.drawn(np.random.default_rng(seed))
    light = np.random.default_rng(1).random((3, 12, 16), dtype=np.float32)
    once = film.develop(light, np.random.default_rng(2)).astype(int)
    more = film.develop(light * np.float32(strength), np.random.default_rng(2)).astype(int)
    assert np.abs(once - more).max() <= 1


@cache
def lit_floor():
    """The lamp above a box that floats over a floor, and the box."""
    grey = Material(Texture.from_srgb(np.full((SIZE, SIZE, 3), 0.5, np.float32)))
    floor = Solid("box", 4, grey, np.array([0.0, 0.0, -0.1]), np.array([4.0, 4.0, 0.1]))
    box = Solid("box", 6, grey, np.array([0.2, -0.1, 1.0]), np.array([0.4, 0.3, 0.1]))
    scene, lamp = Scene([floor, box]), np.array([0.0, 0.0, 2.5])
    light = Light.shining(scene, lamp, np.array([0.0, 0.0, -1.0]), np.ones(3), False, 0.0)
    return light, box


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_a_point_is_lit_where_the_way_to_the_lamp_is_free(x, y):
    light, box = lit_floor()
    point = np.array([x, y, 0.0])
    way = point + np.linspace(0, 1, 500)[:, None] * (light.position - point)
    surely_dark, surely_lit = inside(box, way, -0.03).any(), not inside(box, way, 0.03).any()
    share = light.lit(point.astype(np.float32)[:, None], np.zeros(1, np.int16))[0]
    assert not (surely_dark and share > 0)
    assert not (surely_lit and share < 1)


def test_a_solid_throws_no_shadow_on_its_lit_side():
    light, _ = lit_floor()
    top = np.stack([np.linspace(-0.15, 0.55, 50), np.full(50, -0.1), np.full(50, 1.1)])
    ids = np.full(50, 1, np.int16)
    np.testing.assert_array_equal(light.lit(top.astype(np.float32), ids), 1)


def test_an_open_plane_is_open_and_a_corner_is_not():
    grey = Material(Texture.from_srgb(np.full((SIZE, SIZE, 3), 0.5, np.float32)))
    floor = Solid("box", 4, grey, np.array([0.0, 0.0, -1.0]), np.array([9.0, 9.0, 1.0]))
    wall = Solid("box", 11, grey, np.array([0.0, 4.0, 0.0]), np.array([9.0, 1.0, 9.0]))
    scene = Scene([floor, wall])
    intrinsics = Intrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)
    towards = np.array([0.0, 1.0, -0.3])
    view = Camera.of(looking(np.array([0.0, 0.0, 1.2]), towards), intrinsics)
    hits = scene.cast(view)
    seen = surfaces(scene, view, hits)
    shape = (3, 48, 64)
    openness = occlusion(seen.points.reshape(shape), seen.normals.reshape(shape), view.pixel)
    corner = np.flatnonzero(np.diff(hits.ids[:, 32].astype(int)))[0]
    assert openness[corner : corner + 2, 32].max() < 0.9
    assert openness[2, 32] == pytest.approx(1, abs=0.02)
    assert openness[-3, 32] == pytest.approx(1, abs=0.02)
