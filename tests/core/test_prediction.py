"""What a prediction says after its scale was corrected."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_core.errors import GeometryError
from mtl_core.images import ColourImage
from mtl_core.predictor import FakePredictor

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


@pytest.fixture
def prediction():
    return FakePredictor().predict(ColourImage(PIXELS, "rgb"), fx=80.0)


@given(st.floats(0.1, 10), st.booleans())
def test_a_factor_acts_on_depth_and_its_uncertainty_and_on_nothing_else(factor, decoded):
    one = FakePredictor().predict(ColourImage(PIXELS, "rgb"), fx=80.0)
    before = [one.mask(), one.confidence(), one.depth(), one.depth_uncertainty()] if decoded else []
    other = one.scaled(factor)
    np.testing.assert_allclose(other.depth(), one.depth() * factor, rtol=1e-5)
    np.testing.assert_allclose(
        other.depth_uncertainty(), one.depth_uncertainty() * factor, rtol=1e-5
    )
    np.testing.assert_array_equal(other.mask(), one.mask())
    np.testing.assert_array_equal(other.confidence(), one.confidence())
    after = [one.mask(), one.confidence(), one.depth(), one.depth_uncertainty()]
    for array, again in zip(before, after, strict=False):
        np.testing.assert_array_equal(again, array)


def test_a_factor_stays_at_another_size(prediction):
    expected = prediction.at(32, 24).depth() * np.float32(1.5)
    np.testing.assert_allclose(prediction.scaled(1.5).at(32, 24).depth(), expected, rtol=1e-6)
    np.testing.assert_allclose(prediction.at(32, 24).scaled(1.5).depth(), expected, rtol=1e-6)


def test_factors_multiply(prediction):
    twice = prediction.scaled(1.5).scaled(0.8)
    np.testing.assert_allclose(twice.depth(), prediction.scaled(1.2).depth(), rtol=1e-6)


@pytest.mark.parametrize("factor", [0.0, -1.0, np.nan, np.inf])
def test_what_is_no_scale_is_refused(prediction, factor):
    with pytest.raises(GeometryError, match="positive and finite"):
        prediction.scaled(factor)
