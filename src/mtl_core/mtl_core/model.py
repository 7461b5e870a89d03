"""Running a bare network: the protocol, and ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

# A robot reports to nobody; the library reads this when it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime as ort

from mtl_core import interface
from mtl_core.card import METADATA_KEY, ModelCard
from mtl_core.errors import ModelCardError, ModelError
from mtl_core.interface import FLOAT, IDS, IMAGE, Port

PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""What is used where it is installed, in this order; others build engines or call out."""

_DTYPES = {"tensor(float)": FLOAT, "tensor(uint8)": IDS}

Array = npt.NDArray[Any]


class Model(Protocol):
    """A trained network, whatever runs it: arrays in, arrays out; see `interface`."""

    @property
    def card(self) -> ModelCard:
        """What this network is."""

    @property
    def provider(self) -> str:
        """What runs it."""

    @property
    def signals(self) -> Mapping[str, Port]:
        """The inputs beside the image; none of a student."""

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the outputs."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, npt.NDArray[np.float32]]:
        """Run the network.

        Args:
            inputs: (N, C, rows, columns) by name: the image, and any of the signals; one that is
                missing is empty.

        Returns:
            (N, C, rows / 4, columns / 4) float32 by output.

        Raises:
            ModelError: There is no such input, the image is missing, or a shape is wrong.
        """


def with_empty(signals: Mapping[str, Port], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The inputs, and an empty one for each signal that is missing.

    Raises:
        ModelError: There is no such input, or the image is missing.
    """
    if IMAGE not in inputs:
        raise ModelError(f"expected an input {IMAGE}, got {', '.join(inputs) or 'none'}")
    if unknown := sorted(inputs.keys() - signals.keys() - {IMAGE}):
        raise ModelError(
            f"no input {', '.join(unknown)}, this model takes {', '.join((IMAGE, *signals))}"
        )
    missing = signals.keys() - inputs.keys()
    return {**inputs, **{name: signals[name].empty(len(inputs[IMAGE])) for name in missing}}


class OnnxModel:
    """A network on ONNX Runtime.

    Args:
        path: An ONNX file that carries a model card.
        threads: Threads of one inference, 0 = as many as cores.
        providers: Execution providers in order of preference; None = those of `PROVIDERS` that
            are installed.

    Raises:
        ModelError: The file is missing, not ONNX, or does not do what its card says.
        ModelCardError: The card is missing or of another kind.
    """

    def __init__(
        self, path: Path | str, threads: int = 0, providers: list[str] | None = None
    ) -> None:
        """Load and check the model; the first inference still has to warm up."""
        self.path = Path(path)
        installed = ort.get_available_providers()
        wanted = providers or [name for name in PROVIDERS if name in installed]
        self._session = _open(self.path, threads, wanted)
        self.card = _read_card(self.path, self._session)
        inputs, outputs = _ports(self._session.get_inputs()), _ports(self._session.get_outputs())
        self._names = list(outputs)
        named = {interface.name_of_output(name): port for name, port in outputs.items()}
        try:
            interface.check(self.card, inputs, named)
        except ModelError as err:
            raise ModelError(f"{self.path}: {err}") from err
        self.signals = {name: port for name, port in inputs.items() if name != IMAGE}
        self.outputs = tuple(named)

    @property
    def provider(self) -> str:
        """The execution provider that ONNX Runtime really uses first."""
        return str(self._session.get_providers()[0])

    def run(self, inputs: Mapping[str, Array]) -> dict[str, npt.NDArray[np.float32]]:
        """See `Model.run`."""
        feed = with_empty(self.signals, inputs)
        try:
            values = self._session.run(self._names, feed)
        except Exception as err:  # ONNX Runtime's errors share no root but Exception.
            raise ModelError(f"{self.path}: ONNX Runtime says: {err}") from err
        return dict(zip(self.outputs, values, strict=True))


def _open(path: Path, threads: int, providers: list[str]) -> ort.InferenceSession:
    if not path.is_file():
        raise ModelError(f"{path}: no such model file")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    # A spinning pool burns a core between frames and doubles the latency beside a busy neighbour.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(path), options, providers=providers)
    except Exception as err:  # ONNX Runtime's errors share no root but Exception.
        raise ModelError(f"{path}: expected an ONNX model, ONNX Runtime says: {err}") from err


def _read_card(path: Path, session: ort.InferenceSession) -> ModelCard:
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in metadata:
        raise ModelCardError(
            f"{path}: no model card, expected metadata {METADATA_KEY!r}, "
            f"got {sorted(metadata) or 'none'}; it was not exported by this project"
        )
    try:
        return ModelCard.from_json(metadata[METADATA_KEY])
    except ModelCardError as err:
        raise ModelCardError(f"{path}: {err}") from err


def _ports(values: Sequence[ort.NodeArg]) -> dict[str, Port]:
    return {v.name: Port(tuple(v.shape[1:]), _DTYPES.get(v.type, v.type)) for v in values}
