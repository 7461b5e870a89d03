"""Augmentation keeps depth, inverse depth, normals, pseudo-labels and intrinsics right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_core.card import InputSpec
from mtl_core.geometry import Intrinsics
from mtl_core.images import ColourImage
from mtl_core.predictor import Letterbox, Preprocessor
from mtl_training.data.augment import Augmentation, jitter
from mtl_training.data.degradation import degraded
from mtl_training.data.loader import Collate
from mtl_training.data.sample import PseudoLabel, Sample
from mtl_training.tasks.registry import TASKS, TaskConfig, build_tasks

CONFIG = TaskConfig(tuple(TASKS), "nyu13", 50.0, 0.3, 12.0)
TASK = {task.name: task for task in build_tasks(CONFIG)}
SPEC = InputSpec(64, 96, (0.4, 0.5, 0.6), (0.2, 0.2, 0.2))
AUGMENT = Augmentation(TASK, SPEC, canonical_fx=50.0)
COLLATE = Collate(TASK)

zooms, places = st.floats(1, 3), st.tuples(st.floats(0, 1), st.floats(0, 1)).map(np.array)


def wall(metres=2.0, height=128, width=192, fx=90.0) -> Sample:
    """A wall that faces the camera; its classes count columns, so that places can be told apart."""
    columns = np.tile(np.arange(width, dtype=np.uint8), (height, 1))
    normal = np.array([0.6, 0.0, -0.8], np.float32)
    return Sample(
        "wall",
        np.repeat(columns[..., None], 3, axis=2),
        {
            "segmentation": columns,
            "depth": np.full((height, width), metres, np.float32),
            "inverse_depth": np.full((height, width), 1 / metres, np.float32),
            "normals": np.broadcast_to(normal, (height, width, 3)).copy(),
        },
        Intrinsics(width, height, fx, fx, width / 3, height / 4),
    )


def target(view, task):
    return COLLATE([view])["truth"][task][0].numpy()


@given(zooms, places, st.floats(0.5, 9))
def test_a_zoom_by_s_divides_depth_by_s_and_multiplies_inverse_depth_by_s(zoom, at, metres):
    near = AUGMENT.zoomed(wall(metres), zoom, at)
    whole = AUGMENT.zoomed(wall(metres), 1.0, np.zeros(2))
    s = near.sample.intrinsics.fx / whole.sample.intrinsics.fx
    # The window is whole pixels, so that the true zoom is that of the intrinsics.
    assert s == pytest.approx(zoom, rel=0.02)
    np.testing.assert_allclose(target(near, "depth"), target(whole, "depth") / s, rtol=1e-5)
    np.testing.assert_allclose(
        target(near, "inverse_depth"), target(whole, "inverse_depth") * s, rtol=1e-5
    )


@given(zooms, places)
def test_where_the_camera_is_unknown_the_zoom_stands_for_it(zoom, at):
    view = AUGMENT.zoomed(replace(wall(3.0), intrinsics=None), zoom, at)
    assert view.focal_ratio == pytest.approx(zoom, rel=0.02), "but for whole pixels"
    np.testing.assert_allclose(target(view, "depth"), 3.0 / view.focal_ratio, rtol=1e-5)
    np.testing.assert_allclose(target(view, "inverse_depth"), view.focal_ratio / 3.0, rtol=1e-5)


rows_of_views = st.sampled_from([48, 52, 60, 64])


@given(st.integers(40, 250), st.integers(40, 250), st.floats(1, 2), places, rows_of_views)
def test_an_unknown_camera_is_the_one_that_prediction_takes_it_for(height, width, zoom, at, rows):
    """Images of any aspect, which training cuts to a view's and prediction fits into its input."""
    image = ColourImage(np.zeros((height, width, 3), np.uint8), "rgb")
    canonical = 50.0 / Letterbox.fit(image, SPEC).scale
    known = wall(height=height, width=width, fx=canonical)
    ratio = AUGMENT.zoomed(replace(known, intrinsics=None), zoom, at, rows).focal_ratio
    assert ratio == pytest.approx(AUGMENT.zoomed(known, zoom, at, rows).focal_ratio)


def test_a_whole_image_of_another_aspect_is_seen_closer_in_training_than_in_prediction():
    augment = replace(AUGMENT, spec=replace(SPEC, height=192, width=256))
    view = augment.zoomed(replace(wall(3.0, 128, 256), intrinsics=None), 1.0, np.zeros(2))
    assert view.focal_ratio == pytest.approx(256 / 171, rel=1e-6), "of 171 columns, 256 are made"


@given(zooms, places)
def test_a_zoom_leaves_metres_and_normals_alone(zoom, at):
    sample = wall(2.0)
    view = AUGMENT.zoomed(sample, zoom, at)
    np.testing.assert_array_equal(view.sample.truth["depth"], np.float32(2.0))
    np.testing.assert_array_equal(view.sample.truth["normals"], sample.truth["normals"][:64, :96])


@given(zooms, places)
def test_a_smaller_crop_changes_the_pixels_and_not_what_depth_means(zoom, at):
    """Of known and of unknown cameras: half the pixels, half the focal length, the same wall."""
    half = replace(AUGMENT, crop=(32, 48))
    for sample in (wall(), replace(wall(), intrinsics=None)):
        whole, small = AUGMENT.zoomed(sample, zoom, at), half.zoomed(sample, zoom, at)
        assert small.sample.image.shape == (32, 48, 3)
        assert small.focal_ratio == pytest.approx(whole.focal_ratio / 2)
        np.testing.assert_allclose(target(small, "depth"), 2 * target(whole, "depth")[::2, ::2])
        columns, fewer = (v.sample.truth["segmentation"][0].astype(int) for v in (whole, small))
        assert np.abs(columns[::2] - fewer).max() <= 2, "the same window, at whole columns"


@given(st.floats(1, 2), places)
def test_a_pixel_keeps_its_viewing_ray_through_zoom_and_crop(zoom, at):
    sample = wall()
    camera, view = sample.intrinsics, AUGMENT.zoomed(sample, zoom, at).sample
    shown = (view.truth["segmentation"][0].astype(float) - camera.cx) / camera.fx
    ray = (np.arange(96) - view.intrinsics.cx) / view.intrinsics.fx
    assert np.abs(shown - ray).max() <= 1.0 / camera.fx


@given(zooms, places)
def test_depth_and_intrinsics_give_the_same_points_before_and_after(zoom, at):
    """Back-projection of the canonical depth with the canonical camera is off by one scale only."""
    sample = wall(2.0)
    view = AUGMENT.zoomed(sample, zoom, at)
    ratio = view.sample.intrinsics.fx / 50.0
    np.testing.assert_allclose(target(view, "depth") * ratio, 2.0, rtol=1e-5)
    assert view.focal_ratio == pytest.approx(ratio)


def test_a_flip_mirrors_everything_and_twice_is_nothing():
    view = AUGMENT.zoomed(wall(), 1.3, np.array([0.2, 0.7]))
    once, twice = AUGMENT.mirrored(view), AUGMENT.mirrored(AUGMENT.mirrored(view))
    for name, labels in view.sample.truth.items():
        np.testing.assert_array_equal(twice.sample.truth[name], labels)
    depth = view.sample.truth["depth"][:, ::-1]
    np.testing.assert_array_equal(once.sample.truth["depth"], depth)
    assert once.sample.intrinsics.cx == 95 - view.sample.intrinsics.cx
    np.testing.assert_array_equal(twice.sample.image, view.sample.image)
    assert twice.sample.intrinsics == view.sample.intrinsics


def test_a_flip_negates_the_x_of_normals_and_nothing_else():
    view = AUGMENT.zoomed(wall(), 1.0, np.zeros(2))
    mirrored = AUGMENT.mirrored(view).sample.truth["normals"]
    np.testing.assert_allclose(mirrored[5, 7], [-0.6, 0.0, -0.8], rtol=1e-6)


def test_no_depth_is_invented_between_near_and_far():
    sample = wall(1.0)
    sample.truth["depth"][:, 96:] = 9.0
    view = AUGMENT.zoomed(sample, 1.37, np.array([0.4, 0.6]))
    assert set(np.unique(view.sample.truth["depth"])) <= {1.0, 9.0}


def test_colour_changes_stay_colours():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (16, 16, 3), np.uint8)
    changed = jitter(image, 0.4, rng)
    assert changed.dtype == np.uint8
    assert (changed != image).any()
    np.testing.assert_array_equal(jitter(image, 0.0, rng), image)


def test_colour_changes_are_those_of_their_definition():
    """Gain, saturation about the grey, contrast about the mean, balance: one after the other."""
    image = np.random.default_rng(1).integers(60, 160, (8, 8, 3), np.uint8)
    gain, contrast, saturation = 1 + 0.2 * np.random.default_rng(2).uniform(-1, 1, 3)
    rng = np.random.default_rng(2)
    rng.uniform(-1, 1, 3)
    balance = 1 + 0.25 * 0.2 * rng.uniform(-1, 1, 3)
    pixels = image * gain
    grey = pixels.mean(axis=2, keepdims=True)
    pixels = grey + (pixels - grey) * saturation
    pixels = grey.mean() + (pixels - grey.mean()) * contrast
    changed = jitter(image, 0.2, np.random.default_rng(2))
    assert np.abs(changed - pixels * balance).max() <= 1.0


def test_unlabelled_stays_unlabelled_through_augmentation():
    sample = wall()
    nothing = {name: task.absent(128, 192) for name, task in TASK.items()}
    view = AUGMENT(replace(sample, truth=nothing), np.random.default_rng(0))
    for name, task in TASK.items():
        assert not task.known(target(view, name)).any()


def test_a_task_without_labels_is_given_its_mark_of_none():
    view = AUGMENT.zoomed(replace(wall(), truth={}), 1.0, np.zeros(2))
    for name, task in TASK.items():
        assert target(view, name).shape[:2] == (64, 96)
        assert not task.known(target(view, name)).any()


def with_pseudo(sample, value, confidence):
    return replace(sample, truth={}, pseudo={"depth": PseudoLabel(value, confidence)})


@given(zooms, places)
def test_a_pseudo_label_stays_where_it_was_in_the_image(zoom, at):
    """A ramp over the image is read off the grid exactly, but for half a cell at the border."""
    u = (np.arange(48, dtype=np.float32) + 0.5) * 4 - 0.5  # pixel at the centre of each cell
    value = np.tile(u, (32, 1))[..., None]
    sample = with_pseudo(wall(), value, np.ones((32, 48), np.float32))
    view = AUGMENT.zoomed(sample, zoom, at)
    camera, new = sample.intrinsics, view.sample.intrinsics
    cells = (np.arange(24) + 0.5) * 4 - 0.5
    expected = (cells - new.cx) / new.fx * camera.fx + camera.cx
    inside = (expected > u[0]) & (expected < u[-1])
    got = view.sample.pseudo["depth"].value[7, :, 0]
    np.testing.assert_allclose(got[inside], expected[inside], atol=0.15)


def test_a_pseudo_label_is_brought_to_the_canonical_focal_length_like_truth():
    value = np.full((32, 48, 1), 2.0, np.float32)
    sample = with_pseudo(wall(2.0), value, np.ones((32, 48), np.float32))
    view = AUGMENT.zoomed(sample, 1.5, np.zeros(2))
    both = COLLATE([view, AUGMENT.zoomed(wall(2.0), 1.5, np.zeros(2))])
    truth = both["truth"]["depth"][1].unique().item()
    np.testing.assert_allclose(both["value"]["depth"][0].numpy(), truth, rtol=1e-6)
    assert both["weight"]["depth"][0].min() == 1.0
    assert both["weight"]["depth"][1].max() == 0.0, "the other sample has none"


def test_what_was_dropped_from_a_pseudo_label_does_not_come_back():
    confidence = np.zeros((32, 48), np.float32)
    confidence[:, 24:] = 0.9
    sample = with_pseudo(wall(), np.ones((32, 48, 1), np.float32), confidence)
    kept = AUGMENT.zoomed(sample, 1.21, np.array([0.5, 0.5])).sample.pseudo["depth"].confidence
    assert set(np.unique(kept > 0)) == {False, True}
    assert kept[kept > 0].min() > 0.4


def busy_image():
    return np.random.default_rng(0).integers(0, 256, (24, 640, 3), np.uint8)


def test_images_are_degraded_as_often_as_asked_each_time_otherwise_and_reproducibly():
    image = busy_image()
    kept = image.copy()
    np.testing.assert_array_equal(degraded(image, 0.0, np.random.default_rng(0)), image)
    every = [degraded(image, 1.0, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(every[0], every[1])
    assert (every[0] != every[2]).any()
    assert all(one.shape == image.shape and one.dtype == np.uint8 for one in every)
    np.testing.assert_array_equal(image, kept, "the image that it was given stays")
    rng = np.random.default_rng(0)
    untouched = sum((degraded(image, 0.3, rng) == image).all() for _ in range(400)) / 400
    assert untouched == pytest.approx(0.7**3, abs=0.08), "none of three, each with 0.3"


def test_degrading_leaves_labels_and_place_alone():
    plain, harder = (
        replace(AUGMENT, degrade=chance)(wall(), np.random.default_rng(3)) for chance in (0.0, 1.0)
    )
    assert (plain.sample.image != harder.sample.image).any()
    assert plain.sample.intrinsics == harder.sample.intrinsics
    for name, labels in plain.sample.truth.items():
        np.testing.assert_array_equal(harder.sample.truth[name], labels)


def test_a_wide_view_is_what_prediction_makes_of_a_wide_image():
    image = np.random.default_rng(0).integers(0, 256, (96, 192, 3), np.uint8)
    predicted = Preprocessor(SPEC)
    box = predicted(ColourImage(image, "rgb"))
    sample = replace(wall(height=96, fx=90.0), image=image)
    view = AUGMENT.barred(AUGMENT.zoomed(sample, 1.0, np.zeros(2), box.height))
    normalised = (view.sample.image / 255 - SPEC.mean) / SPEC.std
    # The mean's colour in whole numbers is off by half of one, at most.
    assert np.abs(normalised.transpose(2, 0, 1) - predicted.tensor[0]).max() <= 0.5 / 255 / 0.2
    assert box.height == 48
    assert view.focal_ratio == pytest.approx(90.0 * box.scale / AUGMENT.canonical_fx)


def ramps():
    """A wall whose depth, true and by pseudo-labels, is 1 plus the row."""
    rows = np.arange(128, dtype=np.float32)
    sample = wall()
    sample.truth["depth"] = np.tile(1 + rows[:, None], (1, 192))
    cells = (np.arange(32, dtype=np.float32) + 0.5) * 4 - 0.5
    depth = np.tile(1 + cells[:, None], (1, 48))
    sure = np.full((32, 48), 0.9, np.float32)
    classes = np.full((32, 48, 13), 1 / 13, np.float32)
    pseudo = {
        "depth": PseudoLabel(depth[..., None], sure),
        "segmentation": PseudoLabel(classes, sure),
    }
    return replace(sample, pseudo=pseudo)


@given(zooms, places, st.sampled_from([48, 52, 60]))
def test_a_bar_has_no_labels_and_what_is_above_it_keeps_its_place(zoom, at, rows):
    sample = ramps()
    view = AUGMENT.barred(AUGMENT.zoomed(sample, zoom, at, rows)).sample
    for name, task in TASK.items():
        labels = view.truth[name]
        assert labels.shape[:2] == (64, 96)
        assert labels.dtype == sample.truth[name].dtype
        assert not task.known(labels)[rows:].any()
        assert task.known(labels)[:rows].all()
    old, new = sample.intrinsics, view.intrinsics

    def seen(v):
        return 1 + (v - new.cy) / new.fy * old.fy + old.cy

    shown = view.truth["depth"][:rows, 5]
    assert np.abs(shown - seen(np.arange(rows))).max() <= 1, "whole rows"
    cells = seen((np.arange(rows // 4) + 0.5) * 4 - 0.5)
    inside = (cells > 3) & (cells < 126)
    value = view.pseudo["depth"].value[: rows // 4, 5, 0]
    np.testing.assert_allclose(value[inside], cells[inside], atol=0.15)
    assert view.pseudo["segmentation"].value.shape == (16, 24, 13)
    for pseudo in view.pseudo.values():
        np.testing.assert_allclose(pseudo.confidence[: rows // 4], 0.9, rtol=1e-6)
        assert (pseudo.confidence[rows // 4 :] == 0).all()
    assert new.height == 64


def test_views_are_wide_as_often_as_asked():
    tiny = replace(AUGMENT, tasks={"depth": TASK["depth"]})

    def bar(wide, seed):
        view = replace(tiny, wide=wide)(wall(2.0, 32, 48), np.random.default_rng(seed))
        return int((~TASK["depth"].known(view.sample.truth["depth"]).any(axis=1)).sum())

    bars = [bar(0.5, seed) for seed in range(1000)]
    # A height of more than 62 of 64 rows is rounded to all of them: one in eight.
    assert np.mean(np.array(bars) > 0) == pytest.approx(0.5 * 7 / 8, abs=0.05)
    assert max(bars) == 16
    assert {bar(0.0, seed) for seed in range(10)} == {0}
