"""From a finished run to the file that ships: export, measure, write the card."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mtl_core.card import InputSpec, ModelCard
from mtl_core.geometry import Intrinsics
from mtl_core.images import ColourImage
from mtl_core.labels import LabelMap
from mtl_core.predictor import OUTPUTS, OnnxPredictor, Preprocessor
from mtl_core.rooms import Room
from mtl_training.config import StudentConfig
from mtl_training.data.nyuv2 import NYUv2
from mtl_training.engine import Finished, load_finished
from mtl_training.errors import ExportError
from mtl_training.evaluate import evaluate
from mtl_training.export import Exported, export, write_card
from mtl_training.model import LABEL_MAP, build_student, build_tasks, depth_spec, input_spec

LICENCE = (
    "Weights: research use only. They were trained on NYU Depth v2, whose images are offered for "
    "research and come without a licence for other use. Encoder initialised from "
    "EfficientNet-Lite0's ImageNet weights (Apache-2.0). The code is Apache-2.0."
)


TOLERANCE = 1e-4
"""How far torch and ONNX Runtime may differ."""

GOLDEN_SEED = 3


def load_network(finished: Finished) -> Exported:
    """The averaged student of a finished run, in evaluation mode."""
    tasks = build_tasks(finished.config)
    student = build_student(tasks)
    student.load_state_dict(finished.weights, strict=True)
    return Exported(student.eval(), tasks)


def release(folder: Path, out: Path, val_list: str) -> Path:
    """Export a finished run, measure the file on a NYUv2 list and write both into its card.

    Args:
        folder: Of the run.
        out: Folder for the file, which is named after the configuration's `name`.
        val_list: A file of `$MTL_DATA/nyuv2`.

    Returns:
        The file, which appears only when all of that has gone well.

    Raises:
        ResumeError: The run is absent or unfinished.
        DatasetError: The list is absent.
        ExportError: The file does not compute what the network computes.
    """
    finished, data = load_finished(folder), NYUv2(val_list)
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / f"{finished.config.name}.onnx"
        network, card = load_network(finished), _card(finished)
        export(network, card.input, path)
        write_card(path, card)
        predictor = OnnxPredictor(path)
        check_agreement(network, predictor)
        figures = evaluate(predictor, data)
        prefix = f"nyuv2_{Path(val_list).stem}"
        metrics = {f"{prefix}_{name}": round(value, 4) for name, value in figures.items()}
        write_card(path, replace(card, metrics=metrics))
        return Path(shutil.copy(path, out))


def _card(finished: Finished) -> ModelCard:
    config = finished.config
    return ModelCard(
        name=config.name,
        role="student",
        input=input_spec(config),
        label_map=LabelMap.load(LABEL_MAP),
        depth=depth_spec(config),
        data=_data(finished.record),
        licence=LICENCE,
        metrics={},
        commit=str(finished.record["commit"]),
    )


def check_agreement(network: Exported, predictor: OnnxPredictor) -> None:
    """Hold ONNX Runtime to torch on a rendered room.

    Raises:
        ExportError: An output differs by more than `TOLERANCE`, absolute and relative.
    """
    tensor = golden_input(predictor.card.input)
    with torch.no_grad():
        expected = network(torch.from_numpy(tensor))
    for name, ours, theirs in zip(OUTPUTS, predictor.run(tensor), expected, strict=True):
        if not np.allclose(ours, theirs.numpy(), atol=TOLERANCE, rtol=TOLERANCE):
            worst = float(np.abs(ours - theirs.numpy()).max())
            raise ExportError(f"output {name} differs from torch's by {worst}, not {TOLERANCE}")


def golden_input(spec: InputSpec) -> npt.NDArray[np.float32]:
    """A rendered room as network input (1, 3, height, width) float32."""
    focal, centre = 0.8 * spec.width, ((spec.width - 1) / 2, (spec.height - 1) / 2)
    room = Room.generate(GOLDEN_SEED)
    camera = Intrinsics(spec.width, spec.height, focal, focal, *centre)
    frame = room.render(room.camera_path(1)[0], camera)
    preprocess = Preprocessor(spec)
    preprocess(ColourImage(frame.image, "rgb"))
    return preprocess.tensor


def _data(record: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What a run was trained on, and the runs that it started from, the first one first."""
    if record is None:
        return ()
    config = StudentConfig(**record["config"])
    nyu = f"NYU Depth v2 {config.nyuv2_list}: labels (13 classes) and in-painted 8-bit depth"
    rooms = f"synthetic rooms of this project, {config.room_frames} new frames each epoch"
    used = ((nyu, config.nyuv2_list), (rooms, config.room_frames))
    mine = "; ".join(text for text, is_used in used if is_used)
    return (*_data(record.get("start")), f"{config.epochs} epochs of {mine}")
