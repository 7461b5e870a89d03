"""What a run leaves on disk, as safetensors: no pickle, no half-written file under a final name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mtl_training.config import TrainConfig
from mtl_training.errors import CheckpointError
from mtl_training.files import atomic
from mtl_training.settings import parse_config

WEIGHTS = "weights.safetensors"
CHECKPOINT = "checkpoint.safetensors"
RECORD = "run.json"
TEMPERATURES = "temperatures.json"


def save(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Write tensors and notes (as JSON in the file's metadata).

    Raises:
        OutputError: The disk is full, or the folder cannot be written.
    """
    plain = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    with atomic(path) as part:
        try:
            save_file(plain, part, metadata={k: json.dumps(v) for k, v in notes.items()})
        except SafetensorError as err:  # as which its library reports a full disk
            raise OSError(str(err)) from err


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save` wrote.

    Raises:
        CheckpointError: The file is missing, damaged or not ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            notes = {k: json.loads(v) for k, v in (file.metadata() or {}).items()}
            return {name: file.get_tensor(name) for name in file.keys()}, notes  # noqa: SIM118
    except (OSError, SafetensorError, json.JSONDecodeError) as err:
        raise CheckpointError(f"{path}: expected safetensors of this project: {err}") from err


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Give a module the tensors of exactly its names and shapes.

    Raises:
        CheckpointError: They are those of another architecture; `where` stands before it.
    """
    expected = {name: tuple(t.shape) for name, t in module.state_dict().items()}
    got = {name: tuple(t.shape) for name, t in tensors.items()}
    names = expected.keys() | got.keys()
    if different := sorted(name for name in names if expected.get(name) != got.get(name)):
        name = different[0]
        raise CheckpointError(
            f"{where}: of another architecture: {len(different)} tensors differ, "
            f"such as {name}: expected {expected.get(name)}, got {got.get(name)}"
        )
    module.load_state_dict(dict(tensors))


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with a prefix to their names."""
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def unprefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names have that prefix, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state by parameter number and name."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{name}": value for i, entry in state.items() for name, value in entry.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser the state that `optimizer_tensors` took."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


@dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes:
        record: The run's `run.json`: configuration, commit, environment and what it started from.
        weights: Averaged weights by name.
        temperatures: Of its confidences, by task; 1 where none is given.
        path: The file that the weights come from.
    """

    record: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    path: Path
    temperatures: Mapping[str, float] = field(default_factory=dict)

    @property
    def config(self) -> TrainConfig:
        """How it was trained."""
        return parse_config(TrainConfig, self.record["config"], str(self.path))


def load_trained(path: Path) -> Trained:
    """Read a trained network.

    Args:
        path: Its `weights.safetensors`, or the folder of a finished run.

    Raises:
        CheckpointError: There is none, it is damaged, or the run is not finished.
    """
    file = path / WEIGHTS if path.is_dir() else path
    if not file.is_file():
        raise CheckpointError(f"{path}: expected {WEIGHTS}, or the folder of a finished run")
    weights, notes = load(file)
    if "record" not in notes:
        raise CheckpointError(f"{file}: expected the record of a run in its metadata, got none")
    beside = file.parent / TEMPERATURES
    temperatures = read_record(beside) if beside.is_file() else {}
    if not all(isinstance(t, float) and t > 0 for t in temperatures.values()):
        raise CheckpointError(f"{beside}: numbers above 0 by task expected, got {temperatures}")
    return Trained(notes["record"], weights, file, temperatures)


def read_record(path: Path) -> dict[str, Any]:
    """Read a JSON object that a run has written.

    Raises:
        CheckpointError: It is missing or damaged.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as err:
        raise CheckpointError(f"{path}: expected JSON of a run: {err}") from err
    if not isinstance(record, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {record!r:.80}")
    return record
