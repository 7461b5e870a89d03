"""Intervals and tests against independent computations, and the plots that show them."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mtl_training.errors import TrainingError
from mtl_training.plots import bars, curve, heat_map, new_figure, save
from mtl_training.statistics import (
    compare,
    estimate,
    holm,
    paired_bootstrap,
    paired_t,
    wilcoxon,
)

P_VALUES = st.dictionaries(st.text(max_size=3), st.floats(0, 1), min_size=1, max_size=8)


def test_an_estimate_is_the_t_interval_of_scipy():
    values = np.random.default_rng(0).normal(3, 2, 17)
    found = estimate(values, 0.9)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.mean, found.std) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert found.count == 17


def test_one_value_has_no_interval():
    found = estimate([2.0])
    assert found.mean == 2
    assert np.isnan([found.std, found.low, found.high]).all()


def test_about_95_of_100_intervals_hold_the_truth():
    rng = np.random.default_rng(1)
    found = [estimate(rng.normal(1, 1, 5)) for _ in range(1000)]
    assert 0.93 < np.mean([one.low < 1 < one.high for one in found]) < 0.97


@pytest.mark.parametrize("bad", [[], [[1.0, 2.0]], [1.0, np.nan], 3.0])
def test_what_is_no_list_of_finite_values_is_refused(bad):
    with pytest.raises(TrainingError, match="list of finite values"):
        estimate(bad)


@given(st.lists(st.integers(-40, 40).filter(bool), min_size=3, max_size=9, unique_by=abs))
def test_wilcoxon_is_the_share_of_sign_changes_that_are_as_extreme(differences):
    """The test's definition, by going through all signs."""
    size = np.array(differences, dtype=float)
    ranks = stats.rankdata(np.abs(size))
    centre = ranks.sum() / 2
    observed = abs(ranks[size > 0].sum() - centre)
    signs = np.array(list(product((0, 1), repeat=size.size)))
    expected = np.mean(np.abs(signs @ ranks - centre) >= observed - 1e-9)
    assert wilcoxon(size, np.zeros_like(size)) == pytest.approx(expected)


def test_methods_that_do_not_differ_have_p_1():
    assert wilcoxon([1, 2, 3], [1, 2, 3]) == 1
    assert paired_t([1, 2, 3], [1, 2, 3]) == 1


def test_the_paired_t_test_is_that_of_scipy():
    a, b = np.random.default_rng(2).normal(size=(2, 12))
    assert paired_t(a, b) == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert paired_t([2, 3], [1, 2]) == 0


def test_tests_of_unequal_lengths_are_refused():
    with pytest.raises(TrainingError, match="got 2 and 3"):
        wilcoxon([1, 2], [1, 2, 3])


def test_a_t_test_of_one_pair_is_refused():
    with pytest.raises(TrainingError, match="two pairs"):
        paired_t([1.0], [2.0])


def test_holm_of_a_worked_example():
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})


@given(P_VALUES)
def test_holm_lies_between_the_raw_p_and_bonferroni_and_keeps_the_order(raw):
    corrected = holm(raw)
    assert list(corrected) == list(raw)
    for name, p in raw.items():
        assert p <= corrected[name] <= min(1.0, p * len(raw))
    in_order = [corrected[name] for name in sorted(raw, key=raw.__getitem__)]
    assert in_order == sorted(in_order)


def test_comparing_a_family_corrects_within_it():
    a, b, c = np.random.default_rng(3).normal([[0], [0.4], [2]], size=(3, 10))
    found = compare({"ab": (a, b), "ac": (a, c)})
    raw = {"ab": wilcoxon(a, b), "ac": wilcoxon(a, c)}
    assert {name: one.wilcoxon for name, one in found.items()} == raw
    assert {name: one.holm for name, one in found.items()} == holm(raw)
    assert found["ac"].difference.mean == pytest.approx(np.mean(a - c))


def mean(scores):
    return float(np.mean(scores))


def miou(confusions):
    total = confusions.sum(axis=0).astype(float)
    hits = np.diag(total)
    return float(np.mean(hits / (total.sum(0) + total.sum(1) - hits)))


def test_the_bootstrap_of_a_mean_agrees_with_the_t_interval():
    rng = np.random.default_rng(4)
    b = rng.normal(size=400)
    a = b + rng.normal(0.02, 0.1, 400)
    found, expected = paired_bootstrap(a, b, mean, rng), estimate(a - b)
    assert found.difference == pytest.approx(expected.mean)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1.5e-3)
    assert found.p == pytest.approx(paired_t(a, b), abs=0.01)


def test_the_bootstrap_takes_confusion_matrices_of_images():
    rng = np.random.default_rng(5)
    b = rng.integers(1, 50, (30, 3, 3))
    a = b + 40 * np.eye(3, dtype=int)
    found = paired_bootstrap(a, b, miou, rng, resamples=300)
    assert found.difference == pytest.approx(miou(a) - miou(b))
    assert 0 < found.low < found.difference < found.high
    assert found.p == pytest.approx(2 / 301)


def test_a_method_does_not_differ_from_itself():
    scores = np.random.default_rng(6).normal(size=20)
    found = paired_bootstrap(scores, scores, mean, np.random.default_rng(0), resamples=50)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_a_bootstrap_depends_on_its_generator_only():
    a, b = np.random.default_rng(7).normal(size=(2, 20))
    runs = [paired_bootstrap(a, b, mean, np.random.default_rng(9), 100) for _ in range(2)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0, 2.0]), ([], []), (1.0, 1.0)])
def test_a_bootstrap_needs_the_same_images(a, b):
    with pytest.raises(TrainingError, match="same images"):
        paired_bootstrap(a, b, mean, np.random.default_rng(0))


def drawn_figure():
    figure, (left, right, third) = new_figure(columns=3)
    curve(left, [1, 2], [[1, 2, 3], [2, 3, 4]], "up")
    bars(right, {"one": estimate([1, 2]), "lone": estimate([3])})
    heat_map(third, [[0.0, np.nan], [1.0, 2.0]], ["a", "b"], ["c", "d"], label="value")
    return figure, left, right, third


def test_plots_show_means_intervals_and_numbers():
    _, left, right, third = drawn_figure()
    assert list(left.lines[0].get_ydata()) == [2, 3]
    band = left.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(estimate([2, 3, 4]).high)
    assert [bar.get_height() for bar in right.patches] == [1.5, 3]
    assert [text.get_text() for text in third.texts] == ["0.00", "1.00", "2.00"]


def test_a_figure_is_a_png_and_nothing_else_is_left(tmp_path):
    figure, *_ = drawn_figure()
    save(figure, tmp_path / "plot.png")
    assert cv2.imread(str(tmp_path / "plot.png")).shape[2] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["plot.png"]


def test_a_figure_that_cannot_be_drawn_leaves_the_old_one(tmp_path):
    (tmp_path / "plot.png").write_bytes(b"old")
    figure, at, *_ = drawn_figure()
    at.set_title("$\\nonsense{$")
    with pytest.raises(ValueError, match="nonsense"):
        save(figure, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
