"""What a configuration trains on: the sources it names, with their labels, in pools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mtl_core.labels import LabelMap
from mtl_training.config import DataConfig, TrainConfig
from mtl_training.data.augment import Augmentation
from mtl_training.data.catalogue import View, check_same_classes, open_source
from mtl_training.data.loader import Views, labelled, pools
from mtl_training.data.protocols import Assignment, limit
from mtl_training.data.source import SampleSource
from mtl_training.errors import ConfigError
from mtl_training.learning.learner import task_balance
from mtl_training.network import input_tasks
from mtl_training.pseudo.store import Filtered, WithPseudo
from mtl_training.tasks.base import Task
from mtl_training.tasks.registry import build_tasks


@dataclass(frozen=True)
class Material:
    """Data, ready to be drawn from.

    Attributes:
        views: All samples.
        pools: Indices by pool, see `data.loader.pools`.
        tasks: Those whose labels are loaded: what is learned and what is an input.
        learned: Those that are learned, with class weights where they follow from the data.
        balance: Factor of each task's loss against truth.
    """

    views: Views
    pools: list[list[int]]
    tasks: dict[str, Task]
    learned: list[Task]
    balance: Mapping[str, float]


def gather(config: TrainConfig) -> Material:
    """Open everything that a configuration names.

    Raises:
        ConfigError: There are fewer samples than a batch holds, or a source has another label map.
        DatasetError: Data are absent.
    """
    learned = build_tasks(config.tasks)
    tasks = {task.name: task for task in [*input_tasks(config), *learned]}
    sources = [open_data(data, config, tasks) for data in config.data]
    if config.losses.class_weighting == "frequency":
        learned = [_weighted(task, sources) for task in learned]
    unlabelled = config.losses.consistency > 0
    drawn = pools(sources, config.tasks.names, config.schedule.balanced, unlabelled)
    count = sum(map(len, drawn))
    if count < config.schedule.batch_size:
        raise ConfigError(
            f"{count} samples with labels do not fill a batch of {config.schedule.batch_size}"
        )
    shares = {name: len(labelled(sources, name)) / count for name in config.tasks.names}
    augment = Augmentation(
        tasks,
        config.network.spec,
        config.tasks.canonical_fx,
        config.schedule.crop,
        config.schedule.max_zoom,
        degrade=config.schedule.degrade,
        wide=config.schedule.wide,
    )
    return Material(
        views=Views(sources, augment, config.seed),
        pools=drawn,
        tasks=tasks,
        learned=learned,
        balance=task_balance(config.losses, shares),
    )


def open_data(data: DataConfig, config: TrainConfig, tasks: Mapping[str, Task]) -> SampleSource:
    """One source, with the labels that its protocol leaves and the pseudo-labels that it names."""
    view = View(config.network.height, config.network.width, config.tasks.canonical_fx)
    source = open_source(data, view, config.seed)
    check_label_map(source, config)
    if data.protocol:
        source = limit(
            source, Assignment.load(Path(data.protocol)), config.network.role == "student"
        )
    learned = list(tasks.values())
    if data.pseudo:
        return WithPseudo(source, Path(data.pseudo), learned, config.losses, data)
    return Filtered(source, learned, config.losses)


def check_label_map(source: SampleSource, config: TrainConfig) -> None:
    """Refuse a source whose classes are not those that the model learns or is given."""
    names = {*config.tasks.names, *config.network.inputs}
    check_same_classes(LabelMap.load(config.tasks.label_map), source, names)


def _weighted(task: Task, sources: Sequence[SampleSource]) -> Task:
    """The task with its classes weighed by their frequency in the true labels."""
    shares = [found for source in sources for found in _class_shares(task, source)]
    return task.weighted(class_weights(np.sum(shares, axis=0))) if shares else task


def _class_shares(task: Task, source: SampleSource) -> Iterator[npt.NDArray[np.float64]]:
    """Of each image with truth, (classes,): shares of it, since all are trained on at one size."""
    for index in source.labelled(task.name):
        labels = source.sample(index).truth[task.name]
        counts = task.counts(labels)
        if counts is not None:
            yield counts / labels.size


def class_weights(amounts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Root of the median amount over a class's own, between 0.3 and 3; 1 for a class unseen."""
    seen = amounts > 0
    middle = np.median(amounts[seen]) if seen.any() else 1.0
    weights: npt.NDArray[np.float64] = np.sqrt(middle / np.where(seen, amounts, middle))
    return np.clip(weights, 0.3, 3.0)
