"""The stages up to a student: protocol, teacher, pseudo-labels and their quality, training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from mtl_core.predictor import ModelPredictor
from mtl_training.config import DataConfig, LossConfig, TrainConfig
from mtl_training.data.catalogue import View, open_source
from mtl_training.data.files import read_json
from mtl_training.data.protocols import Assignment, Imbalance, assign, limit, subset
from mtl_training.data.source import SampleSource
from mtl_training.experiments.stages import Stage, Workshop
from mtl_training.files import write_json
from mtl_training.learning.checkpoint import TEMPERATURES, WEIGHTS, load_trained
from mtl_training.learning.engine import train
from mtl_training.learning.material import check_label_map
from mtl_training.models import TorchModel
from mtl_training.network import input_tasks
from mtl_training.pseudo.calibrate import calibrate
from mtl_training.pseudo.generate import Labeller, Origin, generate
from mtl_training.pseudo.record import RECORD as PSEUDO_RECORD
from mtl_training.pseudo.report import quality
from mtl_training.settings import config_fields
from mtl_training.tasks.registry import build_tasks

PROTOCOL = "protocol.json"
LABELS = "labels"
QUALITY = "quality.json"


@dataclass(frozen=True)
class ProtocolStage(Stage):
    """Draws which samples keep which labels."""

    products: ClassVar[tuple[str, ...]] = (PROTOCOL,)
    data: DataConfig
    imbalance: Imbalance

    @property
    def label(self) -> str:
        """See `Stage.label`."""
        return f"protocol-{self.imbalance.kind}"

    @property
    def identity(self) -> Mapping[str, Any]:
        """See `Stage.identity`."""
        return {"data": data_fields(self.data), "imbalance": config_fields(self.imbalance)}

    def run(self, workshop: Workshop) -> None:
        """See `Stage.run`."""
        # Names and scenes do not depend on how synthetic sources are rendered.
        source = open_source(self.data, View(32, 32, 32.0))
        assign(source, self.imbalance).save(workshop.at(self) / PROTOCOL)


def data_fields(data: DataConfig) -> Mapping[str, Any]:
    """Which images."""
    fields = config_fields(data)
    return {key: fields[key] for key in ("source", "root", "split", "classes", "frames")}


def opened(config: TrainConfig, protocol: ProtocolStage | None, workshop: Workshop) -> SampleSource:
    """What a network is trained on, with all labels that the protocol leaves, if there is one."""
    size = config.network
    view = View(size.height, size.width, config.tasks.canonical_fx)
    source = open_source(config.data[0], view, config.seed)
    check_label_map(source, config)
    return limit(source, assignment(protocol, workshop)) if protocol else source


def limited(config: TrainConfig, protocol: ProtocolStage | None, workshop: Workshop) -> DataConfig:
    """What a network is trained on, with the protocol's file."""
    (data,) = config.data
    return replace(data, protocol=str(workshop.at(protocol) / PROTOCOL)) if protocol else data


def assignment(protocol: ProtocolStage, workshop: Workshop) -> Assignment:
    """What a protocol's stage drew."""
    return Assignment.load(workshop.at(protocol) / PROTOCOL)


@dataclass(frozen=True)
class TrainStage(Stage):
    """Trains a network.

    Attributes:
        config: Without protocol, pseudo-labels and start, which the stages give.
        protocol: None = all labels.
        pseudo: None = on labels as they are.
        before: The training that it goes on from; None = it begins with ImageNet's encoder.
    """

    products: ClassVar[tuple[str, ...]] = (WEIGHTS,)
    config: TrainConfig
    protocol: ProtocolStage | None
    pseudo: PseudoStage | None
    before: TrainStage | None = field(default=None, kw_only=True)

    @property
    def label(self) -> str:
        """See `Stage.label`."""
        given = "".join(f"-given-{name}" for name in self.config.network.inputs)
        tasks = "-".join(self.config.tasks.names)
        pretrained = "-pretrained" if self.before else ""
        taught = "-with-pseudo" if self.pseudo else ""
        return f"{self.config.network.role}-{tasks}{given}-s{self.config.seed}{pretrained}{taught}"

    @property
    def identity(self) -> Mapping[str, Any]:
        """See `Stage.identity`."""
        return config_fields(self.config)

    @property
    def parents(self) -> tuple[Stage, ...]:
        """See `Stage.parents`."""
        return tuple(stage for stage in (self.protocol, self.pseudo, self.before) if stage)

    def run(self, workshop: Workshop) -> None:
        """See `Stage.run`."""
        data = limited(self.config, self.protocol, workshop)
        if self.pseudo:
            data = replace(data, pseudo=str(workshop.at(self.pseudo) / LABELS))
        start = str(workshop.at(self.before)) if self.before else ""
        config = replace(self.config, data=(data,), start=start)
        train(config, workshop.at(self), workshop.machine, resume=True)


@dataclass(frozen=True)
class TeacherStage(TrainStage):
    """Trains a teacher and calibrates it on what the protocol has set aside.

    Attributes:
        flip: Whether its answers to the mirror image will be merged.
    """

    products: ClassVar[tuple[str, ...]] = (WEIGHTS, TEMPERATURES)
    flip: bool

    @property
    def identity(self) -> Mapping[str, Any]:
        """See `Stage.identity`."""
        return {**config_fields(self.config), "flip": self.flip}

    def run(self, workshop: Workshop) -> None:
        """See `Stage.run`."""
        super().run(workshop)
        folder = workshop.at(self)
        aside = assignment(self.protocol, workshop).calibration if self.protocol else frozenset()
        if not aside:
            write_json(folder / TEMPERATURES, {})
            return
        source = subset(opened(self.config, self.protocol, workshop), aside)
        given = input_tasks(self.config)
        calibrate(folder, source, given, flip=self.flip, device=workshop.device)


@dataclass(frozen=True)
class PseudoStage(Stage):
    """Writes a teacher's pseudo-labels for the samples that lack labels."""

    products: ClassVar[tuple[str, ...]] = (f"{LABELS}/{PSEUDO_RECORD}",)
    teacher: TeacherStage
    tasks: tuple[str, ...]

    @property
    def label(self) -> str:
        """See `Stage.label`."""
        return self.teacher.label.replace("teacher", "pseudo", 1)

    @property
    def identity(self) -> Mapping[str, Any]:
        """See `Stage.identity`."""
        return {"tasks": list(self.tasks)}

    @property
    def parents(self) -> tuple[Stage, ...]:
        """See `Stage.parents`."""
        return (self.teacher,)

    def run(self, workshop: Workshop) -> None:
        """See `Stage.run`."""
        trained = load_trained(workshop.at(self.teacher))
        model = TorchModel(trained, workshop.device)
        labeller = Labeller(ModelPredictor(model), input_tasks(trained.config), self.teacher.flip)
        protocol = self.teacher.protocol
        generate(
            labeller,
            Origin.of(model.card, trained.path, trained.temperatures),
            opened(self.teacher.config, protocol, workshop),
            build_tasks(trained.config.tasks, self.tasks),
            workshop.at(self) / LABELS,
            data=limited(self.teacher.config, protocol, workshop),
        )


@dataclass(frozen=True)
class QualityStage(Stage):
    """Judges pseudo-labels by the ground truth that the protocol hides.

    Attributes:
        pseudo: The labels.
        threshold: See `LossConfig.pseudo_threshold`.
        share: See `LossConfig.pseudo_share`.
    """

    products: ClassVar[tuple[str, ...]] = (QUALITY,)
    pseudo: PseudoStage
    threshold: float
    share: float

    @property
    def label(self) -> str:
        """See `Stage.label`."""
        return self.pseudo.label.replace("pseudo", "quality", 1)

    @property
    def identity(self) -> Mapping[str, Any]:
        """See `Stage.identity`."""
        return {"threshold": self.threshold, "share": self.share}

    @property
    def parents(self) -> tuple[Stage, ...]:
        """See `Stage.parents`."""
        return (self.pseudo,)

    def run(self, workshop: Workshop) -> None:
        """See `Stage.run`."""
        teacher = self.pseudo.teacher
        config = teacher.config
        quality(
            workshop.at(self.pseudo) / LABELS,
            opened(config, None, workshop),
            build_tasks(config.tasks, self.pseudo.tasks),
            workshop.at(self),
            LossConfig(pseudo_threshold=self.threshold, pseudo_share=self.share),
            opened(config, teacher.protocol, workshop),
        )


def quality_in(folder: Path) -> dict[str, Any]:
    """The figures of a quality report, by task, without those of single classes."""
    tasks: dict[str, dict[str, Any]] = read_json(folder / QUALITY)["tasks"]
    return {
        task: {key: value for key, value in found.items() if key != "groups"}
        for task, found in tasks.items()
    }
