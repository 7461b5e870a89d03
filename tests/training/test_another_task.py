"""A fourth task goes the whole way without a change to engine, networks, data sets or export.

It is made here: how bright each pixel is, which a network reads off the image at once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mtl_core.metrics import Sums
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
from mtl_training.release import golden_inputs, release
from mtl_training.tasks import laplace
from mtl_training.tasks.base import SignalEncoder, Task, to_target_size, weighted_mean
from mtl_training.tasks.registry import TASKS, build_tasks


class BrightnessEncoder(SignalEncoder):
    input_name, channels, none = "brightness", 2, 0.0

    def forward(self, signal):
        return torch.cat([signal, self.present(signal).to(signal.dtype)], dim=1)


class BrightnessMetric(Sums):
    def __init__(self):
        super().__init__(2)

    def update(self, predicted, truth):
        self._sums += [np.nansum(np.abs(predicted - truth)), np.isfinite(truth).sum()]

    def figures(self):
        total, count = self._sums
        return {"brightness_mae": total / count if count else float("nan")}


class Brightness(Task):
    """Grey value above 0, up to 1; labels (H, W) float32, NaN = none."""

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

    def count(self, target):
        return torch.isfinite(target).sum()

    def pseudo_loss(self, raw, value, weight):
        return weighted_mean(self._nll(raw, value), weight)

    def tempered(self, outputs, temperature):
        return laplace.tempered(outputs, "brightness_log_scale", temperature)

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
        return torch.nan_to_num(target, nan=0.0)[:, None]

    def picture(self, labels):
        return np.repeat((labels * 255).astype(np.uint8)[..., None], 3, axis=2)


class Bright(NYUv2Folder):
    """The made data set, which now has brightness too."""

    def __init__(self, root, split, classes):
        super().__init__(root, split, classes)
        self.tasks |= {"brightness"}

    def sample(self, index, epoch=0):
        sample = super().sample(index, epoch)
        grey = (sample.image.mean(axis=2, dtype=np.float32) + 1) / 256
        return replace(sample, truth={**sample.truth, "brightness": grey})


pytestmark = pytest.mark.slow


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
    half = Imbalance("fraction", {"brightness": 0.5}, block=1)
    assign(open_source(everything), half).save(protocol)
    limited = replace(everything, protocol=str(protocol))
    teacher = replace(
        teacher_config,
        tasks=replace(teacher_config.tasks, names=names),
        network=NetworkConfig("teacher", 64, 96, ("brightness",)),
        data=(limited,),
        schedule=replace(teacher_config.schedule, steps=2),
        # Two steps are few enough for chance to leave the signal out of both.
        losses=replace(teacher_config.losses, modality_dropout=0.0),
    )
    train(teacher, tmp_path / "teacher", here)

    job = Job(tmp_path / "teacher", limited, signals=("brightness",))
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
    model = open_model(tmp_path / "student")
    found = evaluate(
        ModelPredictor(model), open_source(data), shared_tasks(model, open_source(data))
    )
    assert 0 <= found["brightness_mae"] <= 1
    assert {"miou", "rmse", "brightness_mae"} <= found.keys()

    exported = OnnxModel(release(tmp_path / "teacher", tmp_path, data))
    assert list(exported.signals) == ["brightness"]
    assert "brightness_confidence" in exported.outputs
    _signal_tells_others_and_not_itself(exported)


def _limited(source, protocol):
    return limit(source, Assignment.load(protocol))


def _signal_tells_others_and_not_itself(model):
    """Told what the export was checked with."""
    inputs = golden_inputs(model)
    without, given = model.run({"image": inputs["image"]}), model.run(inputs)
    changed = {name for name in model.outputs if not np.array_equal(without[name], given[name])}
    assert {"segmentation", "depth"} <= changed
    assert not {name for name in changed if name.startswith("brightness")}
