"""Trained networks to run: a checkpoint in torch, or an ONNX file, alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mtl_core.card import InputSpec
from mtl_core.interface import IMAGE, Port
from mtl_core.model import Array, Model, OnnxModel, with_empty
from mtl_training.cards import card_of
from mtl_training.config import TrainConfig
from mtl_training.errors import ExportError
from mtl_training.export import Exported
from mtl_training.learning.checkpoint import Trained, load_into, load_trained
from mtl_training.network import build_network, encoder_of, input_tasks
from mtl_training.tasks.base import SignalEncoder
from mtl_training.tasks.registry import build_tasks


def load_network(trained: Trained) -> Exported:
    """A trained network as it will be exported, in evaluation mode.

    Raises:
        CheckpointError: The weights are those of another architecture.
    """
    config = trained.config
    tasks = build_tasks(config.tasks)
    network = build_network(config, tasks)
    load_into(network, trained.weights, str(trained.path))
    teaches = config.network.role == "teacher"
    return Exported(network.eval(), tasks, trained.temperatures, confidences=teaches)


class TorchModel:
    """A trained network in torch; a `mtl_core.model.Model`.

    Args:
        trained: Configuration, weights and temperatures.
        device: Where it runs.

    Raises:
        CheckpointError: The weights are those of another architecture.
        ExportError: A signal says "nothing known" otherwise than `mtl_core.interface` does.
    """

    def __init__(self, trained: Trained, device: str = "cpu") -> None:
        self._device = torch.device(device)
        self.network = load_network(trained).to(self._device)
        self.path = trained.path
        spec = trained.config.network.spec
        self.signals = {
            name: _port(name, encoder, spec) for name, encoder in self.network.signals.items()
        }
        self.outputs = self.network.names
        names = {*self.signals, *self.outputs}
        self.card = card_of(trained, names, _powers(trained.config))
        self.provider = f"torch on {self._device}"

    def run(self, inputs: Mapping[str, Array]) -> dict[str, npt.NDArray[np.float32]]:
        """See `Model.run`."""
        feed = with_empty(self.signals, inputs)
        tensors = [torch.from_numpy(feed[name]).to(self._device) for name in (IMAGE, *self.signals)]
        with torch.inference_mode():
            values = self.network(*tensors)
        return {n: v.cpu().numpy() for n, v in zip(self.outputs, values, strict=True)}


def _port(name: str, encoder: SignalEncoder, spec: InputSpec) -> Port:
    """What a signal is for everyone who runs the network."""
    dtype = str(encoder.dtype).removeprefix("torch.")
    port = Port((encoder.values, spec.height, spec.width), dtype)
    if encoder.none != port.none:
        raise ExportError(
            f"input {name}: {port.none} means that nothing is known, as of all inputs of {dtype}, "
            f"its encoder has {encoder.none}"
        )
    return port


def _powers(config: TrainConfig) -> dict[str, int]:
    """How what goes in and comes out follows the focal length, by name; see `ModelCard.power`."""
    inputs = {encoder_of(task).input_name: task.power for task in input_tasks(config)}
    outputs = {task.name: task.power for task in build_tasks(config.tasks)}
    return {name: power for name, power in {**inputs, **outputs}.items() if power}


def open_model(path: Path, device: str = "cpu") -> Model:
    """A trained network.

    Args:
        path: An `.onnx` file, a `weights.safetensors`, or the folder of a finished run.
        device: Where torch runs it; ONNX Runtime takes what is installed.

    Raises:
        ModelError: The ONNX file is missing or does not do what its card says.
        CheckpointError: The weights are missing, damaged or of another architecture.
    """
    if path.suffix == ".onnx":
        return OnnxModel(path)
    return TorchModel(load_trained(path), device)
