"""A trained network as one ONNX file, with a place for its model card inside."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from mtl_core.card import METADATA_KEY, InputSpec, ModelCard
from mtl_core.interface import CONFIDENCE, IMAGE, name_in_file
from mtl_training.files import atomic
from mtl_training.network import Network
from mtl_training.tasks.base import SignalEncoder, Task

OPSET = 20


class Exported(nn.Module):
    """What is run of a network: heads decoded by their tasks, outputs in a fixed order.

    Args:
        network: In evaluation mode.
        tasks: Those of its heads.
        temperatures: By task, which its uncertainty is scaled with; none for a task = as it is.
        confidences: Whether each task's confidence is an output too, as it is of teachers.

    Attributes:
        signals: Encoders of the inputs beside the image, by name.
        names: Of the outputs.
    """

    def __init__(
        self,
        network: Network,
        tasks: Sequence[Task],
        temperatures: Mapping[str, float] | None = None,
        confidences: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self._tasks, self._temperatures = tuple(tasks), dict(temperatures or {})
        self._confidences = confidences
        self.signals: Mapping[str, SignalEncoder] = dict(network.signals.items())  # type: ignore[arg-type]
        self.names = tuple(self._decoded({t.name: torch.zeros(1, t.channels, 1, 1) for t in tasks}))

    def forward(self, image: Tensor, *signals: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) float32 and a tensor for each of `signals` to the outputs of `names`."""
        raw = self.network(image, dict(zip(self.signals, signals, strict=True)))
        return tuple(self._decoded(raw).values())

    def _decoded(self, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for task in self._tasks:
            found |= self._decoded_by(task, raw[task.name])
        return found

    def _decoded_by(self, task: Task, raw: Tensor) -> dict[str, Tensor]:
        outputs = task.outputs(raw)
        if task.name in self._temperatures:
            outputs = task.tempered(outputs, self._temperatures[task.name])
        if self._confidences:
            outputs = {**outputs, f"{task.name}{CONFIDENCE}": task.confidence(outputs)}
        return outputs


def export(network: Exported, spec: InputSpec, path: Path) -> None:
    """Write the network as ONNX, batch size free, height and width fixed; no card yet."""
    network = _simplified(network).eval()
    # An example batch of 2: the exporter would take a 1 for a constant.
    image = torch.zeros(2, 3, spec.height, spec.width)
    empty = [encoder.empty(2, spec.height, spec.width) for encoder in network.signals.values()]
    inputs = [IMAGE, *network.signals]
    batch = torch.export.Dim("batch")
    shapes: dict[str, Any] = {"image": {0: batch}}
    if empty:
        shapes["signals"] = tuple({0: batch} for _ in empty)
    with warnings.catch_warnings():
        # The exporter warns about its own internals (deprecated tree registrations).
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (image, *empty),
            input_names=inputs,
            output_names=[name_in_file(name, inputs) for name in network.names],
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    # `program.model_proto` still holds the exporter's notes, which name paths of this machine.
    model = program.model_proto
    _strip_notes(model)
    with atomic(path) as part:
        part.write_bytes(model.SerializeToString())


class _Clip(nn.Module):
    """ReLU6 as one operation, which the exporter need not take apart: two thirds of its time."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.clamp(x, 0.0, 6.0)


def _simplified(network: Exported) -> Exported:
    """A copy that computes the same."""
    copied = copy.deepcopy(network)
    for module in list(copied.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU6):
                setattr(module, name, _Clip())
    return copied


def _strip_notes(model: onnx.ModelProto) -> None:
    model.graph.ClearField("doc_string")
    model.graph.ClearField("metadata_props")
    for node in model.graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
        value.ClearField("metadata_props")


def write_card(path: Path, card: ModelCard) -> None:
    """Put a card into an ONNX file, in place of the one that it has."""
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    with atomic(path) as part:
        onnx.save(model, part)
