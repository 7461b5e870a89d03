"""Clouds are read whatever their layout, and never wrongly."""

from __future__ import annotations

import math
from array import array
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouds import DATATYPES, cloud
from mtl_bags.clouds import to_labelled_points, to_points
from mtl_core.errors import CloudError

POINTS = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)

others = st.lists(
    st.tuples(st.sampled_from(["rgb", "ring", "time", "w"]), st.sampled_from(list(DATATYPES))),
    max_size=3,
    unique_by=lambda field: field[0],
)


@st.composite
def layouts(draw):
    """Fields in any order, coordinates of either precision among others."""
    axes = [(axis, draw(st.sampled_from(["f4", "f8"]))) for axis in "xyz"]
    return tuple(draw(st.permutations(axes + draw(others))))


@given(layouts(), st.booleans(), st.integers(0, 5), st.integers(0, 7), st.integers(1, 5))
def test_coordinates_do_not_depend_on_the_layout(fields, big, gap, pad, height):
    grid = POINTS.reshape(-1, 3)[: 30 // height * height].reshape(height, -1, 3)
    found = to_points(cloud(grid, fields, big, gap, pad))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, grid.reshape(-1, 3))


def test_rclpys_arrays_are_read_like_those_of_rosbags():
    message = cloud(POINTS)
    message.data = array("B", message.data.tobytes())
    np.testing.assert_array_equal(to_points(message), POINTS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_points_that_are_not_finite_are_left_out(axis, value):
    points = POINTS.copy()
    points[3, axis] = value
    np.testing.assert_array_equal(to_points(cloud(points)), np.delete(POINTS, 3, axis=0))


def test_what_float32_cannot_hold_is_left_out():
    points = POINTS.astype(np.float64)
    points[3, 1] = 1e300
    fields = (("x", "f8"), ("y", "f8"), ("z", "f8"))
    np.testing.assert_array_equal(to_points(cloud(points, fields)), np.delete(POINTS, 3, axis=0))


@given(st.integers(0, 3000), st.integers(1, 500))
def test_some_points_are_spread_over_all(count, most):
    points = np.zeros((count, 3), np.float32)
    points[:, 0] = np.arange(count)
    places = to_points(cloud(points), most)[:, 0]
    assert min(count, most / 2) <= len(places) <= most, "all, or at least half as many"
    steps = np.diff([-1, *places, count])
    assert steps.min() >= 1, "none twice"
    assert steps.max() <= 2 * max(1, math.ceil(count / most))


@pytest.mark.parametrize("rings", [16, 32, 64, 128])
def test_no_ring_of_a_scanner_is_missed(rings):
    """Points column by column, as scanners send them: equal steps would meet few rings."""
    points = np.zeros((rings * 1024, 3), np.float32)
    points[:, 2] = np.tile(np.arange(rings), 1024)
    counts = np.bincount(to_points(cloud(points), 4096)[:, 2].astype(int), minlength=rings)
    assert counts.min() > 0.5 * counts.mean()


@pytest.mark.parametrize("shape", [(0, 3), (0, 5, 3), (5, 0, 3)])
def test_a_cloud_may_be_empty(shape):
    assert to_points(cloud(np.zeros(shape, np.float32))).shape == (0, 3)


def test_the_row_step_of_a_single_row_is_not_needed():
    message = cloud(POINTS)
    message.row_step = 0
    np.testing.assert_array_equal(to_points(message), POINTS)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"data": np.zeros(359, np.uint8)}, "data is 359 bytes, expected at least 360 and 360"),
        ({"data": np.zeros(0, np.uint8)}, "data is 0 bytes"),
        ({"point_step": 8}, "end at byte 12, beyond point_step 8"),
        ({"point_step": 0}, "beyond point_step 0"),
        ({"height": 2}, "expected at least 360 and 720"),
        ({"height": 2, "row_step": 12}, "row_step is 12"),
        ({"width": 31}, "expected at least 372"),
        ({"fields": []}, "got none"),
        ({"fields": cloud(POINTS).fields[:2]}, r"got x \(datatype 7\), y \(datatype 7\)"),
    ],
)
def test_a_damaged_cloud_is_refused(changes, text):
    with pytest.raises(CloudError, match=text):
        to_points(SimpleNamespace(**{**vars(cloud(POINTS)), **changes}))


def test_whole_numbers_are_no_coordinates():
    with pytest.raises(CloudError, match=r"FLOAT32.*got x \(datatype 3\)"):
        to_points(cloud(POINTS, (("x", "i2"), ("y", "f4"), ("z", "f4"))))


numbers = st.integers(0, 40) | st.integers(0, 2**32 - 1)


@given(numbers, numbers, numbers, numbers, st.lists(numbers, min_size=3, max_size=3))
def test_whatever_a_message_says_nothing_beyond_it_is_read(height, width, step, row, offsets):
    message = cloud(POINTS)
    for field, offset in zip(message.fields, offsets, strict=True):
        field.offset = offset
    message.height, message.width, message.point_step, message.row_step = height, width, step, row
    with suppress(CloudError):
        assert len(to_points(message, 100)) <= 100


def test_labels_stay_with_their_points() -> None:
    points = np.arange(12, dtype=np.float32).reshape(4, 3)
    points[1] = np.nan
    record = np.zeros(4, [("xyz", "<f4", 3), ("label", "u1")])
    record["xyz"], record["label"] = points, [7, 255, 9, 1]
    fields = [SimpleNamespace(name=axis, offset=4 * i, datatype=7) for i, axis in enumerate("xyz")]
    label = SimpleNamespace(name="label", offset=12, datatype=2)
    message = SimpleNamespace(
        height=1, width=4, point_step=13, row_step=52, is_bigendian=False,
        fields=[*fields, label], data=record.view(np.uint8).reshape(-1),
    )  # fmt: skip
    found, labels = to_labelled_points(message)
    np.testing.assert_array_equal(found, points[[0, 2, 3]])
    np.testing.assert_array_equal(labels, [7, 9, 1])
    message.fields = fields
    assert to_labelled_points(message)[1] is None
