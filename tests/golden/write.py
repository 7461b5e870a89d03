"""Write the golden file of a model that ships: python tests/golden/write.py RUN_FOLDER FILE.onnx.

It holds a network's inputs (a rendered room, and what a teacher may be told of it) and, on every
sixth cell, what torch computes from them with the file's temperatures.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from mtl_core.interface import IMAGE
from mtl_core.model import OnnxModel
from mtl_training.cards import temperatures_in
from mtl_training.learning.checkpoint import load_trained
from mtl_training.models import TorchModel
from mtl_training.release import golden_inputs

STEP = 6

if __name__ == "__main__":
    temperatures = temperatures_in(OnnxModel(Path(sys.argv[2])).card)
    model = TorchModel(replace(load_trained(Path(sys.argv[1])), temperatures=temperatures))
    inputs = golden_inputs(model)
    # Whole numbers and halves come back exactly, at a quarter and a half of float32's size.
    signals = {
        name: value.astype(np.float16) if value.dtype == np.float32 else value
        for name, value in inputs.items()
        if name != IMAGE
    }
    exact = {name: value.astype(inputs[name].dtype) for name, value in signals.items()}
    outputs = model.run({IMAGE: inputs[IMAGE], **exact})
    spec = model.card.input
    mean, std = (np.array(v).reshape(3, 1, 1) for v in (spec.mean, spec.std))
    pixels = np.rint((inputs[IMAGE][0] * std + mean) * 255).astype(np.uint8).transpose(1, 2, 0)
    np.savez_compressed(
        Path(__file__).parent / f"{model.card.name}.npz",
        pixels=pixels,
        **{f"signal.{name}": value for name, value in signals.items()},
        **{name: output[:, :, ::STEP, ::STEP] for name, output in outputs.items()},
    )
