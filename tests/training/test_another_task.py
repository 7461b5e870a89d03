"""A fourth task goes the whole way without a change to engine, networks, data sets or export.

It is made here: how bright each pixel is, which a network reads off the image at once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mtl_core.model import OnnxModel
from mtl_core.predictor import ModelPredictor
from mtl_training.config import DataConfig, NetworkConfig
from mtl_training.data.catalogue import SOURCES, open_source
from mtl_training.data.nyuv2_folder import NYUv2Folder
from mtl_training.data.protocols import Assignment, Imbalance, assign, limit
from mtl_training.data.sample import LabelState
from mtl_training.evaluate import evaluate, shared_tasks
from mtl_training.learning.engine import train
from mtl_training.models import open_model
from mtl_training.pseudo.job import Job
from mtl_training.pseudo.store import WithPseudo
from mtl_training.release import release
from mtl_training.tasks import laplace
from mtl_training.tasks.base import SignalEncoder, Task, to_target_size, weighted_mean
from mtl_training.tasks.registry import TASKS, build_tasks


class BrightnessEncoder(SignalEncoder):
    input_name, channels, none = "brightness", 1, -1.0

    def forward(self, signal):
        return torch.where(self.present(signal), signal, 0.0)


class BrightnessMetric:
    def __init__(self):
        self.total, self.count = 0.0, 0

    def update(self, predicted, truth):
        self.total += float(np.nansum(np.abs(predicted - truth)))
        self.count += int(np.isfinite(truth).sum())

    def figures(self):
        return {"brightness_mae": self.total / self.count if self.count else float("nan")}


class Brightness(Task):
    """Grey value in 0..1; labels (H, W) float32, NaN = none."""

    name, channels, origin, fills_holes = "brightness", 2, "brightness", True
    figures = {"brightness_mae": -1}  # noqa: RUF012

    def absent(self, height, width):
        return np.full((height, width), np.nan, np.float32)

    def known(self, labels):
        return np.isfinite(labels)

    def _nll(self, raw, truth):
        error = (raw[:, :1].sigmoid() - truth).abs()
        return laplace.nll(error, laplace.log_scale(raw, 1))[:, 0]

    def loss(self, raw, target):
        truth = torch.nan_to_num(target)[:, None]
        resized = to_target_size(raw, *target.shape[-2:])
        return weighted_mean(self._nll(resized, truth), torch.isfinite(target).float())

    def pseudo_loss(self, raw, value, weight):
        return weighted_mean(self._nll(raw, value), weight)

    def tempered(self, raw, temperature):
        return laplace.scaled(raw, 1, temperature)

    def outputs(self, raw):
        return {
            "brightness": raw[:, :1].sigmoid(),
            "brightness_log_scale": laplace.log_scale(raw, 1),
        }

    def confidence(self, outputs):
        return laplace.chance_below(0.1, outputs["brightness_log_scale"])

    def predicted(self, prediction):
        return prediction.resized("brightness")[..., 0]

    def metric(self):
        return BrightnessMetric()

    def value(self, outputs):
        return outputs["brightness"]

    def correct(self, labels, truth):
        return np.abs(labels - truth) < 0.1

    def encoder(self):
        return BrightnessEncoder()

    def signal(self, target):
        return torch.nan_to_num(target, nan=-1.0)[:, None]

    def picture(self, labels):
        return np.repeat((labels * 255).astype(np.uint8)[..., None], 3, axis=2)


class Bright(NYUv2Folder):
    """The made data set, which now has brightness too."""

    def __init__(self, root, split, classes):
        super().__init__(root, split, classes)
        self.tasks |= {"brightness"}

    def sample(self, index, epoch=0):
        sample = super().sample(index, epoch)
        grey = sample.image.mean(axis=2, dtype=np.float32) / 255
        return replace(sample, truth={**sample.truth, "brightness": grey})


@pytest.fixture
def registered(monkeypatch, made_data):
    """All that it takes: a line for the task, and one for data that have it."""
    monkeypatch.setitem(TASKS, "brightness", lambda config: Brightness())
    monkeypatch.setitem(
        SOURCES, "bright", lambda data, *_: Bright(made_data / "nyuv2", data.split, "nyu13")
    )


def test_another_task_goes_the_whole_way(registered, teacher_config, tmp_path, here):
    names = ("segmentation", "depth", "brightness")
    everything = DataConfig("bright", split="fit")
    protocol = tmp_path / "protocol.json"
    assign(open_source(everything), Imbalance("one-label", block=1, seed=1)).save(protocol)
    limited = replace(everything, protocol=str(protocol))
    teacher = replace(
        teacher_config,
        tasks=replace(teacher_config.tasks, names=names),
        network=NetworkConfig("teacher", 64, 96, ("depth", "brightness")),
        data=(limited,),
    )
    train(teacher, tmp_path / "teacher", here)

    job = Job(tmp_path / "teacher", limited, signals=("depth", "brightness"))
    job.label(tmp_path / "pseudo")
    student = replace(
        teacher,
        name="student",
        network=NetworkConfig("student", 64, 96),
        data=(replace(limited, pseudo=str(tmp_path / "pseudo")),),
    )
    train(student, tmp_path / "student", here)

    labelled = open_source(everything)
    tasks = build_tasks(student.tasks)
    with_pseudo = WithPseudo(
        _limited(labelled, protocol), tmp_path / "pseudo", tasks, student.losses
    )
    states = {with_pseudo.sample(i).state("brightness") for i in range(len(with_pseudo))}
    assert LabelState.PSEUDO in states

    data = DataConfig("bright", split="val")
    student_file = release(tmp_path / "student", tmp_path, data)
    model = open_model(student_file)
    found = evaluate(
        ModelPredictor(model), open_source(data), shared_tasks(model, open_source(data))
    )
    assert 0 <= found["brightness_mae"] <= 1
    assert {"miou", "rmse", "brightness_mae"} <= found.keys()

    exported = OnnxModel(release(tmp_path / "teacher", tmp_path, data))
    assert list(exported.signals) == ["depth", "brightness"]
    assert "brightness_confidence" in exported.outputs
    _leak_rule_holds(exported)


def _limited(source, protocol):
    return limit(source, Assignment.load(protocol))


def _leak_rule_holds(model):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, 3, 64, 96)).astype(np.float32)
    bright = rng.uniform(size=(1, 1, 64, 96)).astype(np.float32)
    without, given = (
        model.run(i) for i in ({"image": image}, {"image": image, "brightness": bright})
    )
    np.testing.assert_array_equal(without["brightness"], given["brightness"])
