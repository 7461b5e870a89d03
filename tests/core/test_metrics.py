"""Metrics: independent oracles and the laws of pooling."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import jaccard_score, mean_absolute_percentage_error, root_mean_squared_error

from mtl_core.errors import MetricError
from mtl_core.metrics import AngularErrors, ConfusionMatrix, DepthErrors

CLASSES = 4
ids = hnp.arrays(np.uint8, 24, elements=st.integers(0, CLASSES - 1))
metres = hnp.arrays(np.float32, 24, elements=st.floats(0.25, 10, width=32))


@given(ids, ids)
def test_iou_agrees_with_scikit_learn(predicted, truth):
    matrix = ConfusionMatrix(CLASSES)
    matrix.update(predicted, truth)
    present = np.unique(truth)
    expected = jaccard_score(truth, predicted, labels=present, average=None, zero_division=0)
    np.testing.assert_allclose(matrix.iou()[present], expected)
    assert matrix.miou() == pytest.approx(expected.mean())


@given(ids, ids, st.integers(1, 23))
def test_metrics_do_not_depend_on_batching(predicted, truth, cut):
    whole, parts = ConfusionMatrix(CLASSES), ConfusionMatrix(CLASSES)
    whole.update(predicted, truth)
    parts.update(predicted[:cut], truth[:cut])
    parts.update(predicted[cut:], truth[cut:])
    np.testing.assert_array_equal(whole.counts, parts.counts)


@given(ids, ids)
def test_ignored_truth_changes_nothing(predicted, truth):
    plain, padded = ConfusionMatrix(CLASSES), ConfusionMatrix(CLASSES)
    plain.update(predicted, truth)
    padded.update(np.append(predicted, predicted), np.append(truth, np.full_like(truth, 255)))
    np.testing.assert_array_equal(plain.counts, padded.counts)


def test_an_unlabelled_prediction_is_a_miss():
    matrix = ConfusionMatrix(2)
    matrix.update(np.array([0, 255], np.uint8), np.array([0, 0], np.uint8))
    np.testing.assert_array_equal(matrix.iou(), [0.5, np.nan])
    assert matrix.miou() == 0.5


def test_nothing_measured_is_not_a_number():
    assert np.isnan(ConfusionMatrix(3).miou())
    assert np.isnan(DepthErrors().rmse())


@pytest.mark.parametrize(("predicted", "truth"), [(0, 7), (7, 0)])
def test_an_id_outside_the_label_map_is_refused(predicted, truth):
    with pytest.raises(MetricError, match="below 4 or 255, got up to"):
        ConfusionMatrix(4).update(np.array([predicted], np.uint8), np.array([truth], np.uint8))


@given(metres, metres)
def test_depth_errors_agree_with_scikit_learn(predicted, truth):
    errors = DepthErrors()
    errors.update(predicted, truth)
    assert errors.rmse() == pytest.approx(root_mean_squared_error(truth, predicted), abs=1e-5)
    assert errors.absrel() == pytest.approx(
        mean_absolute_percentage_error(truth, predicted), abs=1e-5
    )


@given(metres, metres, st.floats(0.5, 2))
@example(np.float32([9.9375, *[1] * 23]), np.float32([9.943592, *[1] * 23]), 0.875)
def test_relative_errors_do_not_depend_on_the_unit(predicted, truth, scale):
    one, other = DepthErrors(), DepthErrors()
    # In float32, scaling rounds both, by much of a small difference between them.
    predicted, truth = predicted.astype(np.float64), truth.astype(np.float64)
    one.update(predicted, truth)
    other.update(predicted * scale, truth * scale)
    assert other.absrel() == pytest.approx(one.absrel(), rel=1e-5, abs=1e-9)


def test_delta1_counts_ratios_below_a_quarter_either_way():
    errors = DepthErrors()
    errors.update(np.array([1.2, 1.3, 0.82, 0.7]), np.ones(4))
    assert errors.delta1() == 0.5
    assert errors.mae() == pytest.approx((0.2 + 0.3 + 0.18 + 0.3) / 4)


@given(metres)
def test_unknown_truth_is_not_measured(predicted):
    errors = DepthErrors()
    errors.update(predicted, np.full_like(predicted, np.nan))
    errors.update(predicted, np.zeros_like(predicted))
    assert np.isnan(errors.absrel())


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -1.0])
def test_a_depth_that_is_no_distance_is_refused(bad):
    with pytest.raises(MetricError, match="finite and positive"):
        DepthErrors().update(np.array([bad]), np.array([1.0]))


@pytest.mark.parametrize("metric", [ConfusionMatrix(3), DepthErrors()])
def test_another_size_is_refused_not_broadcast(metric):
    with pytest.raises(MetricError, match=r"prediction is \(2,\), truth is \(3,\)"):
        metric.update(np.ones(2, np.uint8), np.ones(3, np.uint8))


def directions(rng):
    vectors = rng.normal(size=(24, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


KINDS = {
    "confusion": (lambda: ConfusionMatrix(CLASSES), lambda rng: rng.integers(0, CLASSES, 24)),
    "depth": (DepthErrors, lambda rng: rng.uniform(0.5, 9, 24)),
    "angle": (AngularErrors, directions),
}
FIGURES = {
    "confusion": lambda metric: [metric.miou(), *metric.iou()],
    "depth": lambda metric: [metric.rmse(), metric.absrel(), metric.delta1(), metric.mae()],
    "angle": lambda metric: [metric.mean_degrees(), *metric.within()],
}


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32), parts=st.integers(0, 4))
def test_sums_of_parts_are_those_of_the_whole_and_give_its_figures(kind, seed, parts):
    (new, draw), rng = KINDS[kind], np.random.default_rng(seed)
    whole, sums = new(), new().sums()
    for _ in range(parts):
        part, pair = new(), (draw(rng), draw(rng))
        part.update(*pair)
        whole.update(*pair)
        sums = sums + part.sums()
    np.testing.assert_allclose(sums, whole.sums(), rtol=1e-12)
    again = new().with_sums(sums)
    np.testing.assert_allclose(FIGURES[kind](again), FIGURES[kind](whole), rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_sums_are_copies_and_a_metric_made_of_them_another_one(kind):
    (new, draw), rng = KINDS[kind], np.random.default_rng(0)
    metric = new()
    metric.update(draw(rng), draw(rng))
    before = metric.sums()
    metric.sums()[:] = 7
    metric.with_sums(np.zeros_like(before)).update(draw(rng), draw(rng))
    np.testing.assert_array_equal(metric.sums(), before)


def test_sums_of_another_kind_are_refused():
    with pytest.raises(MetricError, match=r"5 sums expected, got \(20,\)"):
        DepthErrors().with_sums(ConfusionMatrix(CLASSES).sums())
