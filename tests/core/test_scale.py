"""The scale between predicted and measured depth: found, bounded, followed."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mtl_core.errors import ScaleError
from mtl_core.geometry import Intrinsics
from mtl_core.scale import (
    LEAST_SAMPLES,
    MOST_SPREAD,
    Samples,
    SmoothScale,
    measured_ratio,
)

H, W = 18, 24
RANGE = (0.3, 12.0)
SECOND = 10**9

seeds = st.integers(0, 2**32 - 1)
factors = st.floats(0.5, 2.0)


def room(seed):
    """(H, W) float32 metres, 1.5 to 4.5, smooth."""
    small = np.random.default_rng(seed).uniform(1.5, 4.5, (3, 4)).astype(np.float32)
    return cv2.resize(small, (W, H), interpolation=cv2.INTER_LINEAR)


def measured(metres, seed=0, count=400, noise=0.0):
    """Samples of a depth image at random places."""
    random = np.random.default_rng(seed)
    x, y = random.uniform(0, 1, (2, count))
    values = metres[(y * H).astype(int), (x * W).astype(int)].astype(np.float64)
    return Samples(x, y, values * np.exp(noise * random.normal(size=count)))


def changed(samples, metres):
    return Samples(samples.x, samples.y, metres)


# The ratio


@given(seeds, factors, st.floats(0, 0.4), st.floats(0.1, 10))
def test_a_factor_is_found_among_noise_and_outliers(seed, factor, share, wrong):
    depth = room(seed)
    samples = measured(depth * np.float32(factor), seed, noise=0.02)
    values = samples.metres.copy()
    values[: int(share * len(values))] *= wrong
    ratio = measured_ratio(depth, changed(samples, values), (0.01, 1000.0))
    assert ratio.factor == pytest.approx(factor, rel=0.05)
    assert ratio.samples == len(values)


@given(seeds, st.floats(0.01, 100), st.floats(0.01, 100))
def test_the_ratio_scales_with_either_side(seed, more, less):
    depth, samples = room(seed), measured(room(seed), seed, noise=0.2)
    everything = (0.0, math.inf)
    one = measured_ratio(depth, samples, everything)
    larger = changed(samples, samples.metres * more)
    other = measured_ratio(depth * np.float32(less), larger, everything)
    assert other.factor == pytest.approx(one.factor * more / less, rel=1e-4)
    assert other.spread == pytest.approx(one.spread, abs=1e-4)


@given(seeds)
def test_the_order_of_samples_makes_no_difference(seed):
    depth, samples = room(seed), measured(room(seed), noise=0.1)
    order = np.random.default_rng(seed).permutation(len(samples.x))
    shuffled = Samples(samples.x[order], samples.y[order], samples.metres[order])
    assert measured_ratio(depth, shuffled, RANGE) == measured_ratio(depth, samples, RANGE)


@given(seeds, st.integers(1, 40), st.integers(1, 40))
def test_each_sample_is_compared_with_the_cell_that_it_lies_in(seed, height, width):
    """Samples at the centres of all cells of a depth image are a depth image."""
    assume(height * width >= LEAST_SAMPLES)
    depth = np.random.default_rng(seed).uniform(1, 9, (height, width)).astype(np.float32)
    rows, columns = np.mgrid[:height, :width].reshape(2, -1)
    samples = Samples((columns + 0.5) / width, (rows + 0.5) / height, depth.reshape(-1) * 1.25)
    ratio = measured_ratio(depth, samples, (0.0, 100.0))
    assert ratio.factor == pytest.approx(1.25, rel=1e-6)
    assert ratio.spread == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("value", [np.nan, 0.0, -1.0, np.inf, 0.29, 12.1])
def test_what_is_unknown_or_out_of_range_does_not_count(value):
    depth = room(0)
    samples = measured(depth)
    values = samples.metres.copy()
    values[:100] = value
    assert measured_ratio(depth, changed(samples, values), RANGE).samples == 300
    with pytest.raises(ScaleError, match=r"0 of 400 samples from 0\.30 to 12\.00 m") as caught:
        measured_ratio(depth, changed(samples, np.full(400, value)), RANGE)
    assert caught.value.reason == "few"


@pytest.mark.parametrize("count", [0, LEAST_SAMPLES - 1, LEAST_SAMPLES])
def test_few_samples_are_not_believed(count):
    samples = measured(room(0), count=count)
    if count < LEAST_SAMPLES:
        with pytest.raises(ScaleError, match=f"{count} of {count} samples"):
            measured_ratio(room(0), samples, RANGE)
    else:
        assert measured_ratio(room(0), samples, RANGE).samples == count


def test_samples_that_contradict_each_other_are_not_believed():
    depth = np.full((H, W), 2.0, np.float32)
    samples = measured(depth, noise=2 * MOST_SPREAD / 0.67)  # the median deviation of a normal
    with pytest.raises(ScaleError, match=r"deviate by 0.\d\d from their median") as caught:
        measured_ratio(depth, samples, RANGE)
    assert caught.value.reason == "spread"


def test_a_broken_prediction_is_not_believed():
    with pytest.raises(ScaleError, match="nan"):
        measured_ratio(np.full((H, W), np.nan, np.float32), measured(room(0)), RANGE)


def test_a_sample_at_the_border_is_of_the_last_cell():
    ones = np.ones(LEAST_SAMPLES)
    assert measured_ratio(np.ones((H, W), np.float32), Samples(ones, ones, ones), RANGE)[0] == 1


def test_samples_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"must be \(N,\)"):
        Samples(np.zeros(2), np.zeros(2), np.zeros(3))


# Projection


@st.composite
def cameras(draw):
    width, height = draw(st.integers(2, 2000)), draw(st.integers(2, 2000))
    centre = draw(st.floats(0, width - 1)), draw(st.floats(0, height - 1))
    return Intrinsics(width, height, draw(st.floats(50, 2000)), draw(st.floats(50, 2000)), *centre)


@given(cameras(), seeds)
def test_points_are_projected_as_opencv_does(k, seed):
    points = np.random.default_rng(seed).uniform(-3, 3, (100, 3)).astype(np.float32)
    points = points[np.abs(points[:, 2]) > 0.1]
    matrix = np.array([[k.fx, 0, k.cx], [0, k.fy, k.cy], [0, 0, 1]])
    pixels, _ = cv2.projectPoints(points.astype(np.float64), np.zeros(3), np.zeros(3), matrix, None)
    u, v = pixels.reshape(-1, 2).T
    seen = (points[:, 2] > 0) & (u >= -0.5) & (u < k.width - 0.5)
    seen &= (v >= -0.5) & (v < k.height - 0.5)
    borders = np.minimum(np.abs(u + 0.5), np.abs(u + 0.5 - k.width))
    borders = np.minimum(borders, np.minimum(np.abs(v + 0.5), np.abs(v + 0.5 - k.height)))
    assume(borders.min(initial=1.0) > 1e-6)  # where rounding decides
    found = Samples.of_points(points, k)
    np.testing.assert_allclose(found.x * k.width - 0.5, u[seen], atol=1e-6)
    np.testing.assert_allclose(found.y * k.height - 0.5, v[seen], atol=1e-6)
    np.testing.assert_array_equal(found.metres, points[seen, 2])


@given(cameras(), st.integers(1, 100), st.integers(1, 100), seeds)
def test_where_a_point_is_seen_does_not_depend_on_the_images_size(k, width, height, seed):
    points = np.random.default_rng(seed).uniform(-1, 3, (50, 3)).astype(np.float32)
    one, other = Samples.of_points(points, k), Samples.of_points(points, k.resized(width, height))
    assume(len(one.x) == len(other.x))  # but for rounding, at the border
    np.testing.assert_allclose(other.x, one.x, atol=1e-9)
    np.testing.assert_allclose(other.y, one.y, atol=1e-9)


@pytest.mark.parametrize("z", [0.0, -1.0, 1e-45])
def test_points_in_the_cameras_plane_and_behind_it_are_not_seen(z):
    points = np.array([[0.1, 0.1, z], [3e38, 0.0, 1.0]], np.float32)
    assert len(Samples.of_points(points, Intrinsics(64, 48, 50, 50, 32, 24)).x) == 0


# Over time


def test_the_first_measurement_is_taken_over():
    scale = SmoothScale(2.0, 1.0)
    assert scale.factor == 1
    scale.update(5 * SECOND, 1.3)
    assert scale.factor == pytest.approx(1.3)


@given(
    st.lists(st.tuples(st.integers(-SECOND, SECOND), st.floats(1e-6, 1e6)), min_size=1),
    st.floats(1, 10),
    st.floats(0, 10),
)
def test_the_factor_stays_within_its_limit(steps, limit, time_constant_s):
    scale, stamp = SmoothScale(limit, time_constant_s), 100 * SECOND
    for step, ratio in steps:
        stamp += step
        scale.update(stamp, ratio)
        assert 1 / limit <= scale.factor <= limit
        if abs(abs(math.log(ratio)) - math.log(limit)) > 1e-9:
            assert scale.limited == (not 1 / limit <= ratio <= limit)


@given(factors, factors, st.lists(st.integers(1, SECOND), min_size=1, max_size=20))
def test_the_factor_approaches_what_is_measured_and_never_passes_it(first, target, steps):
    scale, stamp = SmoothScale(2.0, 1.0), SECOND
    scale.update(stamp, first)
    left = abs(math.log(target / first))
    for step in steps:
        stamp += step
        scale.update(stamp, target)
        assert (scale.factor - target) * (first - target) >= -1e-12
        assert abs(math.log(target / scale.factor)) <= left + 1e-12
        left = abs(math.log(target / scale.factor))


@given(factors, factors, st.integers(1, 60), st.floats(0.1, 5))
def test_how_often_it_is_measured_makes_no_difference(first, target, rate, time_constant_s):
    after = 2 * SECOND
    expected = math.log(target) + math.log(first / target) * math.exp(-2 / time_constant_s)
    scale = SmoothScale(2.0, time_constant_s)
    scale.update(SECOND, first)
    for stamp in np.linspace(0, after, rate + 1).astype(int)[1:]:
        scale.update(SECOND + int(stamp), target)
    assert math.log(scale.factor) == pytest.approx(expected, abs=1e-6)


@given(st.integers(0, 10 * SECOND))
def test_a_measurement_that_is_not_newer_moves_nothing(back):
    scale = SmoothScale(2.0, 1.0)
    scale.update(20 * SECOND, 1.2)
    scale.update(20 * SECOND - back, 0.7)
    assert scale.factor == pytest.approx(1.2)
    assert scale.since_ns == 20 * SECOND


def test_without_a_time_constant_it_follows_at_once():
    scale = SmoothScale(2.0, 0.0)
    for ratio in (1.2, 0.7):
        scale.update(SECOND, ratio)
        assert scale.factor == pytest.approx(ratio)


def test_after_a_reset_the_next_measurement_is_the_first():
    scale = SmoothScale(2.0, 1.0)
    scale.update(20 * SECOND, 9.0)
    scale.reset()
    assert (scale.factor, scale.limited, scale.since_ns) == (1, False, None)
    scale.update(SECOND, 1.1)
    assert scale.factor == pytest.approx(1.1)


@pytest.mark.parametrize("settings", [(0.9, 1.0), (math.inf, 1.0), (math.nan, 1.0), (2.0, -1.0)])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match="need limit >= 1"):
        SmoothScale(*settings)
