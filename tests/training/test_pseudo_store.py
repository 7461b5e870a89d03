"""Pseudo-labels on disk and the choice among them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mtl_core.labels import LabelMap
from mtl_training.config import DataConfig, LossConfig
from mtl_training.data.rooms import FixedRooms, Rooms
from mtl_training.data.sample import LabelState, Sample
from mtl_training.errors import DatasetError, ResumeError
from mtl_training.pseudo.record import RECORD, Recipe, Record, described
from mtl_training.pseudo.selection import (
    LEVELS,
    histogram,
)
from mtl_training.pseudo.store import (
    Filtered,
    PseudoStore,
    WithPseudo,
    checksum,
    teacher_of,
)
from mtl_training.tasks.segmentation import Segmentation
from pseudo_teacher import (
    DEPTH,
    LABEL_MAP,
    NORMALS,
    SEGMENTATION,
    TASKS,
    Listed,
    label_of,
    rooms,
    without,
)

RECIPE = Recipe(
    teacher="colours",
    sha256="0" * 64,
    teacher_data=("a little arithmetic",),
    licence="do what you want",
    tasks=("segmentation", "depth", "normals"),
    label_map=LABEL_MAP,
    signals=(),
    flip=True,
    everywhere=False,
    temperatures={"depth": 1.5},
    data=DataConfig("rooms"),
)


def blank(name):
    return Sample(name, np.zeros((80, 110, 3), np.uint8), {}, None)


def finished(folder: Path, samples: Iterable[Sample], recipe: Recipe = RECIPE) -> PseudoStore:
    """A folder with labels of all tasks for these samples."""
    store = PseudoStore.claim(folder, recipe)
    for seed, sample in enumerate(samples):
        store.write(sample, TASKS, {task.name: label_of(task, seed) for task in TASKS})
    names = [sample.name for sample in samples]
    read = {name: store.read(name, TASKS) for name in names}
    store.finish(
        {task.name: names for task in TASKS},
        {
            task.name: dict(
                zip(
                    task.group_names,
                    sum(histogram(task, some[task.name]) for some in read.values()).tolist(),
                    strict=True,
                )
            )
            for task in TASKS
        },
    )
    return store


# ---- files ---------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10_000))
@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_a_label_comes_back_up_to_rounding(task, seed, tmp_path_factory):
    label = label_of(task, seed)
    store = PseudoStore(tmp_path_factory.mktemp("store"), Record(RECIPE))
    store.write(blank("x"), [task], {task.name: label})
    back = store.read("x", TASKS)[task.name]
    # 0 means that there is no label, so that what is above it must not become it.
    stored = np.where(label.confidence > 0, np.maximum(label.confidence, LEVELS[1]), 0)
    np.testing.assert_allclose(back.confidence, stored, atol=0.5 / 255 + 1e-6)
    assert ((back.confidence > 0) == (label.confidence > 0)).all()
    if task is SEGMENTATION:
        top = np.sort(label.value, axis=2)[..., -4:]
        # Beyond the four best only their sum is kept.
        np.testing.assert_allclose(np.sort(back.value, axis=2)[..., -4:], top, atol=0.02)
        np.testing.assert_allclose(back.value.sum(axis=2), 1, atol=1e-5)
    else:
        np.testing.assert_allclose(back.value, label.value, rtol=2**-11, atol=1e-4)


def test_tasks_that_a_sample_lacks_stay_away(tmp_path):
    store = PseudoStore(tmp_path, Record(RECIPE))
    store.write(blank("x"), TASKS, {"depth": label_of(DEPTH)})
    assert store.read("x", TASKS).keys() == {"depth"}
    assert store.read("x", [NORMALS]) == {}
    assert store.read("another", TASKS) == {}


def test_no_two_names_share_a_file(tmp_path):
    store = PseudoStore(tmp_path, Record(RECIPE))
    names = ["a/b", "a_b", "a%2Fb", "../a", "a", "a.npz"]
    paths = {store.path(name) for name in names}
    assert len(paths) == len(names)
    assert {path.parent for path in paths} == {tmp_path}


@given(data=st.data())
def test_a_damaged_file_is_named_or_reads_as_a_label(data, tmp_path_factory):
    store = PseudoStore(tmp_path_factory.mktemp("store"), Record(RECIPE))
    store.write(blank("x"), TASKS, {task.name: label_of(task) for task in TASKS})
    path = store.path("x")
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    errors: list[DatasetError] = []
    try:
        store.read("x", TASKS)
    except DatasetError as err:
        errors.append(err)
    assert all(str(path) in str(err) for err in errors)


def test_a_cut_file_is_an_error(tmp_path):
    store = PseudoStore(tmp_path, Record(RECIPE))
    store.write(blank("x"), TASKS, {"depth": label_of(DEPTH)})
    path = store.path("x")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DatasetError, match=r"x\.npz: expected pseudo-labels of segmentation, dep"):
        store.read("x", TASKS)


FULL_DISK = """
import resource, sys
from pathlib import Path
from mtl_training.pseudo.record import Record
from mtl_training.errors import OutputError
from mtl_training.pseudo.store import PseudoStore
from pseudo_teacher import DEPTH
from test_pseudo_store import RECIPE, blank, label_of
store = PseudoStore(Path(sys.argv[1]), Record(RECIPE))
small = {"depth": label_of(DEPTH)}
store.write(blank("kept"), [DEPTH], small)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for name in ("kept", "new"):
    try:
        store.write(blank(name), [DEPTH], {"depth": label_of(DEPTH, h=72, w=96)})
    except OutputError as err:
        print(err)
"""


def test_a_full_disk_leaves_no_half_file_and_keeps_what_was_there(tmp_path):
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": ":".join([*sys.path, str(here)])},
    )
    assert [path.name for path in tmp_path.iterdir()] == ["kept.npz"]
    kept = PseudoStore(tmp_path, Record(RECIPE)).read("kept", [DEPTH])["depth"]
    np.testing.assert_allclose(kept.value, label_of(DEPTH).value, rtol=1e-3)
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == [
        str(tmp_path / "kept.npz"),
        str(tmp_path / "new.npz"),
    ]
    assert "not written" in done.stdout


# ---- the record ----------------------------------------------------------------------------------


def test_the_record_comes_back(tmp_path):
    names = dict.fromkeys(RECIPE.tasks, ("a", "b"))
    record = Record(RECIPE, True, names, {t: {"all": tuple(range(256))} for t in RECIPE.tasks})
    record.write(tmp_path)
    assert Record.read(tmp_path) == record


@pytest.mark.parametrize(
    "change",
    [
        {"teacher": "another"},
        {"sha256": "1" * 64},
        {"signals": ("depth",)},
        {"flip": False},
        {"temperatures": {}},
        {"label_map": LabelMap.load("camvid11")},
        {"data": DataConfig("camvid")},
        {"licence": "do not"},
    ],
    ids=lambda c: next(iter(c)),
)
def test_a_folder_of_another_recipe_is_refused(change, tmp_path):
    finished(tmp_path, [blank("x")])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ResumeError, match=next(iter(change))):
        PseudoStore.claim(tmp_path, replace(RECIPE, **change))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"?")
    with pytest.raises(ResumeError, match="not empty"):
        PseudoStore.claim(tmp_path, RECIPE)


def test_what_a_killed_process_left_of_its_first_file_is_no_obstacle(tmp_path):
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    (tmp_path / f"pseudo.part-{killed.pid}.json").write_text("{", encoding="utf-8")
    PseudoStore.claim(tmp_path, RECIPE)
    assert Record.read(tmp_path).recipe == RECIPE


def test_an_unfinished_folder_is_not_learned_from(tmp_path):
    PseudoStore.claim(tmp_path, RECIPE)
    with pytest.raises(DatasetError, match="unfinished"):
        PseudoStore.open(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 1}', '{"schema": 2, "recipe": {}}', "\xff"]
)
def test_a_damaged_record_is_named(text, tmp_path):
    (tmp_path / RECORD).write_text(text, encoding="latin-1")
    with pytest.raises(DatasetError, match=RECORD):
        PseudoStore.open(tmp_path)


def test_a_damaged_label_map_is_named(tmp_path):
    Record(RECIPE).write(tmp_path)
    fields = json.loads((tmp_path / RECORD).read_text(encoding="utf-8"))
    fields["recipe"]["label_map"]["colours"].pop()
    (tmp_path / RECORD).write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises(DatasetError, match="13 names but 12 colours"):
        Record.read(tmp_path)


@pytest.mark.parametrize(
    ("histograms", "fault"),
    [
        ({}, "got none"),
        ({"depth": {"all": [0] * 256}}, "got depth"),
        ({task: {"all": [1, 2]} for task in RECIPE.tasks}, "256 counts expected, got .2"),
    ],
    ids=["none", "one", "short"],
)
def test_a_finished_record_without_its_counts_is_named(histograms, fault, tmp_path):
    Record(RECIPE).write(tmp_path)
    fields = json.loads((tmp_path / RECORD).read_text(encoding="utf-8"))
    fields |= {"finished": True, "histograms": histograms}
    fields["labelled"] = {task: [] for task in RECIPE.tasks}
    (tmp_path / RECORD).write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises(DatasetError, match=f"{RECORD}.*{fault}"):
        PseudoStore.open(tmp_path)


# ---- what a student is given ---------------------------------------------------------------------


def test_noise_of_training_is_the_same_each_time_and_another_for_each_image(tmp_path):
    source = without(rooms(2), "segmentation")
    finished(tmp_path, source.samples)
    clean, noisy = (
        WithPseudo(source, tmp_path, TASKS, LossConfig(pseudo_threshold=0.0, pseudo_noise=share))
        for share in (0.0, 0.5)
    )
    moved = []
    for index in range(2):
        before, *after = (
            one.sample(index).pseudo["segmentation"].value for one in (clean, noisy, noisy)
        )
        np.testing.assert_array_equal(*after)
        moved.append((before != after[0]).any(axis=2))
    assert 0.2 < moved[0].mean() < 0.6
    assert (moved[0] != moved[1]).any()


def test_samples_get_pseudo_labels_only_where_they_lack_truth(tmp_path):
    source = without(rooms(), "segmentation", of=[1, 2])
    finished(tmp_path, source.samples)
    both = WithPseudo(source, tmp_path, TASKS, LossConfig(pseudo_threshold=0.0))
    assert (len(both), both.names, both.tasks) == (4, source.names, source.tasks)
    assert both.labelled("segmentation") == [0, 3]
    states = [both.sample(i).state("segmentation") for i in range(4)]
    assert states == [LabelState.TRUTH, LabelState.PSEUDO, LabelState.PSEUDO, LabelState.TRUTH]
    assert "segmentation" not in both.sample(0).pseudo
    # Rendered depth has no holes.
    assert "depth" not in both.sample(1).pseudo


def test_a_student_is_distilled_from_labels_beside_truth_too(tmp_path):
    source = rooms()
    finished(tmp_path, source.samples, replace(RECIPE, everywhere=True))
    losses = LossConfig(pseudo_threshold=0.0, pseudo_everywhere=True)
    both = WithPseudo(source, tmp_path, TASKS, losses)
    for task in TASKS:
        assert both.pseudo_labelled(task.name) == [0, 1, 2, 3] == both.labelled(task.name)
    found = both.sample(0)
    assert found.truth.keys() == source.sample(0).truth.keys()
    stored = PseudoStore.open(tmp_path).read(found.name, TASKS)
    for task in TASKS:
        np.testing.assert_array_equal(
            found.pseudo[task.name].confidence, stored[task.name].confidence
        )


def test_labels_of_what_lacks_truth_distil_nobody(tmp_path):
    source = without(rooms(), "segmentation")
    finished(tmp_path, source.samples)
    with pytest.raises(DatasetError, match="pseudo-label --everywhere"):
        WithPseudo(source, tmp_path, TASKS, LossConfig(pseudo_everywhere=True))


def test_low_confidences_are_dropped_and_hard_labels_are_certain(tmp_path):
    source = without(rooms(), "segmentation", "depth")
    finished(tmp_path, source.samples)
    soft = WithPseudo(source, tmp_path, TASKS, LossConfig(pseudo_threshold=0.7))
    hard = WithPseudo(source, tmp_path, TASKS, LossConfig(pseudo_threshold=0.7, pseudo_hard=True))
    for index in range(4):
        for name in ("segmentation", "depth"):
            confidence = soft.sample(index).pseudo[name].confidence
            assert ((confidence == 0) | (confidence >= 0.7)).all()
            np.testing.assert_array_equal(hard.sample(index).pseudo[name].confidence, confidence)
        one_hot = hard.sample(index).pseudo["segmentation"].value
        assert set(np.unique(one_hot)) == {0.0, 1.0}
        best = soft.sample(index).pseudo["segmentation"].value.argmax(axis=2)
        np.testing.assert_array_equal(one_hot.argmax(axis=2), best)


def test_labels_of_other_classes_are_refused(tmp_path):
    source = without(rooms(), "segmentation")
    finished(tmp_path, source.samples)
    other = [Segmentation(LabelMap.load("camvid11"))]
    with pytest.raises(DatasetError, match="segmentation of sky"):
        WithPseudo(source, tmp_path, other, LossConfig())


def test_labels_of_other_images_are_refused(tmp_path):
    finished(tmp_path, [blank("elsewhere")])
    with pytest.raises(DatasetError, match="none of these 4 samples"):
        WithPseudo(rooms(), tmp_path, TASKS, LossConfig())


def test_labels_of_other_images_of_the_same_names_are_refused(tmp_path):
    """Rooms of another seed, or in another epoch, have the names of these."""
    fixed, other = (FixedRooms(4, 64, 96, 77.8, seed) for seed in (0, 1))
    finished(tmp_path, [fixed.sample(i) for i in range(4)])
    assert fixed.names == other.names
    losses = LossConfig(pseudo_threshold=0.0)
    for source, epoch in ((other, 0), (Rooms(4, 64, 96, 77.8, 0), 1)):
        wrong = WithPseudo(source, tmp_path, TASKS, losses)
        with pytest.raises(DatasetError, match=rf"{fixed.names[2]}: .*{tmp_path}.*another image"):
            wrong.sample(2, epoch)
    right = WithPseudo(fixed, tmp_path, TASKS, losses)
    assert len([right.sample(i, 1) for i in range(4)]) == 4


@given(data=st.data())
def test_images_of_another_size_or_content_are_told_apart(data):
    image = data.draw(arrays.arrays(np.uint8, (16, 8, 3)))
    changed = image.copy()
    changed[data.draw(st.sampled_from([0, 8])), data.draw(st.integers(0, 7)), 1] ^= 1
    assert checksum(changed) != checksum(image)
    assert checksum(image.reshape(8, 16, 3)) != checksum(image)
    assert checksum(image[:, ::-1][:, ::-1]) == checksum(image)


def test_a_label_that_is_gone_is_an_error_and_not_no_label(tmp_path):
    source = without(rooms(), "segmentation")
    store = finished(tmp_path, source.samples)
    both = WithPseudo(source, tmp_path, TASKS, LossConfig())
    store.path("a/1").unlink()
    with pytest.raises(DatasetError, match="a%2F1"):
        both.sample(1)
    with pytest.raises(DatasetError, match="labels of 1 samples are gone, such as of 'a/1'"):
        WithPseudo(source, tmp_path, TASKS, LossConfig())


def test_labels_of_what_another_protocol_left_are_refused(tmp_path):
    """A teacher of the one may have seen what the other hides."""
    source = without(rooms(), "segmentation")
    here, there = (DataConfig("x", protocol=str(tmp_path / name)) for name in "ab")
    for data, text in ((here, "{}"), (there, "[]")):
        Path(data.protocol).write_text(text, encoding="utf-8")
    copy = replace(here, root="moved", protocol=str(tmp_path / "c"))
    (tmp_path / "c").write_text("{}", encoding="utf-8")
    folder = tmp_path / "labels"
    finished(folder, source.samples, replace(RECIPE, data=described(here)))
    for data in (there, DataConfig("x")):
        with pytest.raises(DatasetError, match="expected"):
            WithPseudo(source, folder, TASKS, LossConfig(), data)
    for data in (here, copy, None):
        assert len(WithPseudo(source, folder, TASKS, LossConfig(), data)) == 4
    every = tmp_path / "every"
    finished(every, source.samples, replace(RECIPE, data=described(here), everywhere=True))
    assert len(WithPseudo(source, every, TASKS, LossConfig(), there)) == 4


def own_labels(source):
    """The source with pseudo-labels of its own, as a recording brings them."""
    return Listed(
        [
            replace(sample, pseudo={"segmentation": label_of(SEGMENTATION, 50 + i)})
            for i, sample in enumerate(source.samples)
        ]
    )


def test_what_a_source_brings_is_filtered_too(tmp_path):
    source = own_labels(without(rooms(), "segmentation", "depth"))
    losses = LossConfig(pseudo_threshold=0.7, pseudo_share=0.9, pseudo_hard=True)
    store = tmp_path / "store"
    finished(store, [source.sample(0)])
    alone, both = Filtered(source, TASKS, losses), WithPseudo(source, store, TASKS, losses)
    for wrapped in (alone, both):
        assert (wrapped.names, wrapped.tasks, len(wrapped)) == (source.names, source.tasks, 4)
        before, after = (one.sample(2).pseudo["segmentation"] for one in (source, wrapped))
        sure = before.confidence >= np.float32(0.7)
        np.testing.assert_array_equal(after.confidence, before.confidence * sure)
        assert 0 < sure.mean() < 1
        np.testing.assert_array_equal(after.value.argmax(2), before.value.argmax(2))
        assert set(np.unique(after.value)) == {0.0, 1.0}
        assert list(wrapped.pseudo_labelled("segmentation")) == [0, 1, 2, 3]
    assert list(alone.pseudo_labelled("depth")) == []
    assert list(both.pseudo_labelled("depth")) == [0]


def test_who_has_pseudo_labels_is_known_without_reading_any(tmp_path):
    """Labels of all samples count where they are used: not beside an annotator's truth."""
    source = without(rooms(), "segmentation", of=[1, 2])
    store = finished(tmp_path, source.samples)
    both = WithPseudo(source, tmp_path, TASKS, LossConfig(pseudo_threshold=0.0))
    for path in tmp_path.glob("*.npz"):
        path.write_bytes(b"")
    assert list(both.pseudo_labelled("segmentation")) == [1, 2]
    assert list(both.pseudo_labelled("depth")) == [0, 1, 2, 3]
    assert (
        list(WithPseudo(source, tmp_path, [DEPTH], LossConfig()).pseudo_labelled("normals")) == []
    )
    assert store.record.names == set(source.names)


def test_a_student_s_record_says_whose_labels_it_learned(tmp_path):
    finished(tmp_path, [blank("x")])
    found = teacher_of(tmp_path)
    assert json.loads(json.dumps(found)) == found
    assert (found["teacher"], found["sha256"]) == ("colours", "0" * 64)
    assert (found["data"], found["licence"]) == (["a little arithmetic"], "do what you want")
    finished(tmp_path / "other", [blank("x")], replace(RECIPE, flip=False))
    other = teacher_of(tmp_path / "other")
    assert {key for key in found if found[key] != other[key]} == {"recipe"}


def test_a_real_grid_takes_little_room(tmp_path):
    """The file of an image at 72x96 cells, of noise, which compresses worst."""
    store = PseudoStore(tmp_path, Record(RECIPE))
    store.write(blank("x"), TASKS, {task.name: label_of(task, h=72, w=96) for task in TASKS[:2]})
    assert store.path("x").stat().st_size < 96_000
