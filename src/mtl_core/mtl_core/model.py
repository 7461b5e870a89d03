"""Running a bare network: the protocol, and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from mtl_core import interface, providers
from mtl_core.card import METADATA_KEY, ModelCard
from mtl_core.errors import ModelCardError, ModelError
from mtl_core.interface import FLOAT, IDS, IMAGE, Port
from mtl_core.providers import DEFAULT, Runtime

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
        runtime: How to run it.

    Attributes:
        batches: Whether one inference may take several images.
        verdict: Which execution provider was asked for, which was got, and why where they differ.

    Raises:
        ModelError: The file is missing, not ONNX, or does not do what its card says; or a provider
            that is required cannot be had.
        ModelCardError: The card is missing or of another kind.
    """

    def __init__(self, path: Path | str, runtime: Runtime = DEFAULT) -> None:
        """Load and check the model; the first inference still has to warm up."""
        self.path = Path(path)
        if not self.path.is_file():
            raise ModelError(f"{self.path}: no such model file")
        tried = providers.candidates(runtime)
        self._session = _open(self.path, runtime, tried.names)
        self.verdict = providers.verdict(runtime, tried, self._session.get_providers())
        self.card = _read_card(self.path, self._session)
        inputs, outputs = _ports(self._session.get_inputs()), _ports(self._session.get_outputs())
        self.batches = not isinstance(self._session.get_inputs()[0].shape[0], int)
        self._names = list(outputs)
        named = {interface.name_of_output(name): port for name, port in outputs.items()}
        try:
            interface.check(self.card, inputs, named)
        except ModelError as err:
            raise ModelError(f"{self.path}: {err}") from err
        self.signals = {name: port for name, port in inputs.items() if name != IMAGE}
        self.outputs = tuple(named)

    @cached_property
    def sha256(self) -> str:
        """Of the file, in hexadecimal digits."""
        return sha256(self.path.read_bytes()).hexdigest()

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


def _open(path: Path, runtime: Runtime, names: Sequence[str]) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = runtime.threads
    # A spinning pool burns a core between frames and doubles the latency beside a busy neighbour.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        wanted = [(name, providers.options(name, runtime, path)) for name in names]
        session = ort.InferenceSession(str(path), options, providers=wanted)
    except ModelError:
        raise
    except Exception as err:  # ONNX Runtime's errors share no root but Exception.
        raise ModelError(f"{path}: expected an ONNX model, ONNX Runtime says: {err}") from err
    session.disable_fallback()  # to another provider in the middle of a run, without a word
    return session


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
