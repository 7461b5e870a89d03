"""A trained student as one ONNX file with its model card inside."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from mtl_core.card import METADATA_KEY, InputSpec, ModelCard
from mtl_core.predictor import INPUT, OUTPUTS
from mtl_training.networks.student import Student
from mtl_training.tasks.base import Task

OPSET = 20


class Exported(nn.Module):
    """The network that a robot runs: heads decoded by their tasks, outputs in a fixed order."""

    def __init__(self, student: Student, tasks: list[Task]) -> None:
        """Wrap a student; it should be in evaluation mode."""
        super().__init__()
        self.student = student
        self.tasks = tasks

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) float32 to the outputs that `mtl_core.predictor.OUTPUTS` names."""
        raw = self.student(image)
        found: dict[str, Tensor] = {}
        for task in self.tasks:
            found.update(task.outputs(raw[task.name]))
        return tuple(found[name] for name in OUTPUTS)


def export(network: Exported, spec: InputSpec, path: Path) -> None:
    """Write the network as ONNX, batch size free, height and width fixed; no card yet."""
    network.eval()
    # An example batch of 2: the exporter would take a 1 for a constant.
    example = torch.zeros(2, 3, spec.height, spec.width)
    with warnings.catch_warnings():
        # The exporter warns about its own internals (deprecated tree registrations).
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (example,),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    # `program.model_proto` still holds the exporter's notes, which name paths of this machine.
    model = program.model_proto
    _strip_notes(model)
    path.write_bytes(model.SerializeToString())


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
    temporary = path.with_suffix(".part")
    onnx.save(model, temporary)
    temporary.replace(path)
