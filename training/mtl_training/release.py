"""From a finished run to the file that ships: export, check, measure, write the card."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from mtl_core.card import InputSpec, ModelCard
from mtl_core.geometry import Intrinsics
from mtl_core.images import ColourImage
from mtl_core.interface import FLOAT, IMAGE, Port
from mtl_core.model import Array, Model, OnnxModel
from mtl_core.predictor import ModelPredictor, Preprocessor
from mtl_core.rooms import Frame, Room
from mtl_training.cards import as_metrics, temperatures_in, with_sibling
from mtl_training.config import DataConfig
from mtl_training.data.catalogue import open_source
from mtl_training.data.source import SampleSource
from mtl_training.errors import ConfigError, ExportError
from mtl_training.evaluate import evaluate, shared_tasks
from mtl_training.export import export, write_card
from mtl_training.files import atomic
from mtl_training.learning.checkpoint import load_trained
from mtl_training.models import TorchModel

TOLERANCE = 3e-4
"""How far torch and ONNX Runtime may differ. A network that is not trained says short vectors, and
these, brought to length 1 as normals, differ by up to 1.4e-4 on AVX512; trained ones by 1e-5."""

GOLDEN_SEED = 3


def release(run: Path, out: Path, data: DataConfig, sibling: Path | None = None) -> Path:
    """Export a finished run, measure the file and write the figures into its card.

    Args:
        run: The run's folder, or its `weights.safetensors`.
        out: Folder for the file, which is named after the configuration's `name`.
        data: What it is measured on; a teacher also with each of its inputs given.
        sibling: See `open_sibling`. Its temperatures are taken too, if the run has none.

    Returns:
        The file, which appears only when all of that has gone well.

    Raises:
        CheckpointError: The run is absent, unfinished or damaged.
        DatasetError: The data are absent.
        ConfigError: Its tasks or classes are not the model's, or the sibling is of another kind.
        ExportError: The file does not compute what the network computes.
        ModelError: The sibling is no ONNX file of ours.
    """
    trained, source = load_trained(run), open_source(data)
    model = TorchModel(trained)
    other = open_sibling(sibling, model, model.card)
    if other and not trained.temperatures:
        trained = replace(trained, temperatures=temperatures_in(other.card))
        model = TorchModel(trained)
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / f"{model.card.name}.onnx"
        export(model.network, model.card.input, path)
        write_card(path, replace(model.card, metrics=as_metrics(trained.temperatures)))
        check_agreement(model, OnnxModel(path))
        return publish(path, out, data, source, other)


def open_sibling(path: Path | None, model: Model, card: ModelCard) -> OnnxModel | None:
    """The network whose figures go into the card of one that has learned from all data.

    Args:
        path: An ONNX file made in the same way of less data, and measured on what it was not
            trained on; None = there is none.
        model: The other network, or the one that it is made of.
        card: What the other's card will be.

    Raises:
        ConfigError: It has another name, or differs in what goes in or comes out.
        ModelError: It is no ONNX file of ours.
    """
    if path is None:
        return None
    other = OnnxModel(path)
    expected, got = _interface(model, card), _interface(other, other.card)
    for what, value in expected.items():
        if got[what] != value:
            raise ConfigError(f"sibling {path}: {what} {value} expected, got {got[what]}")
    return other


def _interface(model: Model, card: ModelCard) -> dict[str, Any]:
    """What siblings have in common."""
    names = ("name", "role", "input", "label_map", "depth", "power")
    ports = {"inputs": dict(model.signals), "outputs": tuple(model.outputs)}
    return {name: getattr(card, name) for name in names} | ports


def publish(
    path: Path,
    out: Path,
    data: DataConfig,
    source: SampleSource,
    sibling: OnnxModel | None = None,
) -> Path:
    """Measure a file, write the figures into its card, and put it into a folder.

    Args:
        path: An ONNX file with a card, to which the figures are added.
        out: The folder.
        data: What it is measured on; a teacher also with each of its inputs given.
        source: The same, opened.
        sibling: See `open_sibling`.

    Returns:
        The file there.

    Raises:
        ConfigError: Its tasks or classes are not the model's.
    """
    model = OnnxModel(path)
    tasks = shared_tasks(model, source)
    prefix = "_".join(part for part in (data.source, data.split) if part).replace("-", "_")
    metrics = dict(model.card.metrics)
    for signals in ((), *((name,) for name in model.signals)):
        figures = evaluate(ModelPredictor(model), source, tasks, signals)
        metrics |= _metrics("_given_".join((prefix, *signals)), figures)
    card = replace(model.card, metrics=metrics)
    if sibling:
        card = with_sibling(card, sibling.card, sibling.sha256)
    write_card(path, card)
    target = out / path.name
    with atomic(target) as part:
        part.write_bytes(path.read_bytes())
    return target


def _metrics(prefix: str, figures: Mapping[str, Any]) -> dict[str, float]:
    numbers = {name: value for name, value in figures.items() if isinstance(value, int | float)}
    known = {name: round(value, 4) for name, value in numbers.items() if np.isfinite(value)}
    return {f"{prefix}_{name}": float(value) for name, value in known.items()}


def check_agreement(one: Model, other: Model) -> None:
    """Hold two models of one network to each other on a rendered room, with and without signals.

    Raises:
        ExportError: An output differs by more than `TOLERANCE`, absolute and relative.
    """
    inputs = golden_inputs(one)
    for given in ({IMAGE: inputs[IMAGE]}, inputs):
        expected, got = one.run(given), other.run(given)
        for name in expected:
            if not np.allclose(got[name], expected[name], atol=TOLERANCE, rtol=TOLERANCE):
                worst = float(np.abs(got[name] - expected[name]).max())
                raise ExportError(f"output {name} differs from torch's by {worst}, not {TOLERANCE}")


def golden_inputs(model: Model) -> dict[str, Array]:
    """A rendered room as a network's inputs, with all of its signals.

    A signal is what the room has by that name; one that no room has is noise, a quarter of it
    missing.
    """
    frame = _golden_frame(model.card.input)
    preprocess = Preprocessor(model.card.input)
    preprocess(ColourImage(frame.image, "rgb"))
    signals = {
        name: _as_input(vars(frame)[name]) if name in vars(frame) else _noise(name, port)
        for name, port in model.signals.items()
    }
    return {IMAGE: preprocess.tensor, **signals}


def _as_input(labels: npt.NDArray[Any]) -> Array:
    """Labels (H, W) or (H, W, C) as (1, C, H, W)."""
    planes = labels[..., None] if labels.ndim == 2 else labels
    return np.ascontiguousarray(planes.transpose(2, 0, 1)[None])


def _noise(name: str, port: Port) -> Array:
    """Numbers in 0..1 or, of ids, the first two, which every set of classes has."""
    rng = np.random.default_rng((GOLDEN_SEED, zlib.crc32(name.encode())))
    numbers = rng.random(port.shape) if port.dtype == FLOAT else rng.integers(0, 2, port.shape)
    missing = rng.random(port.shape[1:]) < 0.25
    return np.where(missing, port.none, numbers).astype(port.dtype)[None]


def _golden_frame(spec: InputSpec) -> Frame:
    focal, centre = 0.8 * spec.width, ((spec.width - 1) / 2, (spec.height - 1) / 2)
    room = Room.generate(GOLDEN_SEED)
    camera = Intrinsics(spec.width, spec.height, focal, focal, *centre)
    return room.render(room.camera_path(1)[0], camera)
