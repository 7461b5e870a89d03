"""A teacher that is arithmetic on colours, and a small data set of rendered rooms for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import torch

from mtl_core.card import DepthSpec, InputSpec, ModelCard
from mtl_core.geometry import Intrinsics
from mtl_core.interface import STRIDE
from mtl_core.labels import LabelMap
from mtl_core.prediction import Prediction
from mtl_core.predictor import Letterbox
from mtl_core.rooms import Room
from mtl_training.data.sample import PseudoLabel, Sample
from mtl_training.pseudo.calibrate import Observations
from mtl_training.pseudo.generate import Origin
from mtl_training.tasks.depth import Depth
from mtl_training.tasks.normals import Normals
from mtl_training.tasks.segmentation import Segmentation

SPEC = InputSpec(64, 96, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
LABEL_MAP = LabelMap.load("nyu13")
DEPTH_SPEC = DepthSpec(0.3, 12.0, 80.0)
SEGMENTATION, DEPTH, NORMALS = Segmentation(LABEL_MAP), Depth(DEPTH_SPEC), Normals()
TASKS = (SEGMENTATION, DEPTH, NORMALS)

ORIGIN = Origin("colours", "0" * 64, ("a little arithmetic",), "do what you want")

CAMERA = Intrinsics(110, 80, 90.0, 90.0, 54.5, 39.5)
"""Narrower than the input: part of the network's grid holds no image."""


class ColourTeacher:
    """Raw heads are a random linear function of colour, column, and the depth it is told.

    The column makes the answer to the mirror image another one.

    Args:
        tasks: What it predicts.
        temperatures: By task.
    """

    provider = "arithmetic"
    card = ModelCard("colours", "teacher", SPEC, LABEL_MAP, DEPTH_SPEC, (), "none", {}, "none")

    def __init__(self, tasks=TASKS, temperatures=None) -> None:
        self._tasks, self._temperatures = tasks, temperatures or {}
        generator = torch.Generator().manual_seed(5)
        self._weights = {
            task.name: torch.randn(task.channels, 6, generator=generator) * 3 for task in TASKS
        }
        self.asked = 0

    def predict(self, image, fx=None, signals=None) -> Prediction:
        self.asked += 1
        box = Letterbox.fit(image, SPEC)
        size = (box.width // STRIDE, box.height // STRIDE)
        planes = [cv2.resize(image.pixels, size, interpolation=cv2.INTER_AREA) / 255.0 - 0.5]
        planes.append(np.tile(np.linspace(-0.2, 0.2, size[0]), (size[1], 1)))
        told = (signals or {}).get("depth", np.zeros(image.pixels.shape[:2], np.float32))
        planes.append(cv2.resize(np.nan_to_num(told), size, interpolation=cv2.INTER_NEAREST) / 4)
        planes.append(np.ones(size[::-1]))
        features = torch.from_numpy(np.dstack(planes).astype(np.float32)).permute(2, 0, 1)
        grids = {}
        for task in self._tasks:
            raw = torch.einsum("cf,fhw->chw", self._weights[task.name], features)[None]
            grids |= task.tempered(task.outputs(raw), self._temperatures.get(task.name, 1.0))
        ratio = fx * box.scale / DEPTH_SPEC.canonical_fx if fx else 1.0
        arrays = {name: grid[0].numpy() for name, grid in grids.items()}
        return Prediction(arrays, image.height, image.width, ratio)


class Listed:
    """Samples in memory as a source."""

    label_map = LABEL_MAP

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = list(samples)
        self.names = tuple(sample.name for sample in samples)
        self.tasks = frozenset(task for sample in samples for task in sample.truth)

    def __len__(self) -> int:
        return len(self.samples)

    def sample(self, index: int, epoch: int = 0) -> Sample:
        return self.samples[index]

    def labelled(self, task: str) -> list[int]:
        return [i for i, sample in enumerate(self.samples) if task in sample.truth]

    def pseudo_labelled(self, task: str) -> list[int]:
        return [i for i, sample in enumerate(self.samples) if task in sample.pseudo]


def mirrored(sample: Sample) -> Sample:
    tasks = {task.name: task for task in TASKS}
    return replace(
        sample,
        image=np.ascontiguousarray(sample.image[:, ::-1]),
        truth={name: tasks[name].mirrored(labels) for name, labels in sample.truth.items()},
        intrinsics=sample.intrinsics.flipped(),
    )


@cache
def rooms(count: int = 4) -> Listed:
    """Rendered frames with all labels."""
    room = Room.generate(7)
    frames = [room.render(pose, CAMERA) for pose in room.camera_path(count)]
    return Listed(
        [
            Sample(
                f"a/{index}",
                frame.image,
                {
                    "segmentation": frame.labels,
                    "depth": frame.depth,
                    "normals": frame.normals,
                },
                CAMERA,
            )
            for index, frame in enumerate(frames)
        ]
    )


def without(source: Listed, *tasks: str, of: Sequence[int] | None = None) -> Listed:
    """The source without the truth of some tasks, in all samples or in some."""
    chosen = range(len(source)) if of is None else of
    return Listed(
        [
            replace(s, truth={t: y for t, y in s.truth.items() if not (i in chosen and t in tasks)})
            for i, s in enumerate(source.samples)
        ]
    )


N = 40_000
"""Pixels of made observations."""


def overconfident_classes(rng, t):
    """Logits t times too large for truth that is drawn from them."""
    logits = rng.normal(size=(N, 13)) * 1.5
    gumbel = rng.gumbel(size=logits.shape)
    truth = (logits + gumbel).argmax(axis=1).astype(np.uint8)
    row = torch.from_numpy((logits * t).T).float()[None, :, None]
    return Observations((SEGMENTATION.outputs(row),), truth)


def overconfident_depths(rng, t):
    """Scales t times too small for errors that are Laplace."""
    log_scale = rng.uniform(-2.5, -0.5, N)
    place = rng.normal(size=N)
    raw = torch.from_numpy(np.stack([place, log_scale - np.log(t)])).float()
    outputs = DEPTH.outputs(raw[None, :, None])
    depth = outputs["depth"].numpy().ravel()
    truth = depth * np.exp(rng.laplace(size=N) * np.exp(log_scale))
    return Observations((outputs,), truth.astype(np.float32))


def probabilities(rng, h=6, w=8):
    logits = rng.normal(size=(h, w, len(LABEL_MAP))) * 3
    shares = np.exp(logits)
    return (shares / shares.sum(axis=2, keepdims=True)).astype(np.float32)


def value_of(task, rng, h=6, w=8):
    if task is SEGMENTATION:
        return probabilities(rng, h, w)
    if task is DEPTH:
        return rng.uniform(0.3, 12, (h, w, 1)).astype(np.float32)
    vectors = rng.normal(size=(h, w, 3)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=2, keepdims=True)


def label_of(task, seed=0, h=6, w=8):
    rng = np.random.default_rng(seed)
    value = value_of(task, rng, h, w)
    confidence = value.max(axis=2) if task is SEGMENTATION else rng.uniform(0, 1, (h, w))
    return PseudoLabel(value, confidence.astype(np.float32))
