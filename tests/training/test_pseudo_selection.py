"""Which pseudo-labels are used: confident ones, where there is no truth."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mtl_training.config import LossConfig
from mtl_training.data.sample import PseudoLabel
from mtl_training.pseudo.selection import (
    LEVELS,
    confident,
    histogram,
    shuffled,
    thresholds,
    usable,
)
from pseudo_teacher import DEPTH, SEGMENTATION, TASKS, label_of

ROWS = arrays.arrays(np.int64, (3, 256), elements=st.integers(0, 50)).map(
    lambda rows: {str(i): row.tolist() for i, row in enumerate(rows * (np.arange(256) > 0))}
)
SHARES = st.floats(0, 1, width=32)


@given(rows=ROWS, low=SHARES, high=SHARES, share=SHARES)
def test_thresholds_rise_with_the_setting(rows, low, high, share):
    low, high = sorted((low, high))
    below = thresholds(rows, LossConfig(pseudo_threshold=low, pseudo_share=share))
    above = thresholds(rows, LossConfig(pseudo_threshold=high, pseudo_share=share))
    assert (below <= above).all()


@given(rows=ROWS, threshold=SHARES, low=SHARES, high=SHARES)
def test_thresholds_fall_with_the_share_and_leave_at_least_it(rows, threshold, low, high):
    low, high = sorted((low, high))
    few = thresholds(rows, LossConfig(pseudo_threshold=threshold, pseudo_share=low))
    many = thresholds(rows, LossConfig(pseudo_threshold=threshold, pseudo_share=high))
    assert (many <= few).all()
    for row, least in zip(rows.values(), many, strict=True):
        kept = sum(n for n, level in zip(row, LEVELS, strict=True) if level >= least)
        assert kept >= high * sum(row) - 1e-6
        assert least <= max(LEVELS[np.float32(threshold) <= LEVELS].min(), LEVELS[1])


@given(seed=st.integers(0, 1000), threshold=SHARES, share=SHARES, task=st.sampled_from(TASKS))
def test_what_is_kept_is_what_the_histogram_says(seed, threshold, share, task):
    label = label_of(task, seed, 12, 16)
    # As a file gives it back.
    label = replace(label, confidence=LEVELS[np.rint(label.confidence * 255).astype(int)])
    counts = histogram(task, label)
    losses = LossConfig(pseudo_threshold=threshold, pseudo_share=share)
    least = thresholds(dict(zip(task.group_names, counts.tolist(), strict=True)), losses)
    kept = confident(task, label, least).confidence > 0
    predicted = sum(row[at <= LEVELS].sum() for row, at in zip(counts, least, strict=True))
    assert kept.sum() == predicted
    assert (label.confidence[kept] >= least[task.groups(label.value)][kept]).all()


@given(seed=st.integers(0, 1000), share=SHARES, task=st.sampled_from(TASKS))
def test_noise_moves_just_that_share_of_used_cells_and_invents_no_label(seed, share, task):
    numbers = np.arange(192, dtype=np.float32).reshape(12, 16, 1)  # every cell's value is its own
    confidence = label_of(task, seed, 12, 16).confidence * (numbers[..., 0] % 3 > 0)
    label = PseudoLabel(numbers, confidence)
    noisy = shuffled(label, share, np.random.default_rng(seed))
    used, moved = confidence > 0, (noisy.value != numbers)[..., 0]
    expected = round(share * used.sum())
    assert moved.sum() == (expected if expected > 1 else 0)
    assert not moved[~used].any()
    assert sorted(noisy.value[used].ravel()) == sorted(numbers[used].ravel())
    np.testing.assert_array_equal(noisy.confidence, confidence)


def test_a_shy_class_keeps_its_best_cells():
    value = np.zeros((1, 10, 13), np.float32)
    value[0, :5, 2], value[0, 5:, 7] = 1, 1
    confidence = np.array([[0.9, 0.8, 0.9, 0.7, 0.9, 0.1, 0.2, 0.3, 0.2, 0.1]], np.float32)
    label = PseudoLabel(value, confidence)
    counts = dict(
        zip(SEGMENTATION.group_names, histogram(SEGMENTATION, label).tolist(), strict=True)
    )
    losses = LossConfig(pseudo_threshold=0.6, pseudo_share=0.4)
    kept = confident(SEGMENTATION, label, thresholds(counts, losses) - 1 / 510).confidence > 0
    assert kept[0].tolist() == [True] * 5 + [False, True, True, True, False]


@given(holes=arrays.arrays(np.bool_, (24, 32)))
def test_sensor_truth_is_never_overwritten_and_its_holes_are_filled(holes):
    truth = np.where(holes, np.nan, 2.0).astype(np.float32)
    label = replace(label_of(DEPTH), confidence=np.full((6, 8), 0.9, np.float32))
    left = usable(DEPTH, label, truth)
    blocks = holes.reshape(6, 4, 8, 4).all(axis=(1, 3))
    assert (left is None) == (not blocks.any())
    if left is not None:
        np.testing.assert_array_equal(left.confidence > 0, blocks)


def test_what_an_annotator_left_out_stays_out():
    truth = np.full((24, 32), 255, np.uint8)
    truth[0, 0] = 3
    assert usable(SEGMENTATION, label_of(SEGMENTATION), truth) is None
    assert usable(SEGMENTATION, label_of(SEGMENTATION), None) is not None
