"""Write the golden file of the model that ships: python tests/golden/write.py RUN_FOLDER.

It holds a network input (rendered room) and, on every sixth cell, what torch computes from it.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from mtl_core.predictor import OUTPUTS
from mtl_training.engine import load_finished
from mtl_training.model import input_spec
from mtl_training.release import golden_input, load_network

STEP = 6

if __name__ == "__main__":
    finished = load_finished(Path(sys.argv[1]))
    network, config = load_network(finished), finished.config
    tensor = golden_input(input_spec(config))
    with torch.no_grad():
        outputs = network(torch.from_numpy(tensor))
    sampled = {n: o.numpy()[:, :, ::STEP, ::STEP] for n, o in zip(OUTPUTS, outputs, strict=True)}
    # Whole numbers come back exactly, at a quarter of float32's size.
    mean, std = (
        np.array(v).reshape(3, 1, 1) for v in (input_spec(config).mean, input_spec(config).std)
    )
    pixels = np.rint((tensor[0] * std + mean) * 255).astype(np.uint8).transpose(1, 2, 0)
    np.savez_compressed(Path(__file__).parent / f"{config.name}.npz", pixels=pixels, **sampled)
