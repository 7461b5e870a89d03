"""A network's ONNX graph in int8: what ONNX Runtime's static quantisation makes of it.

Activations are u8 with a zero point, weights s8 with a scale for each output channel, and each
quantised operation stands between QuantizeLinear and DequantizeLinear. The ends of the heads stay
in float: logits and log depth are what the answers are read from, and they cost little.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from mtl_core.model import Array
from mtl_training.errors import QuantizeError

OPERATIONS = ("Conv", "Clip", "Add", "Resize")
"""What is quantised of a graph, outside the ends of its heads."""

_QUANTISED = ("QuantizeLinear", "DequantizeLinear", "QLinear")


def to_int8(
    path: Path, inputs: Iterable[Mapping[str, Array]], out: Path, in_float: int = 0
) -> None:
    """Write a network in int8; names, shapes and types of its inputs and outputs stay.

    Args:
        path: An ONNX file in float32.
        inputs: What it will see, by input name; the range of each activation is the least that
            holds all that they bring about.
        out: The file to write, with the metadata of the first one.
        in_float: How many of the first convolutions stay in float.

    Raises:
        QuantizeError: It is quantised already, or has nothing to quantise.
    """
    # Not above: it loads ONNX Runtime, whose telemetry `mtl_core.model` has to switch off before.
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    graph = onnx.load(path).graph
    ends = [*float_nodes(graph), *first_convolutions(graph, in_float)]
    ranges = {
        name: _overrides(limits, QuantType.QInt8)
        for name, limits in _weight_ranges(graph, ends).items()
    }
    if is_quantised(graph):
        raise QuantizeError(f"{path}: it is quantised already, a network in float32 expected")
    if not ranges:
        raise QuantizeError(f"{path}: nothing to quantise, no convolution before its heads' last")
    with TemporaryDirectory() as scratch:
        prepared = Path(scratch) / path.name
        quant_pre_process(path, prepared, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            out,
            _Reader(inputs),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=list(OPERATIONS),
            nodes_to_exclude=ends,
            extra_options={"TensorQuantOverrides": ranges},
        )


def is_quantised(graph: onnx.GraphProto) -> bool:
    """Whether any of it computes in int8 already."""
    return any(node.op_type.startswith(_QUANTISED) for node in graph.node)


class _Reader:
    """Inputs in the way that ONNX Runtime's calibration asks for them."""

    def __init__(self, inputs: Iterable[Mapping[str, Array]]) -> None:
        self._inputs = iter(inputs)

    def get_next(self) -> Mapping[str, Array] | None:
        """The next inputs, None after the last ones."""
        return next(self._inputs, None)


def float_nodes(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes that stay in float: each head's last convolution and what follows it."""
    makers = {output: node for node in graph.node for output in node.output}
    found: set[str] = set()
    left = [output.name for output in graph.output]
    while left:
        node = makers.get(left.pop())
        if node is None or node.name in found:
            continue
        found.add(node.name)
        if node.op_type != "Conv":
            left += node.input
    return sorted(found)


def first_convolutions(graph: onnx.GraphProto, count: int) -> list[str]:
    """Names of so many convolutions, in the order in which they run."""
    return [node.name for node in graph.node if node.op_type == "Conv"][:count]


def _weight_ranges(
    graph: onnx.GraphProto, without: Iterable[str]
) -> dict[str, npt.NDArray[np.float32]]:
    """`weight_range` of each convolution's weights but those of some nodes, by name."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    kept = set(without)
    convolutions = (n for n in graph.node if n.op_type == "Conv" and n.name not in kept)
    return {
        name: weight_range(numpy_helper.to_array(tensors[name]))
        for name in (node.input[1] for node in convolutions)
        if name in tensors
    }


def weight_range(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What 127 stands for in each output channel, such that no processor's sums overflow.

    x86 without VNNI adds the products of two neighbouring weights in 16 bits, which saturate: with
    u8 activations up to 255 the weights of such a pair may come to 128, those of one sign. So the
    range is the largest sum of a pair, in place of the largest weight. Halving it everywhere, as
    `reduce_range` does, is as safe and twice as coarse where two large weights seldom meet.

    Args:
        weights: (O, I, kh, kw) float32, I = 1 for depthwise ones, whose products are summed in 32
            bits everywhere.

    Returns:
        (O,) float32.
    """
    largest: npt.NDArray[np.float32] = np.abs(weights).max(axis=(1, 2, 3))
    if weights.shape[1] == 1:
        return largest
    # Kernels read the weights of an output channel with the input channel varying fastest.
    rows = weights.transpose(0, 2, 3, 1).reshape(len(weights), -1)
    pairs = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2))).reshape(len(weights), -1, 2)
    for sign in (1, -1):
        sums = np.maximum(sign * pairs, 0).sum(axis=2)
        largest = np.maximum(largest, sums.max(axis=1))
    return largest


def _overrides(limits: npt.NDArray[np.float32], kind: Any) -> list[dict[str, Any]]:
    """Ranges of the output channels as ONNX Runtime's quantiser takes them."""
    channels = [{"quant_type": kind, "rmin": -x, "rmax": x, "symmetric": True} for x in limits]
    return [{**channels[0], "axis": 0}, *channels[1:]]
