"""Data sets give exact values, augmentation keeps geometry, order depends on the seed alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_core.card import InputSpec
from mtl_core.geometry import Intrinsics
from mtl_training.data.augment import Augmentation, flip, jitter, to_tensors, zoom_crop
from mtl_training.data.loader import AugmentedSamples, EpochOrder, batches
from mtl_training.data.nyuv2 import NYUv2, data_root
from mtl_training.data.rooms import Rooms
from mtl_training.data.sample import Sample
from mtl_training.errors import DatasetError

SPEC = InputSpec(64, 96, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def plane(height, width, metres, fx=90.0):
    """A wall that faces the camera: labels count columns, so that places can be told apart."""
    labels = np.tile(np.arange(width, dtype=np.uint8), (height, 1))
    image = np.repeat(labels[..., None], 3, axis=2)
    depth = np.full((height, width), metres, np.float32)
    return Sample(image, labels, depth, Intrinsics(width, height, fx, fx, width / 3, height / 4))


def test_nyuv2_reads_back_what_was_written(made_data, nyuv2_frames):
    data = NYUv2("fit.txt")
    assert len(data) == 2
    for index, frame in enumerate(nyuv2_frames[:2]):
        sample = data.sample(index)
        np.testing.assert_array_equal(sample.labels, frame.labels)
        near = frame.depth < 10.0
        assert np.abs(sample.depth - frame.depth)[near].max() <= 0.5 / 25.5 + 1e-5
        assert np.abs(sample.image.astype(int) - frame.image).mean() < 6  # JPEG


def test_absent_data_are_refused_with_the_place(made_data, monkeypatch, tmp_path):
    with pytest.raises(DatasetError, match=r"nyuv2/test\.txt: no such list"):
        NYUv2("test.txt")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(DatasetError, match="the list is empty"):
        NYUv2("empty.txt", tmp_path)
    (tmp_path / "one.txt").write_text("0007\n")
    with pytest.raises(DatasetError, match=r"rgb/0007\.jpg: missing or not an image"):
        NYUv2("one.txt", tmp_path).sample(0)
    monkeypatch.setenv("MTL_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match=r"MTL_DATA must name the data folder, got '.*nowhere'"):
        data_root()


@given(st.floats(1, 3), st.floats(0, 1), st.floats(0, 1), st.floats(0.5, 9))
def test_zooming_divides_canonical_depth_and_leaves_metres_alone(zoom, x, y, metres):
    sample = plane(128, 192, metres)
    zoomed = zoom_crop(sample, 64, 96, zoom, np.array([x, y]))
    whole = zoom_crop(sample, 64, 96, 1.0, np.zeros(2))
    np.testing.assert_array_equal(zoomed.depth, np.float32(metres))
    depth, base = (to_tensors(s, SPEC, 50.0)["depth"].numpy() for s in (zoomed, whole))
    # The window is whole pixels, so that the true zoom is that of the intrinsics.
    true_zoom = zoomed.intrinsics.fx / whole.intrinsics.fx
    assert true_zoom == pytest.approx(zoom, rel=0.02)
    np.testing.assert_allclose(depth, base / true_zoom, rtol=1e-5)


@given(st.floats(1, 2), st.floats(0, 1), st.floats(0, 1))
def test_a_pixel_keeps_its_viewing_ray_through_zoom_and_crop(zoom, x, y):
    sample = plane(128, 192, 2.0)
    zoomed = zoom_crop(sample, 64, 96, zoom, np.array([x, y]))
    # Labels say which column of the original each pixel shows.
    shown = (zoomed.labels[0].astype(float) - sample.intrinsics.cx) / sample.intrinsics.fx
    ray = (np.arange(96) - zoomed.intrinsics.cx) / zoomed.intrinsics.fx
    one_pixel = 1.0 / sample.intrinsics.fx
    assert np.abs(shown - ray).max() <= one_pixel


def test_a_flip_mirrors_everything_and_twice_is_nothing():
    sample = plane(8, 12, 2.0)
    once, twice = flip(sample), flip(flip(sample))
    np.testing.assert_array_equal(once.labels, sample.labels[:, ::-1])
    assert once.intrinsics.cx == 11 - sample.intrinsics.cx
    np.testing.assert_array_equal(twice.image, sample.image)
    assert twice.intrinsics == sample.intrinsics


def test_no_depth_is_invented_between_near_and_far():
    sample = plane(128, 192, 1.0)
    sample.depth[:, 96:] = 9.0
    zoomed = zoom_crop(sample, 64, 96, 1.37, np.array([0.4, 0.6]))
    assert set(np.unique(zoomed.depth)) <= {1.0, 9.0}


def test_colour_changes_stay_colours():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (16, 16, 3), np.uint8)
    changed = jitter(image, 0.4, rng)
    assert changed.dtype == np.uint8
    assert (changed != image).any()
    np.testing.assert_array_equal(jitter(image, 0.0, rng), image)


def test_unlabelled_stays_unlabelled_through_augmentation():
    sample = plane(128, 192, 2.0)
    sample.labels[:] = 255
    sample.depth[:] = np.nan
    tensors = to_tensors(Augmentation()(sample, SPEC, np.random.default_rng(0)), SPEC, 50.0)
    assert (tensors["segmentation"] == 255).all()
    assert tensors["depth"].isnan().all()


def loaded(workers, seed=0, epoch=1):
    samples = AugmentedSamples([NYUv2("fit.txt"), Rooms(2, 64, 96, 77.8, seed)], SPEC, 77.8, seed)
    order = EpochOrder(len(samples), seed)
    order.epoch = epoch
    return [b["image"].numpy() for b in batches(samples, order, 2, workers)]


def test_batches_do_not_depend_on_the_number_of_workers(made_data):
    np.testing.assert_array_equal(loaded(0), loaded(2))


def test_each_epoch_and_each_seed_shows_other_images(made_data):
    first = loaded(0)
    assert not np.array_equal(first, loaded(0, epoch=2))
    assert not np.array_equal(first, loaded(0, seed=1))


def test_an_epoch_shows_every_sample_once():
    order = EpochOrder(17, seed=3)
    assert sorted(index for _, index in order) == list(range(17))


def test_rooms_keep_depth_metric_whatever_their_focal_length():
    """A frame's floor is where its camera's height says, so that depth and intrinsics agree."""
    rooms = Rooms(6, 48, 64, 50.0, seed=0)
    for index in range(6):
        sample = rooms.sample(index)
        assert 0.8 * 50.0 <= sample.intrinsics.fx <= 1.3 * 50.0
        assert sample.labels.max() < 13
        assert np.isfinite(sample.depth).all()
        assert sample.depth.min() > 0.1
        assert sample.depth.max() < 15
