"""Inputs and outputs of our networks: what their names mean, and whether they fit a card.

All are (N, C, rows, columns) with a free N. Inputs have the card's input size; outputs lie on a
grid of stride 4. An output named `a_b` belongs to the output `a`: the name of a task is that of its
main output.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mtl_core.card import CLASSES, InputSpec, ModelCard
from mtl_core.errors import ModelError
from mtl_core.labels import UNLABELLED

IMAGE = "image"
"""The input that every network has: 3 channels, float32, see `InputSpec`."""

SEGMENTATION = "segmentation"
"""Output: logits, one channel per class of the card's label map."""

DEPTH = "depth"
"""Output, and a teacher's input: metres along Z at the canonical focal length; input 0 = none."""

CONFIDENCE = "_confidence"
"""Ending of the outputs that say with which probability a task's answer is right."""

LOG_SCALE = "_log_scale"
"""Ending of the outputs that say how uncertain a task's answer is: the logarithm of the scale of a
Laplace distribution; of depth, in log depth."""

PREDICTED = "predicted_"
"""In a file, beginning of an output's name where an input bears that name: ONNX allows it once."""

STRIDE = 4

FLOAT, IDS = "float32", "uint8"

_SIGNALS: dict[str, tuple[int, str]] = {
    "depth": (1, FLOAT),
    "labels": (1, IDS),
    "normals": (3, FLOAT),
}
_CHANNELS = {"depth": 1, "normals": 3}
_ENDINGS = (CONFIDENCE, LOG_SCALE)


@dataclass(frozen=True)
class Port:
    """One input or output.

    Attributes:
        shape: (C, rows, columns); anything else is refused by `check`.
        dtype: Of its values, as numpy names it.
    """

    shape: tuple[Any, ...]
    dtype: str

    def __str__(self) -> str:
        """The shape; the type where it is not the usual one."""
        sides = " x ".join(map(str, ("N", *self.shape)))
        return sides if self.dtype == FLOAT else f"{sides} {self.dtype}"

    @property
    def none(self) -> int:
        """As a teacher's input beside the image: the value that says "nothing known here"."""
        return UNLABELLED if self.dtype == IDS else 0

    def empty(self, n: int = 1) -> npt.NDArray[Any]:
        """As such an input: (n, C, rows, columns) that says nothing."""
        return np.full((n, *self.shape), self.none, self.dtype)


def name_in_file(output: str, inputs: Iterable[str]) -> str:
    """How an output is called in an ONNX file that has these inputs."""
    return f"{PREDICTED}{output}" if output in inputs else output


def name_of_output(in_file: str) -> str:
    """The output that an ONNX file calls so."""
    return in_file.removeprefix(PREDICTED)


def main_outputs(names: Iterable[str]) -> list[str]:
    """The outputs that bear a task's name."""
    names = list(names)
    return [name for name in names if not any(name.startswith(f"{other}_") for other in names)]


def check(card: ModelCard, inputs: Mapping[str, Port], outputs: Mapping[str, Port]) -> None:
    """Hold a network to its card.

    Raises:
        ModelError: They contradict each other; it says what was expected and what there is.
    """
    _check_inputs(card, inputs)
    _check_outputs(card, outputs)
    _check_meaning(card, {*inputs, *outputs})
    if card.role == "teacher":
        _check_confidences(outputs)


def _listed(ports: Mapping[str, Port]) -> str:
    return "; ".join(f"{name} {port}" for name, port in ports.items()) or "none"


def _check_inputs(card: ModelCard, inputs: Mapping[str, Port]) -> None:
    size = (card.input.height, card.input.width)
    image = Port((3, *size), FLOAT)
    if inputs.get(IMAGE) != image:
        raise ModelError(f"card says input {IMAGE} {image}, file has {_listed(inputs)}")
    signals = {name: port for name, port in inputs.items() if name != IMAGE}
    if signals and card.role == "student":
        raise ModelError(f"card says student, expected input {IMAGE} alone, got {_listed(inputs)}")
    for name, port in signals.items():
        if port not in (allowed := _signal_ports(name, port, size)):
            expected = " or ".join(map(str, allowed))
            raise ModelError(f"expected input {name} {expected}, file has {port}")


def _signal_ports(name: str, port: Port, size: tuple[int, int]) -> list[Port]:
    """What an input beside the image may be; of one that is not known, the channels are free."""
    if name in _SIGNALS:
        channels, dtype = _SIGNALS[name]
        return [Port((channels, *size), dtype)]
    return [Port((*port.shape[:1], *size), dtype) for dtype in (FLOAT, IDS)]


def _channels(name: str, card: ModelCard, port: Port) -> Any:
    """How many an output must have; of one that is not known, whatever it has."""
    if name == SEGMENTATION and card.label_map:
        return len(card.label_map)
    ending = next((ending for ending in _ENDINGS if name.endswith(ending)), None)
    return 1 if ending else _CHANNELS.get(name, port.shape[0] if port.shape else 1)


def grid(spec: InputSpec) -> tuple[int, int]:
    """Rows and columns of all outputs."""
    return spec.height // STRIDE, spec.width // STRIDE


def _check_outputs(card: ModelCard, outputs: Mapping[str, Port]) -> None:
    if not outputs:
        raise ModelError("expected one output or more, file has none")
    for name, port in outputs.items():
        expected = Port((_channels(name, card, port), *grid(card.input)), FLOAT)
        if port != expected:
            raise ModelError(f"card says output {name} {expected}, file has {port}")


def _check_meaning(card: ModelCard, names: set[str]) -> None:
    for field, value, needed_by in (
        ("label map", card.label_map, CLASSES),
        ("depth", card.depth, card.power.keys()),
    ):
        if (value is not None) != bool(names & needed_by):
            raise ModelError(
                f"card has {'no' if value is None else 'a'} {field}, which goes with an input or "
                f"output {' or '.join(sorted(needed_by))}, file has {', '.join(sorted(names))}"
            )


def _check_confidences(outputs: Mapping[str, Port]) -> None:
    missing = [f"{name}{CONFIDENCE}" for name in main_outputs(outputs)]
    if missing := [name for name in missing if name not in outputs]:
        raise ModelError(
            f"card says teacher, expected outputs {', '.join(missing)}, file has {_listed(outputs)}"
        )
