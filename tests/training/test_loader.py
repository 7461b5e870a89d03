"""Order and content of batches follow from the seed and the batch's number alone."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_core.card import InputSpec
from mtl_core.geometry import Intrinsics
from mtl_training.data.augment import Augmentation
from mtl_training.data.loader import BatchOrder, Pool, Views, batches, pools
from mtl_training.data.sample import LabelState, Sample
from mtl_training.errors import ConfigError, DatasetError
from mtl_training.tasks.registry import TaskConfig, build_tasks

TASK = {t.name: t for t in build_tasks(TaskConfig(("depth",), "nyu13", 50.0, 0.3, 12.0))}


@dataclass(frozen=True)
class Numbers:
    """Images of one colour each; every third has depth."""

    count: int
    label_map = None
    tasks = frozenset({"depth"})

    @property
    def names(self):
        return [str(index) for index in range(self.count)]

    def __len__(self):
        return self.count

    def labelled(self, task):
        return range(0, self.count, 3) if task == "depth" else ()

    def pseudo_labelled(self, task):
        return (5,) if task == "depth" else ()

    def sample(self, index, epoch=0):
        image = np.full((32, 48, 3), 10 * index, np.uint8)
        depth = {"depth": np.full((32, 48), 1.0 + index, np.float32)}
        camera = Intrinsics(48, 32, 50.0, 50.0, 23.5, 15.5)
        return Sample(str(index), image, depth if index % 3 == 0 else {}, camera)


def loaded(workers, seed=0, first=0, last=4):
    augment = Augmentation(TASK, InputSpec(32, 64, (0, 0, 0), (1, 1, 1)), 50.0)
    views = Views([Numbers(6), Numbers(3)], augment, seed)
    order = BatchOrder([range(9)], 2, seed, first, last)
    return [batch["image"].numpy() for batch in batches(views, order, TASK, workers)]


def test_batches_do_not_depend_on_the_number_of_workers():
    np.testing.assert_array_equal(loaded(0), loaded(2))


def test_a_later_start_gives_the_same_later_batches():
    np.testing.assert_array_equal(loaded(0)[2:], loaded(0, first=2))


def test_each_seed_shows_other_images():
    assert not np.array_equal(loaded(0), loaded(0, seed=1))


@given(st.integers(1, 40), st.integers(0, 9))
def test_a_pool_shows_every_sample_once_before_any_comes_again(size, seed):
    pool = Pool(range(size), (seed,))
    for epoch in range(3):
        draws = [pool.draw(epoch * size + place) for place in range(size)]
        assert sorted(index for _, index in draws) == list(range(size))
        assert {number for number, _ in draws} == {epoch}


@given(st.integers(1, 4), st.integers(0, 50), st.sampled_from([1, 2, 4]))
def test_devices_share_the_batches_of_one_and_each_pool_alike(pools_count, first, devices):
    members = [range(10 * p, 10 * p + 7) for p in range(pools_count)]
    size = 4 * pools_count
    whole = list(BatchOrder(members, size, 0, first, first + 3))
    parts = [
        list(BatchOrder(members, size, 0, first, first + 3, part=(rank, devices)))
        for rank in range(devices)
    ]
    for number, batch in enumerate(whole):
        assert sorted(itertools.chain(*(part[number] for part in parts))) == sorted(batch)
        for part in parts:
            drawn = [index // 10 for _, index in part[number]]
            assert [drawn.count(pool) for pool in range(pools_count)] == [
                4 // devices
            ] * pools_count


def test_each_pool_gives_its_share_of_every_batch():
    order = BatchOrder([[0, 1], range(2, 20)], 4, seed=0, first=0, last=9)
    for batch in order:
        assert sum(index < 2 for _, index in batch) == 2


def test_uneven_batches_are_refused():
    with pytest.raises(ConfigError, match="a batch of 5 cannot be shared by 2 pools"):
        BatchOrder([[0], [1]], 5, 0, 0, 1)
    with pytest.raises(ConfigError, match="1 pools and 3 devices"):
        BatchOrder([[0]], 8, 0, 0, 1, part=(0, 3))


def test_balanced_sampling_separates_the_samples_that_have_the_rarest_labels():
    sources = [Numbers(6), Numbers(3)]
    assert pools(sources, ["depth"], balanced=True, unlabelled=True) == [
        [0, 3, 6],
        [1, 2, 4, 5, 7, 8],
    ]
    assert pools(sources, ["depth"], balanced=False, unlabelled=True) == [list(range(9))]


def test_samples_that_teach_nothing_are_not_drawn():
    assert pools([Numbers(6)], ["depth"], balanced=False, unlabelled=False) == [[0, 3, 5]]


def test_a_sample_says_where_its_labels_come_from():
    assert Numbers(6).sample(0).state("depth") is LabelState.TRUTH
    assert Numbers(6).sample(1).state("depth") is LabelState.NONE


def test_a_sample_whose_sizes_disagree_is_refused_by_name():
    image, camera = np.zeros((4, 6, 3), np.uint8), Intrinsics(6, 4, 5.0, 5.0, 2.5, 1.5)
    with pytest.raises(DatasetError, match="a7: the image is 6x4, its depth labels are 5x4"):
        Sample("a7", image, {"depth": np.ones((4, 5), np.float32)}, camera)
    with pytest.raises(DatasetError, match="a7: the image is 6x4, its intrinsics are for 8x4"):
        Sample("a7", image, {}, Intrinsics(8, 4, 5.0, 5.0, 2.5, 1.5))
    with pytest.raises(DatasetError, match=r"a7: image must be \(H, W, 3\) uint8, got \(4, 6\)"):
        Sample("a7", image[..., 0], {}, camera)
