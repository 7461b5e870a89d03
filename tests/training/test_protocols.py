"""Protocols take away what they say, by whole blocks, the same each time, and never more."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_core.labels import LabelMap
from mtl_training.data.protocols import (
    Assignment,
    Imbalance,
    assign,
    blocks_of,
    hidden,
    limit,
    subset,
)
from mtl_training.data.sample import LabelState, Sample
from mtl_training.data.uniform import Uniform
from mtl_training.errors import ConfigError, DatasetError

LABELS = {
    "segmentation": np.zeros((2, 2), np.uint8),
    "depth": np.ones((2, 2), np.float32),
    "normals": np.zeros((2, 2, 3), np.float32),
}


class Recorded(Uniform):
    """A recording of tiny images that counts how often one is decoded."""

    label_map = LabelMap.load("nyu13")

    def __init__(self, length, tasks=("segmentation", "depth"), scenes=None):
        self.names = tuple(f"{index:04d}" for index in range(length))
        self.tasks = frozenset(tasks)
        self.scenes = scenes
        self.decoded = Counter()

    def sample(self, index, epoch=0):
        self.decoded[index] += 1
        truth = {task: LABELS[task] for task in self.tasks}
        return Sample(self.names[index], np.full((2, 2, 3), index % 256, np.uint8), truth, None)


@dataclass
class Partly(Recorded):
    """One whose depth lacks in every other sample."""

    length: int
    names: tuple = field(init=False)

    def __post_init__(self):
        Recorded.__init__(self, self.length)

    def labelled(self, task):
        return range(0, self.length, 2) if task == "depth" else range(self.length)


def fraction(seed=0, block=3, calibration=0.0, **fractions):
    return Imbalance("fraction", fractions, block, calibration, seed)


lengths, blocks, seeds = st.integers(1, 400), st.integers(1, 9), st.integers(0, 99)
shares = st.floats(0, 1)


@given(lengths, blocks, seeds, shares)
def test_a_fraction_is_met_to_within_one_block(length, block, seed, share):
    source = Recorded(length)
    kept = assign(source, fraction(seed, block, segmentation=share)).labels
    assert abs(len(kept["segmentation"]) - share * length) <= block
    assert bool(kept["segmentation"]) == (share > 0)
    assert len(kept["depth"]) == length


@given(lengths, blocks, seeds, shares, shares)
def test_labels_of_a_small_fraction_are_among_those_of_a_larger_one(
    length, block, seed, one, other
):
    source = Recorded(length)
    few, many = (
        assign(source, fraction(seed, block, segmentation=share)).labels["segmentation"]
        for share in sorted((one, other))
    )
    assert few <= many


@given(lengths, blocks, seeds, st.sampled_from(["fraction", "one-label", "random-label"]))
def test_blocks_are_never_torn(length, block, seed, kind):
    shares = {"segmentation": 0.3} if kind == "fraction" else {}
    source = Recorded(length)
    made = assign(source, Imbalance(kind, shares, block, seed=seed))
    for start in range(0, length, block):
        names = source.names[start : start + block]
        tasks = {frozenset(t for t in made.labels if name in made.labels[t]) for name in names}
        assert len(tasks) == 1


@given(st.lists(st.integers(1, 6), min_size=1, max_size=60), seeds)
def test_blocks_are_scenes_where_these_are_known(sizes, seed):
    scenes = [f"scene{number}" for number, size in enumerate(sizes) for _ in range(size)]
    source = Recorded(len(scenes), scenes=scenes)
    kept = assign(source, fraction(seed, segmentation=0.5)).labels["segmentation"]
    by_scene = {scene: set() for scene in scenes}
    for name, scene in zip(source.names, scenes, strict=True):
        by_scene[scene].add(name in kept)
    assert all(len(states) == 1 for states in by_scene.values())
    assert abs(len(kept) - len(scenes) / 2) <= max(sizes)


def test_a_scene_that_comes_again_is_one_block_with_itself():
    source = Recorded(5, scenes=("a", "a", "b", "a", "c"))
    assert blocks_of(source, 3) == [("0000", "0001", "0003"), ("0002",), ("0004",)]
    assert blocks_of(Recorded(5), 3) == [("0000", "0001", "0002"), ("0003", "0004")]


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60), seeds, shares)
def test_the_samples_of_a_scene_are_never_shared_out(scenes, seed, share):
    source = Recorded(len(scenes), scenes=tuple(scenes))
    kept = assign(source, fraction(seed, segmentation=share)).labels["segmentation"]
    taken = set(source.names) - kept
    scene_of = dict(zip(source.names, scenes, strict=True))
    assert not {scene_of[name] for name in kept} & {scene_of[name] for name in taken}


@given(lengths, blocks, seeds)
def test_one_label_leaves_each_sample_one_task_and_tasks_alike(length, block, seed):
    source = Recorded(length, tuple(LABELS))
    labels = assign(source, Imbalance("one-label", block=block, seed=seed)).labels
    assert Counter(n for names in labels.values() for n in names) == Counter(source.names)
    counts = [len(names) for names in labels.values()]
    assert max(counts) - min(counts) <= 2 * block


@given(lengths, blocks, seeds)
def test_random_label_leaves_each_sample_something(length, block, seed):
    source = Recorded(length, tuple(LABELS))
    labels = assign(source, Imbalance("random-label", block=block, seed=seed)).labels
    assert set().union(*labels.values()) == set(source.names)


def test_random_label_draws_every_set_of_tasks_as_often():
    source = Recorded(7000, tuple(LABELS))
    labels = assign(source, Imbalance("random-label", block=1)).labels
    sets = Counter(frozenset(t for t in labels if name in labels[t]) for name in source.names)
    assert len(sets) == 7
    # Five standard deviations of a binomial count.
    assert max(abs(count - 1000) for count in sets.values()) < 5 * (7000 / 7 * 6 / 7) ** 0.5


@given(seeds)
def test_the_seed_decides_and_tasks_do_not_disturb_one_another(seed):
    two, three = Recorded(300), Recorded(300, tuple(LABELS))
    first = assign(two, fraction(seed, segmentation=0.1))
    assert first == assign(two, fraction(seed, segmentation=0.1))
    assert first.labels != assign(two, fraction(seed + 1, segmentation=0.1)).labels
    wider = assign(three, fraction(seed, segmentation=0.1, depth=0.3, normals=0.2))
    assert wider.labels["segmentation"] == first.labels["segmentation"]


@given(st.integers(150, 400), st.integers(1, 5), seeds, st.floats(0.05, 0.4), st.floats(0.3, 0.9))
def test_calibration_blocks_are_labelled_and_leave_some_to_train_on(
    length, block, seed, share, part
):
    source = Recorded(length)
    made = assign(source, fraction(seed, block, share, segmentation=part, depth=part / 2))
    for kept in made.labels.values():
        aside = made.calibration & kept
        assert len(aside) >= share * len(kept) - block
        assert aside < kept
    assert made.calibration <= set().union(*made.labels.values())
    whole = [set(names) for names in blocks_of(source, block)]
    assert made.calibration == set().union(*(b for b in whole if b & made.calibration))


@given(seeds, st.floats(0.05, 0.5))
def test_calibration_blocks_are_of_the_task_that_lacks_labels(seed, share):
    made = assign(Recorded(200), fraction(seed, 1, share, segmentation=0.1))
    assert len(made.calibration) == np.ceil(share * 20)
    assert made.calibration < made.labels["segmentation"]


@given(seeds)
def test_calibration_changes_no_labels(seed):
    source = Recorded(200)
    with_, without = (
        assign(source, fraction(seed, 3, share, segmentation=0.1)) for share in (0.2, 0.0)
    )
    assert with_.labels == without.labels
    assert not without.calibration


def test_calibration_takes_a_share_of_all_where_nothing_lacks():
    made = assign(Recorded(30), fraction(segmentation=1.0, calibration=0.2))
    assert len(made.calibration) == 6


def test_calibration_of_all_labels_is_refused():
    with pytest.raises(ConfigError, match=r"leaves no labels of segmentation .*: it has 1 blocks"):
        assign(Recorded(90), fraction(segmentation=0.03, calibration=0.1))


def test_a_limited_source_gives_what_is_left_and_decodes_once():
    source = Recorded(30)
    made = assign(source, fraction(segmentation=0.2, depth=0.5))
    limited = limit(source, made)
    assert (limited.names, len(limited)) == (source.names, 30)
    assert limited.tasks == {"segmentation", "depth"}
    assert limited.label_map is source.label_map
    for index in range(30):
        sample = limited.sample(index)
        for task in ("segmentation", "depth"):
            kept = sample.name in made.labels[task]
            assert sample.state(task) is (LabelState.TRUTH if kept else LabelState.NONE)
            assert (index in limited.labelled(task)) == kept
    assert set(source.decoded.values()) == {1}


class Taught(Recorded):
    """One whose every third sample has pseudo-labels of segmentation."""

    def pseudo_labelled(self, task):
        return range(0, len(self), 3) if task == "segmentation" else ()


def test_pseudo_labels_are_no_matter_of_protocols():
    source = Taught(12)
    limited = limit(source, assign(source, fraction(segmentation=0.5)))
    assert list(limited.pseudo_labelled("segmentation")) == [0, 3, 6, 9]
    assert list(limited.pseudo_labelled("depth")) == []
    some = subset(source, {"0003", "0004", "0009"})
    assert list(some.pseudo_labelled("segmentation")) == [0, 2]
    assert list(Recorded(4).pseudo_labelled("segmentation")) == []


def test_a_task_without_labels_is_none_of_a_limited_source():
    source = Recorded(9)
    assert limit(source, assign(source, fraction(segmentation=0.0))).tasks == {"depth"}


def test_a_teacher_sees_no_labels_of_calibration_samples():
    source = Recorded(60)
    made = assign(source, fraction(segmentation=0.4, calibration=0.25))
    teacher = limit(source, made, keep_calibration=False)
    for name in made.calibration:
        assert not teacher.sample(source.names.index(name)).truth
    student, aside = limit(source, made), subset(limit(source, made), made.calibration)
    assert set(aside.names) == made.calibration
    assert set(aside.labelled("segmentation")) == set(range(len(aside)))
    assert len(student.labelled("segmentation")) == len(made.labels["segmentation"])
    assert len(teacher.labelled("segmentation")) == len(student.labelled("segmentation")) - len(
        made.calibration
    )


def test_hidden_samples_are_the_others_with_their_truth():
    source = Recorded(30)
    made = assign(source, fraction(segmentation=0.2))
    rest = hidden(source, made, "segmentation")
    assert set(rest.names) == set(source.names) - made.labels["segmentation"]
    assert all(rest.sample(i).state("segmentation") == "truth" for i in range(len(rest)))
    with pytest.raises(DatasetError, match="a subset without samples"):
        hidden(source, made, "depth")
    with pytest.raises(DatasetError, match="no task 'normals' in an assignment of depth, seg"):
        hidden(source, made, "normals")


def test_what_a_source_never_had_is_not_hidden():
    source = Partly(20)
    made = assign(source, fraction(depth=0.5))
    assert all(int(name) % 2 == 0 for name in hidden(source, made, "depth").names)
    kept = limit(source, made).labelled("depth")
    assert all(index % 2 == 0 for index in kept)
    assert 0 < len(kept) < 10


def test_a_subset_keeps_order_scenes_and_labels():
    source = Recorded(6, scenes=tuple("aabbcc"))
    some = subset(source, {"0004", "0001", "0002"})
    assert some.names == ("0001", "0002", "0004")
    assert some.scenes == ("a", "b", "c")
    assert some.sample(2).name == "0004"
    assert (some.tasks, list(some.labelled("depth"))) == (source.tasks, [0, 1, 2])
    assert subset(Recorded(2), {"0001"}).scenes is None
    with pytest.raises(DatasetError, match="no sample 'x' among the source's 6"):
        subset(source, {"x"})


@given(lengths, seeds, st.floats(0.3, 0.9))
def test_an_assignment_survives_its_file(tmp_path_factory, length, seed, share):
    path = tmp_path_factory.mktemp("saved") / "labels.json"
    made = assign(Recorded(length), fraction(seed, 2, segmentation=share))
    made.save(path)
    assert Assignment.load(path) == made
    assert [p.name for p in path.parent.iterdir()] == ["labels.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": 2}',
        '{"schema": 1, "imbalance": {"kind": "x"}, "names": [], "labels": {}, "calibration": []}',
        '{"schema": 1, "imbalance": {"kind": "one-label"}, "names": ["a"], '
        '"labels": {"depth": ["b"]}, "calibration": []}',
    ],
)
def test_a_damaged_assignment_is_refused(tmp_path, text):
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(DatasetError, match=r"labels\.json: "):
        Assignment.load(path)


def test_an_assignment_of_another_source_is_refused():
    made = assign(Recorded(30), fraction(segmentation=0.2))
    with pytest.raises(DatasetError, match=r"30 samples, the source has 31.*difference: '0030'"):
        limit(Recorded(31), made)
    turned = Recorded(30)
    turned.names = turned.names[::-1]
    with pytest.raises(DatasetError, match="their order differs"):
        limit(turned, made)
    with pytest.raises(DatasetError, match="the source has depth: segmentation in one only"):
        hidden(Recorded(30, ("depth",)), made, "depth")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "most"}, "unknown protocol 'most', known: fraction, one-label, random-label"),
        ({"kind": "fraction"}, "fractions belong to the protocol `fraction`"),
        ({"kind": "one-label", "fractions": {"depth": 1}}, "fractions belong to the protocol"),
        ({"kind": "fraction", "fractions": {"depth": 1.1}}, "fractions are 0 to 1"),
        ({"kind": "one-label", "block": 0}, "block >= 1"),
        ({"kind": "one-label", "calibration": 1.0}, "0 <= calibration < 1"),
    ],
)
def test_impossible_protocols_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Imbalance(**settings)


def test_a_fraction_of_an_unknown_task_is_refused():
    with pytest.raises(ConfigError, match="fractions of normals, the source has: depth, segment"):
        assign(Recorded(9), fraction(normals=0.5))
