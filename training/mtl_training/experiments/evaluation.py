"""The stage that measures a network, and reading what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from mtl_core.images import ColourImage
from mtl_core.prediction import Prediction
from mtl_core.predictor import ModelPredictor, Predictor, Signals
from mtl_training.config import DataConfig
from mtl_training.data.catalogue import View, open_source
from mtl_training.data.files import read_json
from mtl_training.data.source import SampleSource
from mtl_training.errors import ConfigError, DatasetError
from mtl_training.evaluate import Rows, json_types, measure
from mtl_training.experiments.chain import TrainStage, data_fields
from mtl_training.experiments.stages import Stage, Workshop
from mtl_training.files import atomic, write_json
from mtl_training.learning.checkpoint import load_trained
from mtl_training.models import TorchModel
from mtl_training.network import encoder_of, input_tasks
from mtl_training.tasks.base import Task
from mtl_training.tasks.registry import build_tasks

FIGURES = "figures.json"
ROWS = "rows.npz"

Given = Literal["nothing", "truth", "prediction"]
"""What a teacher is told beside the image: nothing, ground truth, or what it says itself."""


@dataclass(frozen=True)
class EvaluationStage(Stage):
    """Measures a network.

    Attributes:
        trained: The network.
        data: What on.
        given: What a teacher is told beside the image.
    """

    products: ClassVar[tuple[str, ...]] = (FIGURES, ROWS)
    trained: TrainStage
    data: DataConfig
    given: Given = "nothing"

    @property
    def label(self) -> str:
        """See `Stage.label`."""
        told = "" if self.given == "nothing" else f"-told-{self.given}"
        return f"evaluation-{self.trained.label}{told}"

    @property
    def identity(self) -> Mapping[str, Any]:
        """See `Stage.identity`."""
        return {"data": data_fields(self.data), "given": self.given}

    @property
    def parents(self) -> tuple[Stage, ...]:
        """See `Stage.parents`."""
        return (self.trained,)

    @property
    def tasks(self) -> list[Task]:
        """What the network predicts."""
        return build_tasks(self.trained.config.tasks)

    def run(self, workshop: Workshop) -> None:
        """Write figures and, for each task, names of images and rows of `PerImage`."""
        model = TorchModel(load_trained(workshop.at(self.trained)), workshop.device)
        source = self._source()
        tasks = [task for task in self.tasks if task.name in source.tasks]
        signals = list(model.signals) if self.given == "truth" else []
        found = measure(self._predictor(model), source, tasks, signals).tasks
        folder = workshop.at(self)
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name, errors in found.items():
            arrays |= {f"{name}.names": np.array(errors.names), f"{name}.rows": errors.rows}
        with atomic(folder / ROWS) as part:
            np.savez_compressed(part, allow_pickle=False, **arrays)
        figures = {name: json_types(errors.figures()) for name, errors in found.items()}
        write_json(folder / FIGURES, figures)

    def _source(self) -> SampleSource:
        config = self.trained.config
        size = config.network
        return open_source(self.data, View(size.height, size.width, config.tasks.canonical_fx))

    def _predictor(self, model: TorchModel) -> Predictor:
        predictor = ModelPredictor(model)
        if self.given != "prediction":
            return predictor
        return SelfTold(predictor, input_tasks(self.trained.config))


class SelfTold:
    """A teacher that is told what it says itself of the bare image; a `Predictor`.

    So it is the same network whose inputs are predicted: with another network's predictions, part
    of a gain would be that of an ensemble, and none of the other task's.

    Args:
        teacher: Predicts.
        inputs: Tasks that it predicts and that are its inputs.
    """

    def __init__(self, teacher: Predictor, inputs: Sequence[Task]) -> None:
        self._teacher, self._inputs = teacher, inputs
        self.card, self.provider = teacher.card, teacher.provider

    def predict(
        self, image: ColourImage, fx: float | None = None, signals: Signals | None = None
    ) -> Prediction:
        """See `Predictor.predict`; there must be no signals."""
        if signals:
            raise ConfigError(f"no signals expected, got {', '.join(signals)}")
        first = self._teacher.predict(image, fx)
        told = {encoder_of(task).input_name: task.predicted(first) for task in self._inputs}
        return self._teacher.predict(image, fx, told)


def figures_in(folder: Path) -> dict[str, dict[str, Any]]:
    """What an evaluation found, by task; None for what nothing was measured of."""
    found: dict[str, dict[str, Any]] = read_json(folder / FIGURES)
    return found


def rows_in(folder: Path, task: str) -> tuple[list[str], Rows]:
    """An evaluation's images and their rows of numbers, (images, K) float64.

    Raises:
        DatasetError: The file is missing or damaged, or has nothing of this task.
    """
    path = folder / ROWS
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return file[f"{task}.names"].tolist(), file[f"{task}.rows"]
    except Exception as err:  # A damaged zip raises a dozen kinds, which share no other root.
        raise DatasetError(f"{path}: expected an evaluation of {task}: {err!r:.200}") from err
