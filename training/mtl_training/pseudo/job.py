"""Calibrate a network, label a data set, judge the labels: what two commands of `mtl-train` do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtl_core.card import ModelCard
from mtl_core.interface import main_outputs
from mtl_core.model import Model
from mtl_core.predictor import ModelPredictor
from mtl_training.config import DataConfig, LossConfig
from mtl_training.data.catalogue import View, open_source
from mtl_training.data.protocols import Assignment, limit, subset
from mtl_training.data.source import SampleSource
from mtl_training.errors import ConfigError, DatasetError
from mtl_training.evaluate import check_classes, signal_tasks, tasks_of
from mtl_training.learning.checkpoint import load_trained
from mtl_training.models import TorchModel, open_model
from mtl_training.pseudo.calibrate import calibrate
from mtl_training.pseudo.generate import Labeller, Origin, generate
from mtl_training.pseudo.report import quality
from mtl_training.pseudo.store import PseudoStore
from mtl_training.pseudo.unseen import check_unseen
from mtl_training.tasks.base import Task
from mtl_training.tasks.registry import TASKS

_ONNX = ".onnx"


@dataclass(frozen=True)
class Job:
    """A teacher and the data that it labels.

    Attributes:
        model: A finished run's folder, its weights, or an ONNX file.
        data: With a protocol, what that leaves without labels is labelled.
        signals: The teacher's inputs that are given the truth that there is, such as `depth`.
        flip: Whether mirror images are predicted too.
        tasks: What is labelled; () = all that the model predicts.
        device: Where torch runs a checkpoint.
    """

    model: Path
    data: DataConfig
    signals: tuple[str, ...] = ()
    flip: bool = True
    tasks: tuple[str, ...] = ()
    device: str = "cpu"

    def calibrate(self, seed: int = 0) -> dict[str, float]:
        """Fit temperatures on the samples that the protocol sets aside; all, without a protocol.

        A teacher's are those of the labels that it writes, a student's those of single answers, as
        a robot asks for them.

        Raises:
            ConfigError: The model is an ONNX file, whose temperatures are part of it, or it was
                trained on some of these samples.
            DatasetError: The protocol sets nothing aside, or nothing there has labels.
        """
        if self.model.suffix == _ONNX:
            raise ConfigError(f"{self.model}: temperatures are fixed in it, calibrate its run")
        trained = load_trained(self.model)
        card = TorchModel(trained).card
        source = self._source(card)
        if self.data.protocol:
            assignment = self._assignment()
            if not assignment.calibration:
                raise DatasetError(f"{self.data.protocol}: sets no samples aside to calibrate on")
            source = subset(limit(source, assignment), assignment.calibration)
        check_unseen(trained, source.names, self.data)
        given = self._given(card)
        flip = self.flip and card.role == "teacher"
        return calibrate(self.model, source, given, flip=flip, device=self.device, seed=seed)

    def label(self, out: Path, everywhere: bool = False) -> PseudoStore:
        """Label what lacks labels; see `generate`.

        Raises:
            ConfigError: The model does not predict a task that is asked for.
        """
        model = open_model(self.model, self.device)
        tasks, source = self._tasks(model), self._source(model.card)
        check_classes(model.card, source, tasks, self.signals)
        if self.data.protocol:
            source = limit(source, self._assignment())
        labeller = Labeller(ModelPredictor(model), self._given(model.card), self.flip)
        origin = self._origin(model.card)
        return generate(labeller, origin, source, tasks, out, everywhere=everywhere, data=self.data)

    def judge(self, folder: Path, out: Path, losses: LossConfig | None = None) -> dict[str, Any]:
        """Judge labels by the truth that the protocol hides, by all without one; see `quality`."""
        model = open_model(self.model, self.device)
        whole = self._source(model.card)
        visible = limit(whole, self._assignment()) if self.data.protocol else None
        return quality(folder, whole, self._tasks(model), out, losses, visible)

    def _tasks(self, model: Model) -> list[Task]:
        """What is labelled; see `label` for what it refuses."""
        known = model_tasks(model)
        if unknown := set(self.tasks) - {task.name for task in known}:
            raise ConfigError(
                f"the model says {', '.join(task.name for task in known)}, "
                f"asked for {', '.join(sorted(unknown))}"
            )
        return [task for task in known if not self.tasks or task.name in self.tasks]

    def _source(self, card: ModelCard) -> SampleSource:
        """The data with all their truth."""
        focal = card.depth.canonical_fx if card.depth else float(card.input.width)
        return open_source(self.data, View(card.input.height, card.input.width, focal))

    def _assignment(self) -> Assignment:
        return Assignment.load(Path(self.data.protocol))

    def _given(self, card: ModelCard) -> list[Task]:
        names = list(signal_tasks(card, self.signals).values())
        return tasks_of(card, names) if names else []

    def _origin(self, card: ModelCard) -> Origin:
        if self.model.suffix == _ONNX:
            return Origin.of(card, self.model)
        trained = load_trained(self.model)
        return Origin.of(card, trained.path, trained.temperatures)


def model_tasks(model: Model) -> list[Task]:
    """The tasks that a model predicts.

    Raises:
        ConfigError: None of them is registered.
    """
    said = main_outputs(model.outputs)
    if not (names := [name for name in said if name in TASKS]):
        raise ConfigError(f"the model says {', '.join(said)}, known tasks: {', '.join(TASKS)}")
    return tasks_of(model.card, names)
