"""Calibration: known temperatures are found again, of the labels as they will be written."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_training.errors import DatasetError
from mtl_training.pseudo.calibrate import fit, observe, temperatures
from mtl_training.pseudo.generate import Labeller
from pseudo_teacher import (
    CAMERA,
    DEPTH,
    NORMALS,
    SEGMENTATION,
    TASKS,
    ColourTeacher,
    overconfident_classes,
    overconfident_depths,
    rooms,
    without,
)


@settings(max_examples=10)
@given(t=st.floats(0.5, 2.5), seed=st.integers(0, 100))
@pytest.mark.parametrize(
    ("task", "draw"),
    [(SEGMENTATION, overconfident_classes), (DEPTH, overconfident_depths)],
    ids=["segmentation", "depth"],
)
def test_a_known_temperature_is_found_again(task, draw, t, seed):
    found = fit(task, draw(np.random.default_rng(seed), t))
    assert found == pytest.approx(t, rel=0.08)


def test_after_fitting_confidence_is_the_share_that_is_right():
    seen = overconfident_classes(np.random.default_rng(1), 3.0)
    before, _ = seen.judged(SEGMENTATION, 1.0)
    confidence, right = seen.judged(SEGMENTATION, fit(SEGMENTATION, seen))
    assert before.mean() > right.mean() + 0.1
    assert confidence.mean() == pytest.approx(right.mean(), abs=0.01)
    sure = confidence > 0.7
    assert confidence[sure].mean() == pytest.approx(right[sure].mean(), abs=0.02)


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_what_is_judged_is_what_will_be_written(task):
    """At a temperature, the pixels' confidences are those of the merged pseudo-label there."""
    source, temperature = rooms(), 1.7
    sample = source.sample(0)
    labeller = Labeller(ColourTeacher())
    seen = observe(task, labeller.ask(sample), sample.truth[task.name], np.random.default_rng(0))
    assert len(seen.truth) == 16 * 22  # all of a small grid
    confidence, right = seen.judged(task, temperature)
    written = Labeller(ColourTeacher(temperatures={task.name: temperature}))
    label = written.labels(sample, [task])[task.name]
    np.testing.assert_allclose(confidence, label.confidence.ravel(), atol=1e-5)
    centres = sample.truth[task.name][2::5, 2::5]
    answer = task.decoded(label.value, 16, 22)
    np.testing.assert_array_equal(right.reshape(16, 22), task.correct(answer, centres))


def test_pixels_without_truth_are_not_looked_at():
    sample = rooms().sample(0)
    depth = sample.truth["depth"].copy()
    depth[:, :55] = np.nan
    answers = Labeller(ColourTeacher()).ask(sample)
    seen = observe(DEPTH, answers, depth, np.random.default_rng(0))
    assert len(seen.truth) == 16 * 11
    ratio = CAMERA.fx * 0.8 / 80.0
    centres = np.sort(depth[2::5, 57::5].ravel())
    np.testing.assert_allclose(np.sort(seen.truth), centres / ratio, rtol=1e-6)


def test_all_tasks_with_truth_get_a_temperature_and_the_same_each_time():
    labeller = Labeller(ColourTeacher())
    source = without(rooms(), "normals")
    found = temperatures(labeller, source, TASKS)
    assert found.keys() == {"segmentation", "depth"}
    assert all(0.05 <= t <= 20 for t in found.values())
    assert temperatures(labeller, source, TASKS) == found


def test_calibration_without_truth_is_an_error():
    labeller = Labeller(ColourTeacher())
    nothing = without(rooms(), *(task.name for task in TASKS))
    with pytest.raises(
        DatasetError, match="truth of segmentation, depth, normals expected, 4 samp"
    ):
        temperatures(labeller, nothing, TASKS)
    with pytest.raises(DatasetError, match="truth of normals"):
        temperatures(labeller, without(rooms(), "normals"), [NORMALS])
