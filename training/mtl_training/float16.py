"""From an exported network to the same one in float16, for GPUs: convert, measure, write the card.

Inputs and outputs stay float32, so that it is run like any other. A CPU computes it in float32 all
the same and casts on the way, which takes longer than the float32 file does.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnx import TensorProto

from mtl_core.model import OnnxModel
from mtl_training.cards import card_in_float16
from mtl_training.config import DataConfig
from mtl_training.data.catalogue import open_source
from mtl_training.errors import QuantizeError
from mtl_training.export import write_card
from mtl_training.int8 import is_quantised
from mtl_training.release import open_sibling, publish


def halve(path: Path, out: Path, data: DataConfig, sibling: Path | None = None) -> Path:
    """Write a student or a teacher in float16, measure the file, write the figures into its card.

    Args:
        path: An ONNX file that `release` wrote.
        out: Folder for the file, which is named after the network, with `-fp16`.
        data: What it is measured on.
        sibling: See `open_sibling`; in float16 too.

    Returns:
        The file, which appears only when all of that has gone well.

    Raises:
        ModelError: It is no ONNX file of ours.
        QuantizeError: Its weights are not in float32.
        DatasetError: The data are absent.
        ConfigError: The data's classes are not the model's, or the sibling is of another kind.
    """
    # Not above: it loads ONNX Runtime, whose telemetry `mtl_core.model` has to switch off before.
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = OnnxModel(path)
    card = card_in_float16(model.card, model.sha256)
    other = open_sibling(sibling, model, card)
    source, network = open_source(data), onnx.load(path)
    halved = any(t.data_type == TensorProto.FLOAT16 for t in network.graph.initializer)
    if halved or is_quantised(network.graph):
        raise QuantizeError(f"{path}: a network in float32 expected, this one is in fewer bits")
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / f"{card.name}.onnx"
        onnx.save(convert_float_to_float16(network, keep_io_types=True), file)
        write_card(file, card)
        return publish(file, out, data, source, other)
