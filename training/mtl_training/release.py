"""From a finished run to the file that ships: export, measure, write the card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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


def release(folder: Path, out: Path, val_list: str) -> ModelCard:
    """Export a finished run, measure the file on a NYUv2 list and write both into its card.

    Raises:
        ResumeError: The run is absent or unfinished.
        DatasetError: The list is absent.
        ExportError: The file does not compute what the network computes.
    """
    finished = load_finished(folder)
    network, config = load_network(finished), finished.config
    data = NYUv2(val_list)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}")
    export(network, input_spec(config), temporary)
    card = ModelCard(
        name=out.stem,
        role="student",
        input=input_spec(config),
        label_map=LabelMap.load(LABEL_MAP),
        depth=depth_spec(config),
        data=_data(config),
        licence=LICENCE,
        metrics={},
        commit=str(finished.record["commit"]),
    )
    write_card(temporary, card)
    check_agreement(network, OnnxPredictor(temporary))
    samples = (data.sample(i) for i in range(len(data)))
    figures = evaluate(OnnxPredictor(temporary), samples, len(data))
    stem = Path(val_list).stem
    card = replace(card, metrics={f"nyuv2_{stem}_{k}": round(v, 4) for k, v in figures.items()})
    write_card(temporary, card)
    temporary.replace(out)
    return card


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


def _data(config: StudentConfig) -> tuple[str, ...]:
    nyu = f"NYU Depth v2 {config.nyuv2_list}: labels (13 classes) and in-painted 8-bit depth"
    rooms = f"synthetic rooms of this project, {config.room_frames} new frames each epoch"
    return tuple(
        text for text, used in ((nyu, config.nyuv2_list), (rooms, config.room_frames)) if used
    )
