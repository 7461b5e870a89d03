"""A student small enough to know its answers by heart, run by the real `OnnxPredictor`.

Of each pixel it reads the class from red, depth from green and certainty from blue.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mtl_core.card import METADATA_KEY, DepthSpec, InputSpec, ModelCard
from mtl_core.labels import LabelMap
from mtl_core.predictor import INPUT, OUTPUTS, STRIDE

HEIGHT, WIDTH = 64, 96
CANONICAL_FX = 100.0
RED_PER_CLASS = 20
"""A pixel of red 20 * c is of class c."""

SURE, UNSURE = 255, 0
"""Blue of a pixel whose class is certain, and of one whose confidence is 1 / 13."""


def colour(class_id: int, green: int = 0, blue: int = SURE) -> tuple[int, int, int]:
    """Returns RGB that means a class, a depth and a certainty."""
    return class_id * RED_PER_CLASS, green, blue


def metres(green: int, ratio: float = 1.0) -> float:
    """Returns the depth that a green value means, for a camera of `ratio` * CANONICAL_FX."""
    return (1.0 + 8.0 * green / 255.0) * ratio


def card(name: str = "tiny") -> ModelCard:
    """Returns the card of the tiny student."""
    return ModelCard(
        name=name,
        role="student",
        input=InputSpec(HEIGHT, WIDTH, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        label_map=LabelMap.load("nyu13"),
        depth=DepthSpec(1.0, 9.0, CANONICAL_FX),
        data=("none",),
        licence="Apache-2.0",
        metrics={},
        commit="none",
    )


def write(path: Path, model_card: ModelCard | None = None) -> Path:
    """Writes the tiny student to an ONNX file and returns its path."""
    model_card = model_card or card(path.stem)
    classes = len(model_card.label_map)
    ids = np.arange(classes, dtype=np.float32)
    # -(x - c)^2 up to a constant: the nearest class wins.
    red = np.zeros((classes, 3, 1, 1), np.float32)
    red[:, 0, 0, 0] = 2.0 * ids * 255.0 / RED_PER_CLASS
    green = np.array([0.0, 8.0, 0.0], np.float32).reshape(1, 3, 1, 1)
    blue = np.array([0.0, 0.0, 20.0], np.float32).reshape(1, 3, 1, 1)
    tensors = {
        "red": red,
        "squares": -(ids**2),
        "green": green,
        "one": np.ones(1, np.float32),
        "blue": blue,
        "none": np.zeros((1, 3, 1, 1), np.float32),
        "log_scale": np.full(1, -3.0, np.float32),
    }
    logits, depth, log_scale = OUTPUTS
    stride = [STRIDE, STRIDE]
    nodes = [
        helper.make_node("AveragePool", [INPUT], ["cells"], kernel_shape=stride, strides=stride),
        helper.make_node("Conv", ["cells", "red", "squares"], ["raw"]),
        helper.make_node("Conv", ["cells", "blue"], ["certainty"]),
        helper.make_node("Mul", ["raw", "certainty"], [logits]),
        helper.make_node("Conv", ["cells", "green", "one"], [depth]),
        helper.make_node("Conv", ["cells", "none", "log_scale"], [log_scale]),
    ]
    height, width = model_card.input.height, model_card.input.width
    grid = [height // STRIDE, width // STRIDE]
    graph = helper.make_graph(
        nodes,
        "tiny_student",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, 3, height, width])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, *grid])
            for name, channels in zip(OUTPUTS, (classes, 1, 1), strict=True)
        ],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {METADATA_KEY: model_card.to_json()})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
