"""A student small enough to know its answers by heart, run by the real `OnnxPredictor`.

Of each pixel it reads the class from red, depth from green and certainty from blue.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mtl_core.card import METADATA_KEY, DepthSpec, InputSpec, ModelCard
from mtl_core.interface import IMAGE, STRIDE
from mtl_core.labels import LabelMap

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
    """Writes the tiny student, with the outputs that its card speaks of, and returns its path."""
    model_card = model_card or card(path.stem)
    classes = {"segmentation": "classes"} if model_card.label_map else {}
    depth = {"depth": "metres", "depth_log_scale": "scale"} if model_card.depth else {}
    return _save(path, model_card, _nodes(), _tensors(model_card), {**classes, **depth})


TOLD_CLASS = 12
"""What the tiny teacher sees wherever it is told a depth."""

TOLD_METRES = 20.0
"""How much farther away the tiny teacher sees what it is told a class of."""

CONFIDENCE = 0.75
"""What the tiny teacher says of each answer."""


def write_teacher(path: Path, model_card: ModelCard | None = None, without: str = "") -> Path:
    """Writes the tiny teacher, a student with two more inputs, and returns its path.

    Args:
        path: Where to.
        model_card: Its card, of a role and outputs that may be wrong.
        without: Output to leave out.
    """
    model_card = model_card or replace(card(path.stem), role="teacher")
    told = np.zeros((1, len(model_card.label_map or ()) or 1, 1, 1), np.float32)
    told[0, -1] = 1e6
    tensors = _tensors(model_card) | {
        "zero": np.zeros(1, np.float32),
        "unlabelled": np.full(1, 255, np.uint8),
        "told_class": told,
        "told_metres": np.full(1, TOLD_METRES, np.float32),
        "certainty_of_all": np.full(1, CONFIDENCE, np.float32),
    }
    nodes = [
        *_nodes(),
        helper.make_node("Greater", ["depth", "zero"], ["has_depth"]),
        helper.make_node("Cast", ["has_depth"], ["depth_mask"], to=TensorProto.FLOAT),
        _pool("depth_mask", "depth_share"),
        helper.make_node("Mul", ["depth_share", "told_class"], ["by_depth"]),
        helper.make_node("Add", ["classes", "by_depth"], ["informed_classes"]),
        helper.make_node("Equal", ["labels", "unlabelled"], ["no_label"]),
        helper.make_node("Not", ["no_label"], ["has_label"]),
        helper.make_node("Cast", ["has_label"], ["label_mask"], to=TensorProto.FLOAT),
        _pool("label_mask", "label_share"),
        helper.make_node("Mul", ["label_share", "told_metres"], ["by_label"]),
        helper.make_node("Add", ["metres", "by_label"], ["informed_metres"]),
        helper.make_node("Conv", ["cells", "none", "certainty_of_all"], ["sure"]),
    ]
    outputs = {
        "segmentation": "informed_classes",
        "segmentation_confidence": "sure",
        "predicted_depth": "informed_metres",
        "depth_log_scale": "scale",
        "depth_confidence": "sure",
    }
    outputs.pop(without, None)
    return _save(path, model_card, nodes, tensors, outputs, ("image", "depth", "labels"))


def _pool(value: str, result: str) -> onnx.NodeProto:
    cell = [STRIDE, STRIDE]
    return helper.make_node("AveragePool", [value], [result], kernel_shape=cell, strides=cell)


def _nodes() -> list[onnx.NodeProto]:
    """From `image` to `classes`, `metres` and `scale`."""
    return [
        _pool(IMAGE, "cells"),
        helper.make_node("Conv", ["cells", "red", "squares"], ["distances"]),
        helper.make_node("Conv", ["cells", "blue"], ["certainty"]),
        helper.make_node("Mul", ["distances", "certainty"], ["classes"]),
        helper.make_node("Conv", ["cells", "green", "one"], ["metres"]),
        helper.make_node("Conv", ["cells", "none", "log_scale"], ["scale"]),
    ]


def _tensors(model_card: ModelCard) -> dict[str, np.ndarray]:
    ids = np.arange(len(model_card.label_map or ()) or 1, dtype=np.float32)
    # -(x - c)^2 up to a constant: the nearest class wins.
    red = np.zeros((len(ids), 3, 1, 1), np.float32)
    red[:, 0, 0, 0] = 2.0 * ids * 255.0 / RED_PER_CLASS
    return {
        "red": red,
        "squares": -(ids**2),
        "green": np.array([0.0, 8.0, 0.0], np.float32).reshape(1, 3, 1, 1),
        "one": np.ones(1, np.float32),
        "blue": np.array([0.0, 0.0, 20.0], np.float32).reshape(1, 3, 1, 1),
        "none": np.zeros((1, 3, 1, 1), np.float32),
        "log_scale": np.full(1, -3.0, np.float32),
    }


_INPUTS = {
    "image": (3, TensorProto.FLOAT),
    "depth": (1, TensorProto.FLOAT),
    "labels": (1, TensorProto.UINT8),
}


def _save(
    path: Path,
    model_card: ModelCard,
    nodes: list[onnx.NodeProto],
    tensors: dict[str, np.ndarray],
    outputs: dict[str, str],
    inputs: tuple[str, ...] = ("image",),
) -> Path:
    size = [model_card.input.height, model_card.input.width]
    grid = [side // STRIDE for side in size]
    channels = {"segmentation": len(tensors["squares"])}
    values = [
        helper.make_tensor_value_info(name, _INPUTS[name][1], ["n", _INPUTS[name][0], *size])
        for name in inputs
    ]
    results = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels.get(name, 1), *grid])
        for name in outputs
    ]
    named = [helper.make_node("Identity", [value], [name]) for name, value in outputs.items()]
    constants = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    graph = helper.make_graph([*nodes, *named], path.stem, values, results, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {METADATA_KEY: model_card.to_json()})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
