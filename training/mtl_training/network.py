"""The network that a configuration means."""

from __future__ import annotations

from collections.abc import Sequence

from mtl_training.config import IMAGE, TrainConfig
from mtl_training.errors import ConfigError
from mtl_training.networks.student import Student
from mtl_training.networks.teacher import Teacher
from mtl_training.tasks.base import SignalEncoder, Task
from mtl_training.tasks.registry import build_tasks

Network = Student | Teacher


def input_tasks(config: TrainConfig) -> list[Task]:
    """Tasks whose signals a teacher takes; none for a student and for the RGB-only control."""
    names = [name for name in config.network.inputs if name != IMAGE]
    if names and IMAGE in config.network.inputs:
        raise ConfigError(f"inputs: {IMAGE} is the control and stands alone, got {names} beside it")
    return build_tasks(config.tasks, names) if names else []


def allowed_signals(task: Task, inputs: Sequence[Task]) -> list[str]:
    """Names of the signals that a task's prediction may see: those of another origin."""
    return [encoder_of(other).input_name for other in inputs if other.origin != task.origin]


def encoder_of(task: Task) -> SignalEncoder:
    """A new encoder of a task's signal.

    Raises:
        ConfigError: The task is never an input.
    """
    encoder = task.encoder()
    if encoder is None:
        raise ConfigError(f"task {task.name} cannot be an input of a teacher")
    return encoder


def build_network(config: TrainConfig, tasks: Sequence[Task]) -> Network:
    """A network with a head per task and random weights.

    Raises:
        ConfigError: An input is unknown, or stands beside the control's.
    """
    outputs = {task.name: task.channels for task in tasks}
    if config.network.role == "student":
        return Student(outputs)
    inputs = input_tasks(config)
    encoders = [encoder_of(task) for task in inputs]
    return Teacher(
        outputs,
        signals={encoder.input_name: encoder for encoder in encoders},
        allowed={task.name: allowed_signals(task, inputs) for task in tasks},
    )
