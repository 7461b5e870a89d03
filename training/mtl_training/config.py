"""What there is to configure in the training of one network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from mtl_core.card import InputSpec
from mtl_training.errors import ConfigError
from mtl_training.networks.efficientnet_lite import MEAN, STD
from mtl_training.settings import Settings
from mtl_training.tasks.registry import TaskConfig

Role = Literal["student", "teacher"]

IMAGE = "image"
"""As a teacher's input: the RGB-only control, whose second encoder sees the image once more."""


@dataclass(frozen=True)
class DataConfig(Settings):
    """One source of samples.

    Attributes:
        source: Key of `data.catalogue.SOURCES`.
        root: Folder or file, absolute or relative to `$MTL_DATA`; "" = the source's usual place.
        split: Which part of it; the names are the source's own.
        classes: Label map: one that the source offers, or one that has all its classes, into which
            labels are translated by name; "" = its usual one.
        frames: Length of an epoch, of synthetic sources.
        protocol: File of an imbalance protocol; "" = every label is used. Samples that it sets
            aside to calibrate a teacher have no labels for one, and keep them for a student.
        pseudo: Folder of pseudo-labels for these samples; "" = none.
    """

    source: str
    root: str = ""
    split: str = ""
    classes: str = ""
    frames: int = 0
    protocol: str = ""
    pseudo: str = ""


@dataclass(frozen=True)
class NetworkConfig(Settings):
    """Which network.

    Attributes:
        role: Student or teacher.
        height: Input rows, a multiple of 32.
        width: Input columns, a multiple of 32.
        inputs: A teacher's inputs beside the image: names of tasks, or `image` for the control.
    """

    role: Role
    height: int
    width: int
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse sizes that no encoder takes, and inputs where there are none."""
        if self.height % 32 or self.width % 32 or min(self.height, self.width) <= 0:
            raise ConfigError(f"height and width: multiples of 32, got {self.height}x{self.width}")
        if (self.role == "teacher") != bool(self.inputs):
            raise ConfigError(f"inputs: for a teacher, and only for one, got {self.inputs}")

    @property
    def spec(self) -> InputSpec:
        """The network's input, as its card will say it."""
        return InputSpec(self.height, self.width, MEAN, STD)


@dataclass(frozen=True)
class ScheduleConfig(Settings):
    """How long, how fast, in which batches.

    Attributes:
        steps: Optimiser steps.
        batch_size: Images of a step, over all devices together.
        backbone_lr: Peak learning rate of the pretrained encoders.
        lr: Peak learning rate of everything else.
        warmup: Share of the steps in which the rates rise.
        weight_decay: AdamW's.
        ema_decay: Decay per step of the averaged weights, which are the result; at first less, so
            that step n averages over the last tenth of n at most.
        balanced: Draw half of each batch from the samples that have truth of the rarest task.
        crop: Height and width of the views that are trained on; () = of the network's input.
            Zoom makes things look larger in training than in a whole image; a network that
            predicts at a larger size than it was trained at makes up for that, and costs less to
            train (Touvron et al., "Fixing the train-test resolution discrepancy", NeurIPS 2019).
        max_zoom: Augmentation's largest zoom.
        degrade: Probability of blur, of noise, and of compression in a view (`data.degradation`).
        wide: Probability of a view as a wide camera's is, above a bar (`data.augment`). Not beside
            consistency, which would ask for the averaged network's answers on the bar.
        start_share: Share that the weights of `start` have in those that are left. The mean of a
            network and what it was tuned to on other data is often better than either on both
            (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
    """

    steps: int
    batch_size: int = 8
    backbone_lr: float = 5e-4
    lr: float = 2e-3
    warmup: float = 0.15
    weight_decay: float = 0.02
    ema_decay: float = 0.995
    balanced: bool = False
    crop: tuple[int, ...] = ()
    max_zoom: float = 1.5
    degrade: float = 0.0
    wide: float = 0.0
    start_share: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot train anything."""
        for name in ("degrade", "wide"):
            if not 0 <= (chance := getattr(self, name)) <= 1:
                raise ConfigError(f"{name} in [0, 1] expected, got {chance}")
        if not 0 <= self.start_share < 1:
            raise ConfigError(f"start_share in [0, 1) expected, got {self.start_share}")
        if self.crop and (len(self.crop) != 2 or any(n <= 0 or n % 32 for n in self.crop)):
            raise ConfigError(
                f"crop: height and width, multiples of 32, expected, got {list(self.crop)}"
            )
        if self.steps < 1 or self.batch_size < 2:
            raise ConfigError(
                f"steps >= 1 and batch_size >= 2 expected, got {self.steps} and {self.batch_size}"
            )
        if min(self.backbone_lr, self.lr) <= 0 or self.weight_decay < 0:
            raise ConfigError(
                "learning rates above 0 and weight_decay of at least 0 expected, got "
                f"{self.backbone_lr}, {self.lr} and {self.weight_decay}"
            )
        if not 0 <= self.ema_decay < 1 or not 0 < self.warmup < 1 or self.max_zoom < 1:
            raise ConfigError(
                "ema_decay in [0, 1), warmup in (0, 1) and max_zoom >= 1 expected, got "
                f"{self.ema_decay}, {self.warmup} and {self.max_zoom}"
            )


@dataclass(frozen=True)
class LossConfig(Settings):
    """How losses are put together.

    Attributes:
        weighting: `equal`; `kendall` (learned by uncertainty, CVPR 2018; tasks whose loss is a
            likelihood with an uncertainty for each pixel have that already and are left alone);
            `frequency` (a task's loss against truth weighs the inverse of the share of samples
            that have its truth).
        class_weighting: `equal`, or `frequency`: the median frequency of a class over its own, over
            the true labels, its square root, between 0.3 and 3.
        task_weights: Factor for each task's loss, 1 where none is given.
        pseudo_weight: What a pixel of a certain pseudo-label weighs, one of truth being 1; what is
            half sure weighs half of it. A task's loss is the mean over all of these pixels of a
            batch, so that weights matter between them and not between batches.
        pseudo_everywhere: Use pseudo-labels where there is truth, too (distillation, Hinton et al.,
            2015), of folders that were labelled everywhere; not only where it lacks. Void of
            annotators gets labels so. A recording's own pseudo-labels stay where they are.
        pseudo_threshold: Least confidence of a pseudo-label.
        pseudo_share: In each group (class), at least this share of pixels is kept all the same,
            the most confident ones.
        pseudo_hard: Take the most likely class as if it were certain.
        pseudo_noise: Share of the pseudo-labels in use that are made those of another pixel of the
            image, the same ones each time: what wrong labels cost, for studies. Some of these
            pixels are of one class, so that fewer become wrong.
        consistency: Factor of the weak-to-strong consistency with the averaged network; 0 = off.
        consistency_threshold: Least confidence of the averaged network's own answers.
        modality_dropout: Probability with which a teacher's input is left out.
    """

    weighting: Literal["equal", "kendall", "frequency"] = "equal"
    class_weighting: Literal["equal", "frequency"] = "equal"
    task_weights: dict[str, float] = field(default_factory=dict)
    pseudo_weight: float = 1.0
    pseudo_everywhere: bool = False
    pseudo_threshold: float = 0.5
    pseudo_share: float = 0.0
    pseudo_hard: bool = False
    pseudo_noise: float = 0.0
    consistency: float = 0.0
    consistency_threshold: float = 0.8
    modality_dropout: float = 0.5

    def __post_init__(self) -> None:
        """Refuse shares that are none."""
        shares = {
            name: getattr(self, name)
            for name in (
                "pseudo_threshold",
                "pseudo_share",
                "pseudo_noise",
                "consistency_threshold",
                "modality_dropout",
            )
        }
        if wrong := {name: value for name, value in shares.items() if not 0 <= value <= 1}:
            raise ConfigError(f"expected between 0 and 1, got {wrong}")
        factors = {
            "pseudo_weight": self.pseudo_weight,
            "consistency": self.consistency,
            **self.task_weights,
        }
        if wrong := {name: value for name, value in factors.items() if not value >= 0}:
            raise ConfigError(f"expected numbers of at least 0, got {wrong}")


@dataclass(frozen=True)
class TrainConfig(Settings):
    """How one network is trained.

    Attributes:
        name: Of the model, and of its file.
        seed: Of initialisation, order, augmentation and dropout.
        tasks: What it learns.
        network: What it is.
        data: What it learns from.
        schedule: How long.
        losses: Towards what.
        start: Run folder or weights file whose network to begin with; "" = ImageNet's encoder.
    """

    name: str
    seed: int
    tasks: TaskConfig
    network: NetworkConfig
    data: tuple[DataConfig, ...]
    schedule: ScheduleConfig
    losses: LossConfig = field(default_factory=LossConfig)
    start: str = ""

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        if not self.data:
            raise ConfigError("data: at least one source expected, got none")
        if self.schedule.wide and self.losses.consistency:
            raise ConfigError(
                "either wide or consistency expected, got "
                f"{self.schedule.wide} and {self.losses.consistency}"
            )
        if self.schedule.start_share and not self.start:
            raise ConfigError("start_share: a start expected that it is a share of, got none")
        if unknown := sorted(self.losses.task_weights.keys() - set(self.tasks.names)):
            raise ConfigError(
                f"task_weights: {', '.join(unknown)} not learned, "
                f"these are: {', '.join(self.tasks.names)}"
            )
