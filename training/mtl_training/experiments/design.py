"""What an experiment is made of, as its TOML file says it: configuration, no code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mtl_training.config import DataConfig, LossConfig, Role, ScheduleConfig, TrainConfig
from mtl_training.data.protocols import Imbalance
from mtl_training.errors import ConfigError
from mtl_training.settings import Settings, config_fields, parse_config
from mtl_training.tasks.registry import TaskConfig

Fields = dict[str, Any]
"""A table of a TOML file."""


@dataclass(frozen=True)
class LabelProtocol(Imbalance, Settings):
    """An imbalance protocol in a TOML file; see `Imbalance`."""


@dataclass(frozen=True)
class StudyData(Settings):
    """What is trained on and measured on.

    Attributes:
        train: What students and teachers see.
        test: What they are measured on.
        protocol: Which labels of `train` are kept; none = the data are what they are.
        protocol_per_seed: Whether each training seed draws other labels; else all seeds share them.
    """

    train: DataConfig
    test: DataConfig
    protocol: LabelProtocol | None = None
    protocol_per_seed: bool = False

    def __post_init__(self) -> None:
        """Refuse what the stages decide."""
        check_plain("train", self.train)
        check_plain("test", self.test)

    def imbalance(self, seed: int, share: Share | None = None) -> Imbalance | None:
        """The protocol of a training seed, with a task's share of labels changed."""
        if self.protocol is None:
            return None
        plain = Imbalance(**vars(self.protocol))
        if self.protocol_per_seed:
            plain = replace(plain, seed=plain.seed + seed)
        if share is None:
            return plain
        return replace(plain, fractions={**plain.fractions, share.task: share.value})


@dataclass(frozen=True)
class Share:
    """A point of a sweep: the share 0..1 of the samples that keep a task's labels."""

    task: str
    value: float


@dataclass(frozen=True)
class Size(Settings):
    """Of the networks' input, multiples of 32."""

    height: int
    width: int


@dataclass(frozen=True)
class Recipe(Settings):
    """How a network is trained."""

    schedule: ScheduleConfig
    losses: LossConfig = field(default_factory=LossConfig)


@dataclass(frozen=True)
class Changes(Settings):
    """Settings of a `TrainConfig` that differ from what all share; only those are named.

    Attributes:
        tasks: Of `TaskConfig`; `names` = what is learned.
        network: Of `NetworkConfig`.
        schedule: Of `ScheduleConfig`.
        losses: Of `LossConfig`.
    """

    tasks: Fields = field(default_factory=dict)
    network: Fields = field(default_factory=dict)
    schedule: Fields = field(default_factory=dict)
    losses: Fields = field(default_factory=dict)

    @property
    def fields(self) -> dict[str, Fields]:
        """By the table that they change."""
        return {name: getattr(self, name) for name in ("tasks", "network", "schedule", "losses")}


@dataclass(frozen=True)
class Pretraining(Changes):
    """What a network learns of other data, with all their labels, before it comes to the study's.

    Beside the changes it is trained as afterwards, but draws its samples alike: among these there
    is nothing to balance.

    Attributes:
        data: What on.
        seed: The same for all seeds of the study, which so begin from the same weights.
    """

    data: DataConfig = field(kw_only=True)
    seed: int = 0

    def config(self, after: TrainConfig, where: str) -> TrainConfig:
        """How it is trained.

        Args:
            after: How it is trained afterwards, without protocol and pseudo-labels.
            where: Stands before errors.

        Raises:
            ConfigError: A change names an unknown setting, sets an impossible value, or makes
                another network of it.
        """
        alike = replace(after, schedule=replace(after.schedule, balanced=False))
        changed = parse_config(TrainConfig, merged(config_fields(alike), self.fields), where)
        if _network(changed) != _network(after):
            raise ConfigError(f"{where}: {_network(after)} expected, got {_network(changed)}")
        return replace(changed, data=(self.data,), seed=self.seed)


def _network(config: TrainConfig) -> str:
    """What weights fit, in words."""
    inputs = " and ".join(config.network.inputs)
    told = f", given {inputs}" if inputs else ""
    return f"a {config.network.role} of {' and '.join(config.tasks.names)}{told}"


@dataclass(frozen=True)
class NetworkDesign(Changes):
    """How a network of a study comes about.

    Attributes:
        pretrain: Key of the experiment's `pretrainings`; "" = it begins with ImageNet's encoder.
    """

    pretrain: str = ""


@dataclass(frozen=True)
class TeacherDesign(NetworkDesign):
    """One kind of teacher.

    Attributes:
        inputs: What it sees beside the image; `["image"]` is the RGB-only control of equal size.
        teacher: Name of an earlier one, whose pseudo-labels it learns from beside the truth:
            another round of self-training (Xie et al., "Noisy Student", CVPR 2020); "" = none.
        flip: Whether pseudo-labels merge its answers to the image and to the mirror image.
    """

    inputs: tuple[str, ...] = ()
    teacher: str = ""
    flip: bool = True


@dataclass(frozen=True)
class Method(NetworkDesign):
    """How a student comes about.

    Attributes:
        teacher: Key of the experiment's `teachers`; "" = none, labels as they are.
        protocol: Whether labels are taken away; without, it is the fully labelled ceiling.
        one_per_task: One student for each task, instead of one for all.
    """

    teacher: str = ""
    protocol: bool = True
    one_per_task: bool = False


@dataclass(frozen=True)
class Report(Settings):
    """What is compared.

    Attributes:
        compare: Pairs of methods [a, b]: differences are a's figures less b's.
        single_task: Method that multi-task gain is measured against; "" = it is not.
        resamples: Of the bootstrap over images.
    """

    compare: tuple[tuple[str, str], ...] = ()
    single_task: str = ""
    resamples: int = 2000

    @property
    def names(self) -> set[str]:
        """Methods that must exist."""
        return {name for pair in self.compare for name in pair} | ({self.single_task} - {""})


@dataclass(frozen=True)
class Sweep(Settings):
    """Several fractions of one task's labels, for label-efficiency curves.

    All of the labels are no point of it: that is what a method without protocol learns from.
    """

    task: str
    fractions: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse an empty sweep, and all labels or none."""
        repeated = len(set(self.fractions)) != len(self.fractions)
        if repeated or not self.fractions or not all(0 < one < 1 for one in self.fractions):
            raise ConfigError(
                f"sweep: different fractions between 0 and 1 expected, got {self.fractions}"
            )


@dataclass(frozen=True)
class Experiment(Settings):
    """Methods by seeds.

    Attributes:
        name: For titles.
        seeds: Of training, one repetition each.
        tasks: What is learned.
        network: The size of the networks' input, but for what a method or a teacher changes.
        data: What on.
        student: How students are trained, but for what a method changes.
        teacher: How teachers are trained, but for what a teacher changes; none = as students are.
        pretrainings: By name.
        teachers: By name.
        methods: By name, in the order of the tables.
        report: What is compared.
        sweep: Fractions of labels to repeat everything at.
    """

    name: str
    seeds: tuple[int, ...]
    tasks: TaskConfig
    network: Size
    data: StudyData
    student: Recipe
    methods: dict[str, Method]
    teacher: Recipe | None = None
    pretrainings: dict[str, Pretraining] = field(default_factory=dict)
    teachers: dict[str, TeacherDesign] = field(default_factory=dict)
    report: Report = field(default_factory=Report)
    sweep: Sweep | None = None

    def __post_init__(self) -> None:
        """Refuse what refers to nothing."""
        check_seeds(self.seeds)
        check_known("methods", self.methods or {"": None}, self.methods)
        check_known("report", self.report.names, self.methods)
        used = {m.teacher for m in self.methods.values()} | {
            t.teacher for t in self.teachers.values()
        }
        check_known("teacher", used - {""}, self.teachers)
        for name in self.teachers:
            self._check_rounds(name)
        self._check_pretrainings()
        if idle := [n for n, m in self.methods.items() if m.teacher and not m.protocol]:
            raise ConfigError(f"methods.{idle[0]}: protocol = false leaves a teacher no work")
        kind = self.data.protocol.kind if self.data.protocol else "none"
        if self.sweep and kind != "fraction":
            raise ConfigError(f"sweep: for the protocol `fraction`, got {kind}")
        if self.sweep:
            check_known("sweep", {self.sweep.task}, dict.fromkeys(self.tasks.names))

    def _check_pretrainings(self) -> None:
        """Refuse ones that see labels which the protocol hides, or what is measured on."""
        designs: tuple[NetworkDesign, ...] = (*self.teachers.values(), *self.methods.values())
        check_known("pretrain", {one.pretrain for one in designs} - {""}, self.pretrainings)
        own = {self.data.train.source, self.data.test.source}
        for name, pretraining in self.pretrainings.items():
            where, data = f"pretrainings.{name}", pretraining.data
            check_plain(where, data)
            if data.source in own:
                raise ConfigError(
                    f"{where}: other data than the study's expected, got {data.source}, of which "
                    "it would see all labels"
                )

    def _check_rounds(self, name: str) -> None:
        """Refuse a teacher that would be taught, in the end, by itself."""
        before: list[str] = []
        while name:
            if name in before:
                raise ConfigError(f"teachers: in a circle, {' from '.join([*before, name])}")
            before.append(name)
            name = self.teachers[name].teacher

    def student_configs(self, name: str, seed: int) -> list[TrainConfig]:
        """A method's students, without protocol and pseudo-labels.

        Raises:
            ConfigError: A change names an unknown setting, or sets an impossible value.
        """
        method = self.methods[name]
        config, names = self._changed("student", seed, self.student, method, f"methods.{name}")
        groups = [(task,) for task in names] if method.one_per_task else [names]
        return [learning(config, group) for group in groups]

    def teacher_config(self, name: str, seed: int) -> TrainConfig:
        """A teacher, without protocol. It learns the tasks that some samples lack.

        Raises:
            ConfigError: A change names an unknown setting, or sets an impossible value.
        """
        recipe, design = self.teacher or self.student, self.teachers[name]
        told = replace(design, network={"inputs": list(design.inputs), **design.network})
        config, names = self._changed("teacher", seed, recipe, told, f"teachers.{name}")
        return learning(config, names if "names" in design.tasks else self.lacking)

    def _changed(
        self, role: Role, seed: int, recipe: Recipe, changes: Changes, where: str
    ) -> tuple[TrainConfig, Sequence[str]]:
        """A recipe with changes, as it is for all tasks; and the tasks that are to be learned."""
        fields = changes.fields
        names = fields["tasks"].get("names", list(self.tasks.names))
        fields["tasks"] = {k: v for k, v in fields["tasks"].items() if k != "names"}
        base = self._base(role, seed, recipe)
        return parse_config(TrainConfig, merged(base, fields), where), names

    @property
    def lacking(self) -> tuple[str, ...]:
        """Tasks that some samples have no labels of."""
        fractions = self.data.protocol.fractions if self.data.protocol else {}
        swept = {self.sweep.task} if self.sweep else set()
        short = {task for task, share in fractions.items() if share < 1} | swept
        return tuple(t for t in self.tasks.names if t in short) if short else self.tasks.names

    def _base(self, role: Role, seed: int, recipe: Recipe) -> Fields:
        return train_fields(role, seed, self.tasks, self.network, self.data, recipe)


def learning(config: TrainConfig, tasks: Sequence[str]) -> TrainConfig:
    """The same training with these of its tasks alone, and their weights."""
    weights = config.losses.task_weights
    kept = {task: weights[task] for task in tasks if task in weights}
    return replace(
        config,
        tasks=replace(config.tasks, names=tuple(tasks)),
        losses=replace(config.losses, task_weights=kept),
    )


def train_fields(
    role: Role, seed: int, tasks: TaskConfig, size: Size, data: StudyData, recipe: Recipe
) -> Fields:
    """A `TrainConfig` as plain types, from what the networks of a study share."""
    return {
        "name": role,
        "seed": seed,
        "tasks": config_fields(tasks),
        "network": {"role": role, **config_fields(size)},
        "data": [config_fields(data.train)],
        **config_fields(recipe),
    }


def merged(base: Mapping[str, Any], changes: Mapping[str, Mapping[str, Any]]) -> Fields:
    """Tables with some of their entries replaced."""
    return {**base, **{table: {**base[table], **entries} for table, entries in changes.items()}}


def check_plain(what: str, data: DataConfig) -> None:
    """Refuse data that say which of their labels are kept, or where pseudo-labels are."""
    if data.protocol or data.pseudo:
        raise ConfigError(f"{what}: protocol and pseudo are made by the experiment itself")


def check_seeds(seeds: tuple[int, ...]) -> None:
    """Refuse no seeds, and the same one twice."""
    if not seeds or len(set(seeds)) != len(seeds):
        raise ConfigError(f"seeds: one or more different ones expected, got {seeds}")


def check_known(what: str, names: Mapping[str, Any] | set[str], known: Mapping[str, Any]) -> None:
    """Refuse names that are not among the known ones, with a `ConfigError` that lists those."""
    if unknown := sorted(set(names) - known.keys()):
        raise ConfigError(f"{what}: unknown {unknown}, known: {', '.join(known) or 'none'}")
