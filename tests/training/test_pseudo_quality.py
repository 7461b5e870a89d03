"""The quality report against what can be computed by hand or by others."""

import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import jaccard_score

from mtl_core.predictor import ModelPredictor
from mtl_training.config import DataConfig, LossConfig
from mtl_training.data.catalogue import open_source
from mtl_training.data.protocols import Imbalance, assign, limit, subset
from mtl_training.data.sample import PseudoLabel
from mtl_training.errors import DatasetError
from mtl_training.models import open_model
from mtl_training.pseudo.generate import Labeller, Origin, generate
from mtl_training.pseudo.job import model_tasks
from mtl_training.pseudo.quality import Reliability, judge, judge_all
from mtl_training.pseudo.report import quality
from mtl_training.pseudo.selection import LEVELS
from mtl_training.pseudo.store import PseudoStore
from pseudo_teacher import DEPTH, ORIGIN, SEGMENTATION, TASKS, ColourTeacher, Listed, rooms, without

MODELS = Path(__file__).parents[2] / "src/mtl_perception/models"
SHIPPED = min(MODELS.glob("student-*.onnx"))


def reliability(levels, right) -> Reliability:
    total = np.bincount(levels, minlength=256)
    return Reliability(total, np.bincount(levels[right], minlength=256))


def ece_by_hand(confidence, right, bins=15) -> float:
    """As in the paper: a mask for each interval (low, high]."""
    edges, error = np.linspace(0, 1, bins + 1), 0.0
    for low, high in pairwise(edges):
        inside = (confidence > low + 1e-9) & (confidence <= high + 1e-9)
        if inside.any():
            gap = abs(confidence[inside].mean() - right[inside].mean())
            error += gap * inside.sum() / len(confidence)
    return error


@given(
    levels=arrays.arrays(np.int64, st.integers(1, 300), elements=st.integers(1, 255)),
    data=st.data(),
)
def test_ece_is_that_of_the_textbook(levels, data):
    right = data.draw(arrays.arrays(np.bool_, len(levels)))
    assert reliability(levels, right).ece() == pytest.approx(
        ece_by_hand(levels / 255, right), abs=1e-9
    )


def test_ece_of_perfect_calibration_is_nearly_nothing():
    rng = np.random.default_rng(0)
    levels = rng.integers(1, 256, 400_000)
    right = rng.uniform(size=len(levels)) < levels / 255
    assert reliability(levels, right).ece() < 0.004
    assert reliability(levels, rng.uniform(size=len(levels)) < 0.5).ece() > 0.2


def test_ece_of_nothing_is_no_number():
    assert np.isnan(reliability(np.zeros(0, np.int64), np.zeros(0, bool)).ece())


def one_hot(ids):
    return np.eye(13, dtype=np.float32)[ids]


def test_only_pixels_with_a_label_and_with_truth_are_judged():
    ids = np.array([[1, 1], [2, 2]])
    confidence = np.array([[0.2, 0.0], [0.8, 1.0]], np.float32)
    truth = np.kron(np.array([[1, 1], [2, 5]]), np.ones((8, 8))).astype(np.uint8)
    truth[8:12, :8] = 255
    judged = judge(SEGMENTATION, PseudoLabel(one_hot(ids), confidence), truth, confidence > 0.5)
    assert judged.total.sum() == 3 * 64 - 32
    assert judged.total[1, 51] == 64  # class 1 at 0.2
    assert judged.total[2, 204] == 32
    assert judged.total[2, 255] == judged.right[2, 255] + 64
    assert judged.right.sum() == 64 + 32
    np.testing.assert_array_equal(judged.kept, np.kron([[0, 0], [1, 1]], np.ones((8, 8))) > 0)
    levels = np.full(13, 128)
    assert judged.accuracy(levels) == pytest.approx(32 / 96)


@pytest.fixture(scope="module")
def hidden():
    """Rooms whose segmentation and depth are hidden in all but the first, with a hole."""
    samples = list(rooms().samples)
    truth = {**samples[1].truth, "segmentation": samples[1].truth["segmentation"].copy()}
    truth["segmentation"][:20] = 255
    samples[1] = replace(samples[1], truth=truth)
    return Listed(samples)


@pytest.fixture(scope="module")
def folder(hidden, tmp_path_factory):
    visible = without(hidden, "segmentation", "depth", of=[1, 2, 3])
    out = tmp_path_factory.mktemp("pseudo") / "out"
    generate(Labeller(ColourTeacher()), ORIGIN, visible, TASKS, out)
    return out


LOSSES = LossConfig(pseudo_threshold=0.6, pseudo_share=0.1)


def pixels_by_hand(folder, hidden, task):
    """Everything at once, pixel by pixel: answer, confidence, kept, truth, true where judged."""
    store = PseudoStore.open(folder)
    least = store.thresholds(task, LOSSES)
    found = []
    for sample in hidden.samples[1:]:
        label = store.read(sample.name, [task])[task.name]
        h, w = sample.image.shape[:2]
        y = ((np.arange(h) + 0.5) * label.confidence.shape[0] / h).astype(int)
        x = ((np.arange(w) + 0.5) * label.confidence.shape[1] / w).astype(int)
        confidence = label.confidence[y[:, None], x]
        kept = confidence >= least[task.groups(label.value)[y[:, None], x]]
        truth = sample.truth[task.name]
        known = task.known(truth)
        answer = task.decoded(label.value, h, w)
        found.append([values[known] for values in (answer, confidence, kept, truth)])
    return [np.concatenate(values) for values in zip(*found, strict=True)]


def test_segmentation_is_judged_as_scikit_learn_does(folder, hidden):
    answer, confidence, kept, truth = pixels_by_hand(folder, hidden, SEGMENTATION)
    (one,) = judge_all(folder, hidden, [SEGMENTATION], LOSSES)
    figures = one.figures()
    assert 0 < figures["coverage"] < 1
    assert figures["coverage"] == pytest.approx(kept.mean())
    assert figures["accuracy_kept"] == pytest.approx((answer == truth)[kept].mean())
    assert figures["accuracy_all"] == pytest.approx((answer == truth).mean())
    assert figures["ece"] == pytest.approx(ece_by_hand(confidence, answer == truth))
    for mask, name in ((kept, "kept"), (kept | True, "all")):
        ious = jaccard_score(
            truth[mask], answer[mask], labels=np.unique(truth[mask]), average=None, zero_division=0
        )
        assert figures[name]["miou"] == pytest.approx(ious.mean())


def test_depth_is_judged_by_its_own_errors(folder, hidden):
    answer, confidence, kept, truth = pixels_by_hand(folder, hidden, DEPTH)
    (one,) = judge_all(folder, hidden, [DEPTH], LOSSES)
    figures = one.figures()
    relative = np.abs(answer - truth) / truth
    assert figures["all"]["absrel"] == pytest.approx(relative.mean(), rel=1e-4)
    assert figures["kept"]["absrel"] == pytest.approx(relative[kept].mean(), rel=1e-4)
    right = np.maximum(answer / truth, truth / answer) < 1.25
    assert figures["accuracy_all"] == pytest.approx(right.mean(), abs=1e-6)
    assert figures["ece"] == pytest.approx(ece_by_hand(confidence, right), abs=1e-6)


def test_the_class_histogram_adds_what_the_student_is_given(folder, hidden):
    visible = without(hidden, "segmentation", "depth", of=[1, 2, 3])
    (one,) = judge_all(folder, hidden, [SEGMENTATION], LOSSES, visible)
    truth = hidden.sample(0).truth["segmentation"]
    np.testing.assert_array_equal(one.before, np.bincount(truth.ravel(), minlength=13))
    store = PseudoStore.open(folder)
    least = store.thresholds(SEGMENTATION, LOSSES)
    rows = store.record.histograms["segmentation"].values()
    kept = [np.sum(np.asarray(row)[at <= LEVELS]) for row, at in zip(rows, least, strict=True)]
    np.testing.assert_allclose(one.added, np.multiply(kept, 80 * 110 / (16 * 22)))


def test_pixels_without_a_pseudo_label_are_no_answers(folder, hidden, tmp_path):
    """Cells of confidence 0 say nothing: their values, here absurd, are in none of the figures."""
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    store = PseudoStore.open(copy)
    for sample in hidden.samples[1:]:
        label = store.read(sample.name, [DEPTH])["depth"]
        value, confidence = label.value.copy(), label.confidence.copy()
        value[:8], confidence[:8] = 0.3, 0.0
        store.write(sample, [DEPTH], {"depth": PseudoLabel(value, confidence)})
    answer, confidence, kept, truth = pixels_by_hand(copy, hidden, DEPTH)
    (one,) = judge_all(copy, hidden, [DEPTH], LOSSES)
    figures, relative = one.figures(), np.abs(answer - truth) / truth
    assert 0.1 < (confidence > 0).mean() < 0.9
    assert figures["all"]["absrel"] == pytest.approx(relative[confidence > 0].mean(), rel=1e-4)
    assert figures["kept"]["absrel"] == pytest.approx(
        relative[kept & (confidence > 0)].mean(), rel=1e-4
    )


def test_labels_beside_visible_truth_judge_nothing_and_add_nothing(folder, hidden, tmp_path):
    """Labels of everything tell the same of the hidden truth as labels of what lacks some."""
    visible = without(hidden, "segmentation", "depth", of=[1, 2, 3])
    every = tmp_path / "every"
    generate(Labeller(ColourTeacher()), ORIGIN, visible, TASKS, every, everywhere=True)
    # A threshold for all, since other labels would give classes another one.
    losses = LossConfig(pseudo_threshold=0.6)
    (some,), (one,) = (
        judge_all(where, hidden, [SEGMENTATION], losses, visible) for where in (folder, every)
    )
    assert one.scores.keys() == {1, 2, 3}
    np.testing.assert_array_equal(one.total, some.total)
    np.testing.assert_array_equal(one.before, some.before)
    np.testing.assert_array_equal(one.added, some.added)
    (blind,) = judge_all(every, hidden, [SEGMENTATION], losses)
    assert blind.scores.keys() == {0, 1, 2, 3}
    assert not blind.before.any()


def test_truth_that_stays_is_counted_and_holes_of_it_are_filled(hidden, tmp_path):
    """Sensor depth with a hole: the student gets its truth and the label in the hole."""
    sample = hidden.sample(2)
    depth = sample.truth["depth"].copy()
    depth[:40] = np.nan
    seen = replace(sample, truth={**sample.truth, "depth": depth})
    visible = without(Listed([hidden.sample(0), seen, hidden.sample(3)]), "depth", of=[2])
    whole = Listed([hidden.sample(0), seen, hidden.sample(3)])
    generate(Labeller(ColourTeacher()), ORIGIN, visible, TASKS, tmp_path / "out")
    losses = LossConfig(pseudo_threshold=0.0)
    (one,) = judge_all(tmp_path / "out", whole, [DEPTH], losses, visible)
    assert one.scores.keys() == {2}
    assert one.before.tolist() == [80 * 110 * 1.5]
    assert one.added.tolist() == [80 * 110 * 1.5]


def test_the_worst_images_are_the_most_wrong_ones(folder, hidden):
    (one,) = judge_all(folder, hidden, [DEPTH], LOSSES)
    worst = one.worst(2)
    assert one.scores.keys() == {1, 2, 3}
    assert one.scores[worst[0]] <= one.scores[worst[1]] <= max(one.scores.values())


def test_the_report_is_complete(folder, hidden, tmp_path):
    found = quality(folder, hidden, TASKS, tmp_path, LOSSES)
    assert {path.name for path in tmp_path.iterdir()} == {
        "quality.json",
        "quality.md",
        "classes-segmentation.png",
        *(f"reliability-{name}.png" for name in ("segmentation", "depth")),
        *(f"worst-{name}.png" for name in ("segmentation", "depth")),
    }
    assert json.loads((tmp_path / "quality.json").read_text(encoding="utf-8")) == found
    text = (tmp_path / "quality.md").read_text(encoding="utf-8")
    assert f"{found['tasks']['depth']['all']['absrel']:.3f}" in text
    assert "| wall |" in text
    sheet = cv2.imread(str(tmp_path / "worst-depth.png"))
    assert sheet.shape == (26 + 3 * 175, 4 * 240, 3)


def test_labels_without_truth_cannot_be_judged(folder, hidden):
    nothing = without(hidden, "segmentation", "depth")
    with pytest.raises(DatasetError, match="none of its labels has ground truth"):
        judge_all(folder, nothing, [SEGMENTATION, DEPTH], LOSSES)


@pytest.mark.data
def test_what_the_shipped_student_is_sure_of_is_right_more_often(tmp_path):
    """The student as a teacher of images that it has not seen: real labels, real confidences."""
    model = open_model(SHIPPED)
    whole = open_source(DataConfig("nyuv2", split="val"))
    source = subset(whole, whole.names[::20])
    tasks = model_tasks(model)
    blind = limit(source, assign(source, Imbalance("fraction", dict.fromkeys(source.tasks, 0.0))))
    labeller = Labeller(ModelPredictor(model))
    generate(labeller, Origin.of(model.card, SHIPPED), blind, tasks, tmp_path / "labels")
    found = quality(tmp_path / "labels", source, tasks, tmp_path, LOSSES)["tasks"]
    for name in ("segmentation", "depth"):
        assert found[name]["images"] == 8
        assert found[name]["accuracy_kept"] >= found[name]["accuracy_all"] > 0.5
        assert 0.5 < found[name]["coverage"] <= 1
    assert found["segmentation"]["kept"]["miou"] > found["segmentation"]["all"]["miou"] > 0.3
    sizes = [path.stat().st_size for path in (tmp_path / "labels").glob("*.npz")]
    assert max(sizes) < 60_000
