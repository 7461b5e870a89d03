"""Trained networks to run: a checkpoint in torch, or an ONNX file, alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mtl_core.interface import IMAGE, Port
from mtl_core.model import Array, Model, OnnxModel, with_empty
from mtl_training.cards import card_of
from mtl_training.export import Exported
from mtl_training.learning.checkpoint import Trained, load_into, load_trained
from mtl_training.network import build_network
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
    """

    def __init__(self, trained: Trained, device: str = "cpu") -> None:
        self._device = torch.device(device)
        self.network = load_network(trained).to(self._device)
        self.path = trained.path
        spec = trained.config.network.spec
        self.signals = {
            name: Port(
                (encoder.values, spec.height, spec.width), str(encoder.dtype).removeprefix("torch.")
            )
            for name, encoder in self.network.signals.items()
        }
        self.outputs = self.network.names
        self.card = card_of(trained, {*self.signals, *self.outputs})
        self.provider = f"torch on {self._device}"

    def run(self, inputs: Mapping[str, Array]) -> dict[str, npt.NDArray[np.float32]]:
        """See `Model.run`."""
        feed = with_empty(self.signals, inputs)
        tensors = [torch.from_numpy(feed[name]).to(self._device) for name in (IMAGE, *self.signals)]
        with torch.inference_mode():
            values = self.network(*tensors)
        return {n: v.cpu().numpy() for n, v in zip(self.outputs, values, strict=True)}


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
