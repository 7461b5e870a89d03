"""Evaluation: the same numbers whatever runs the network, and numbers that can be resampled."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_student
import untrained
from mtl_core.card import DepthSpec
from mtl_core.errors import ModelError
from mtl_core.images import ColourImage
from mtl_core.labels import LabelMap
from mtl_core.predictor import FakePredictor, ModelPredictor, OnnxPredictor
from mtl_training.config import DataConfig
from mtl_training.data.catalogue import open_source
from mtl_training.data.sample import Sample
from mtl_training.errors import ConfigError, DatasetError
from mtl_training.evaluate import (
    PerImage,
    data_config,
    evaluate,
    evaluate_file,
    json_types,
    measure,
    shared_tasks,
)
from mtl_training.models import TorchModel, load_trained
from mtl_training.statistics import paired_bootstrap
from mtl_training.tasks.registry import TaskConfig, build_tasks

ALL = ("segmentation", "depth", "normals", "inverse_depth")
TASKS = {task.name: task for task in build_tasks(TaskConfig(ALL, "nyu13", 100.0, 0.4, 10.0))}


def labels(name, rng, height=12, width=16):
    """Random labels of a task, some of them missing."""
    shape = (height, width)
    unknown = rng.random(shape) < 0.2
    if name == "segmentation":
        return np.where(unknown, 255, rng.integers(0, 13, shape)).astype(np.uint8)
    if name == "normals":
        vectors = rng.normal(size=(*shape, 3))
        vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
        return np.where(unknown[..., None], np.nan, vectors).astype(np.float32)
    return np.where(unknown, np.nan, rng.uniform(0.5, 9, shape)).astype(np.float32)


FILLINGS = {"segmentation": 0, "normals": np.float32([0, 0, -1])}


def answers(name, rng):
    """Labels without a gap."""
    found = labels(name, rng)
    gap = found == 255 if name == "segmentation" else np.isnan(found)
    return np.where(gap, FILLINGS.get(name, 1.0), found).astype(found.dtype)


def flat(figures):
    """Figures as one list of numbers."""
    values = [v for f in figures.values() for v in (f.values() if isinstance(f, dict) else [f])]
    return np.array(values, np.float64)


@pytest.mark.parametrize("name", ALL)
@given(seed=st.integers(0, 2**32), images=st.integers(0, 5))
def test_the_sum_over_images_is_the_metric_of_all_pixels(name, seed, images):
    """A metric that saw all images at once is the oracle."""
    rng = np.random.default_rng(seed)
    metric, errors = TASKS[name].metric(), PerImage(TASKS[name].metric)
    for index in range(images):
        predicted, truth = answers(name, rng), labels(name, rng)
        metric.update(predicted, truth)
        errors.add(str(index), predicted, truth)
    assert errors.rows.shape[0] == len(errors.names) == images
    np.testing.assert_allclose(flat(errors.figures()), flat(metric.figures()), rtol=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_any_choice_of_images_has_the_metric_of_their_pixels(name):
    rng = np.random.default_rng(0)
    pairs = [(answers(name, rng), labels(name, rng)) for _ in range(4)]
    errors = PerImage(TASKS[name].metric)
    for index, pair in enumerate(pairs):
        errors.add(str(index), *pair)
    chosen, metric = [3, 1, 1], TASKS[name].metric()
    for index in chosen:
        metric.update(*pairs[index])
    np.testing.assert_allclose(
        flat(errors.figures(errors.rows[chosen])), flat(metric.figures()), rtol=1e-9
    )


class Counted:
    """A metric that keeps what it has in a place of its own."""

    __slots__ = ("_pixels", "last")

    def __init__(self, pixels=0.0):
        self._pixels, self.last = pixels, None

    def update(self, predicted, truth):
        self._pixels += truth.size
        self.last = truth.size

    def sums(self):
        return np.array([self._pixels])

    def with_sums(self, sums):
        return Counted(float(sums[0]))

    def figures(self):
        return {"pixels": self._pixels}


def test_a_metric_is_asked_for_its_sums_wherever_it_keeps_them():
    errors = PerImage(Counted)
    for index, size in enumerate((3, 4)):
        errors.add(str(index), np.zeros(size), np.zeros(size))
    assert errors.figures() == {"pixels": 7}
    assert errors.figures(errors.rows[[1, 1, 0]]) == {"pixels": 11}


class Made:
    """A data set of random images."""

    label_map = LabelMap.load("nyu13")

    def __init__(self, truths):
        rng = np.random.default_rng(1)
        images = [rng.integers(0, 256, (12, 16, 3), np.uint8) for _ in truths]
        self._samples = [
            Sample(f"s{i}", image, truth, None)
            for i, (image, truth) in enumerate(zip(images, truths, strict=True))
        ]
        self.names = [sample.name for sample in self._samples]
        self.tasks = frozenset(task for truth in truths for task in truth)

    def __len__(self):
        return len(self._samples)

    def sample(self, index, epoch=0):
        return self._samples[index]

    def labelled(self, task):
        return [i for i, sample in enumerate(self._samples) if task in sample.truth]


def made(*names_of_each):
    rng = np.random.default_rng(2)
    return Made([{name: labels(name, rng) for name in names} for names in names_of_each])


TWO = [TASKS["segmentation"], TASKS["depth"]]


def test_figures_count_the_images_that_have_truth():
    data = made(("segmentation",), (), ("segmentation", "depth"), ("depth",))
    figures = evaluate(FakePredictor(), data, TWO)
    assert figures["images"] == 3
    assert figures["labelled"] == {"segmentation": 2, "depth": 2}
    assert {"miou", "classes", "iou", "rmse", "absrel", "delta1", "mae"} < figures.keys()
    assert list(figures["iou"]) == list(figures["pixels"]) == list(LabelMap.load("nyu13").classes)
    truths = [sample.truth for sample in (data.sample(i) for i in range(4))]
    ids = [truth["segmentation"] for truth in truths if "segmentation" in truth]
    counted = np.bincount(np.concatenate(ids).ravel(), minlength=256)[:13]
    assert list(figures["pixels"].values()) == counted.tolist()


def test_a_paired_bootstrap_compares_two_models_over_images():
    data = made(*[("segmentation", "depth")] * 6)
    dark = FakePredictor()

    class Worse(FakePredictor):
        """Twice as far away."""

        def predict(self, image, fx=None, signals=None):
            return super().predict(image, 2 * self.depth.canonical_fx * 128 / 16)

    one, other = (measure(model, data, TWO).tasks["depth"] for model in (dark, Worse()))
    assert one.names == other.names
    result = paired_bootstrap(
        one.rows, other.rows, one.statistic("rmse"), np.random.default_rng(0), resamples=200
    )
    assert result.difference == pytest.approx(one.figures()["rmse"] - other.figures()["rmse"])


def test_data_without_truth_of_the_tasks_are_refused():
    with pytest.raises(DatasetError, match="no sample has truth of depth, there is some of: seg"):
        evaluate(FakePredictor(), made(("segmentation",)), [TASKS["depth"]])


def test_data_of_other_classes_are_refused_where_classes_count():
    data = made(("segmentation", "depth"))
    data.label_map = LabelMap.load("nyu40")
    with pytest.raises(ConfigError, match="the classes of nyu13, the data have nyu40"):
        evaluate(FakePredictor(), data, TWO)
    assert evaluate(FakePredictor(), data, [TASKS["depth"]])["images"] == 1


def test_two_tasks_with_figures_of_one_name_are_refused():
    depth = TASKS["depth"]
    other = type("Other", (type(depth),), {"name": "other"})(DepthSpec(0.4, 10.0, 100.0))
    truth = labels("depth", np.random.default_rng(0))
    data = Made([{"depth": truth, "other": truth}])
    with pytest.raises(ConfigError, match=r"two tasks have figures named absrel, .*, one is other"):
        evaluate(FakePredictor(), data, [depth, other])


def test_nothing_that_was_not_measured_becomes_a_number_in_json():
    found = json_types({"miou": float("nan"), "iou": {"bed": float("inf"), "box": 0.5}, "n": 3})
    assert json.loads(json.dumps(found)) == {"miou": None, "iou": {"bed": None, "box": 0.5}, "n": 3}


# ---- signals -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return tiny_student.write_teacher(tmp_path_factory.mktemp("m") / "teacher.onnx")


def test_a_teacher_is_told_the_truth_that_it_may_be_told(teacher):
    """Told a depth, the tiny teacher sees its last class there, and nothing else changes."""
    predictor = OnnxPredictor(teacher)
    data = made(*[("segmentation", "depth")] * 3)
    blind, told = (measure(predictor, data, TWO, signals).tasks for signals in ((), ("depth",)))
    assert blind["depth"].figures() == told["depth"].figures()
    classes = LabelMap.load("nyu13").classes
    last = classes[tiny_student.TOLD_CLASS]
    seen = told["segmentation"].figures()["iou"]
    assert seen[last] > blind["segmentation"].figures()["iou"][last]
    assert max(seen, key=seen.__getitem__) == last


def test_signals_are_named_after_the_models_inputs(teacher):
    data = made(("segmentation", "depth"))
    with pytest.raises(ConfigError, match="unknown signals lidar, known: labels, depth, normals"):
        evaluate(OnnxPredictor(teacher), data, TWO, ["lidar"])
    with pytest.raises(ModelError, match="no input depth beside the image"):
        evaluate(FakePredictor(), data, TWO, ["depth"])


# ---- the command -------------------------------------------------------------------------------


def test_held_out_rooms_stand_for_a_data_set():
    assert data_config("rooms:2", "") == DataConfig("held-out-rooms", frames=12)
    for wrong in ("rooms:", "rooms:x", "rooms:0", "rooms:-1"):
        with pytest.raises(ConfigError, match="number N of 1 or more expected, got rooms:"):
            data_config(wrong, "")


def test_a_folder_is_recognised_and_read_in_the_models_classes(data_folder):
    folder = str(data_folder / "nyuv2")
    card = tiny_student.card()
    found = data_config(folder, "val", card)
    assert found == DataConfig("nyuv2", root=folder, split="val", classes="nyu13")
    other = replace(card, label_map=LabelMap.load("camvid11"))
    assert data_config(folder, "val", other).classes == ""


def test_a_file_is_evaluated_on_a_folder(tmp_path, data_folder):
    model = tiny_student.write(tmp_path / "tiny.onnx")
    found = evaluate_file(model, str(data_folder / "nyuv2"), "val")
    assert found["model"] == "tiny"
    assert (found["split"], found["images"], found["signals"]) == ("val", 1, [])
    assert 0 <= found["miou"] <= 1
    assert None in found["iou"].values(), "a class that nothing mentions has no IoU"
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_only_what_model_and_data_share_is_measured(tmp_path, data_folder):
    card = replace(tiny_student.card(), label_map=None)
    model = tiny_student.write(tmp_path / "depth.onnx", card)
    found = evaluate_file(model, str(data_folder / "nyuv2"), "val")
    assert "miou" not in found
    assert found["labelled"] == {"depth": 1}


def test_a_model_and_data_that_share_nothing_are_refused(teacher):
    with pytest.raises(
        ConfigError, match=r"the model says segmentation, depth, .* truth of normals"
    ):
        shared_tasks(OnnxPredictor(teacher).model, made(("normals",)))


def test_a_checkpoint_is_measured_as_a_loop_of_its_own_would(config, tmp_path):
    """Oracle: predictions one by one, metrics over all pixels at once."""
    model = TorchModel(load_trained(untrained.run(tmp_path / "run", config)))
    source = open_source(DataConfig("held-out-rooms", frames=6))
    predictor, tasks = ModelPredictor(model), shared_tasks(model, source)
    assert [task.name for task in tasks] == ["segmentation", "depth"]
    samples = [source.sample(index) for index in range(len(source))]
    metric = tasks[0].metric()
    for sample in samples:
        image = ColourImage(sample.image, "rgb")
        metric.update(
            predictor.predict(image, sample.intrinsics.fx).mask(), sample.truth["segmentation"]
        )
    assert evaluate(predictor, source, tasks)["miou"] == pytest.approx(metric.miou())
