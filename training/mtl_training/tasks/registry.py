"""The tasks there are, by name; another one is registered with one line, nothing else changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mtl_core.card import DepthSpec
from mtl_core.labels import LabelMap
from mtl_training.errors import ConfigError
from mtl_training.settings import Settings
from mtl_training.tasks.base import Task
from mtl_training.tasks.depth import Depth
from mtl_training.tasks.inverse_depth import InverseDepth
from mtl_training.tasks.normals import Normals
from mtl_training.tasks.segmentation import Segmentation


@dataclass(frozen=True)
class TaskConfig(Settings):
    """What the tasks of one model are, and how they are learned.

    Attributes:
        names: Keys of `TASKS`.
        label_map: Of the segmentation.
        canonical_fx: Focal length, pixels at the network's width, at which depth is learned.
        min_depth_m: Least depth that the network can say, metres.
        max_depth_m: Largest depth likewise.
        depth_loss: Key of `tasks.depth.LOSSES`.
        depth_gradient: Weight of gradient matching beside it.
    """

    names: tuple[str, ...]
    label_map: str
    canonical_fx: float
    min_depth_m: float
    max_depth_m: float
    depth_loss: str = "laplace"
    depth_gradient: float = 0.0

    def __post_init__(self) -> None:
        """Refuse unknown and repeated tasks."""
        check_names(self.names)
        if not self.names or len(set(self.names)) != len(self.names):
            raise ConfigError(f"tasks: one or more different names expected, got {self.names}")

    @property
    def depth(self) -> DepthSpec:
        """Range and focal length of depth."""
        return DepthSpec(self.min_depth_m, self.max_depth_m, self.canonical_fx)


TASKS: dict[str, Callable[[TaskConfig], Task]] = {
    "segmentation": lambda config: Segmentation(LabelMap.load(config.label_map)),
    "depth": lambda config: Depth(config.depth, config.depth_loss, config.depth_gradient),
    "normals": lambda _: Normals(),
    "inverse_depth": lambda _: InverseDepth(),
}


def build_tasks(config: TaskConfig, names: Sequence[str] = ()) -> list[Task]:
    """The configuration's tasks, or others of the same settings.

    Raises:
        ConfigError: A name is not registered.
    """
    wanted = names or config.names
    check_names(wanted)
    return [TASKS[name](config) for name in wanted]


def check_names(names: Sequence[str]) -> None:
    """Refuse names that are not registered, with a `ConfigError` that lists those that are."""
    if unknown := [name for name in names if name not in TASKS]:
        raise ConfigError(f"unknown tasks {unknown}, known: {', '.join(TASKS)}")
