"""Which tasks a configuration trains, and the network for them."""

from __future__ import annotations

from mtl_core.card import DepthSpec, InputSpec
from mtl_core.labels import LabelMap
from mtl_training.config import StudentConfig
from mtl_training.networks.efficientnet_lite import MEAN, STD
from mtl_training.networks.student import Student
from mtl_training.tasks.base import Task
from mtl_training.tasks.depth import Depth
from mtl_training.tasks.segmentation import Segmentation

LABEL_MAP = "nyu13"


def input_spec(config: StudentConfig) -> InputSpec:
    """The network's input, as its card will say it."""
    return InputSpec(config.height, config.width, MEAN, STD)


def depth_spec(config: StudentConfig) -> DepthSpec:
    """The range and focal length of its depth, as its card will say them."""
    return DepthSpec(config.min_depth_m, config.max_depth_m, config.canonical_fx)


def build_tasks(config: StudentConfig) -> list[Task]:
    """Segmentation and depth."""
    return [Segmentation(LabelMap.load(LABEL_MAP)), Depth(depth_spec(config))]


def build_student(tasks: list[Task]) -> Student:
    """A student with one head per task and random weights."""
    return Student({task.name: task.channels for task in tasks})
