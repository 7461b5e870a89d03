"""Depth as 16 bit millimetres."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_core.depth import millimetres


@given(st.floats(0.001, 65.0))
def test_a_depth_is_at_most_half_a_millimetre_off(depth: float) -> None:
    (result,) = millimetres(np.array([depth], np.float32))
    assert abs(float(result) - depth * 1000.0) <= 0.5 + 65_000 * 2**-23  # of float32's own


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (65.535, 65535),
        (65.536, 0),
        (1e30, 0),
        (0.0004, 0),
        (0.0, 0),
        (-1.0, 0),
        (math.nan, 0),
        (math.inf, 0),
        (-math.inf, 0),
    ],
)
def test_what_16_bits_cannot_hold_is_0(depth: float, expected: int) -> None:
    result = millimetres(np.full((2, 3), depth, np.float32))
    assert (result.dtype, result.shape) == (np.uint16, (2, 3))
    assert set(result.flat) == {expected}
