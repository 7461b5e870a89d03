"""From an exported student to the same one in int8: calibrate, measure, write the card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.progress import track

from mtl_core.card import InputSpec
from mtl_core.images import ColourImage
from mtl_core.interface import IMAGE
from mtl_core.model import Array, OnnxModel
from mtl_core.predictor import Preprocessor
from mtl_training.cards import card_in_int8
from mtl_training.config import DataConfig
from mtl_training.data.catalogue import open_source
from mtl_training.data.source import SampleSource
from mtl_training.errors import ConfigError, DatasetError, QuantizeError
from mtl_training.export import write_card
from mtl_training.int8 import to_int8
from mtl_training.release import open_sibling, publish

STEM = 3
"""Convolutions of the stem and the first block, which have the most pixels and so few channels that
they take longer in int8: 2.0 ms against 1.5 in float, of 19, on AVX512 with VNNI."""


@dataclass(frozen=True)
class Calibration:
    """Which images the ranges of a network's activations are taken from.

    Attributes:
        data: Training data.
        images: How many of them; all, where there are fewer.
        seed: Of their choice.
    """

    data: DataConfig
    images: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse to take none."""
        if self.images < 1:
            raise ConfigError(f"1 image or more to calibrate with expected, got {self.images}")

    def chosen(self, source: SampleSource) -> list[int]:
        """Indices of that many images of a source, in its order.

        Raises:
            DatasetError: The source is empty.
        """
        if not len(source):
            raise DatasetError(f"no images to calibrate with in {self.data}")
        rng = np.random.default_rng(self.seed)
        count = min(self.images, len(source))
        return sorted(rng.choice(len(source), count, replace=False).tolist())


def quantize(
    path: Path, out: Path, calibration: Calibration, data: DataConfig, sibling: Path | None = None
) -> Path:
    """Write a student in int8, measure the file and write the figures into its card.

    Args:
        path: An ONNX file that `release` wrote.
        out: Folder for the file, which is named after the student, with `-int8`.
        calibration: What its activations' ranges are taken from.
        data: What it is measured on.
        sibling: See `open_sibling`; in int8 too.

    Returns:
        The file, which appears only when all of that has gone well. Two runs on one machine write
        the same bytes.

    Raises:
        ModelError: It is no ONNX file of ours.
        QuantizeError: It is a teacher, is quantised already, or has nothing to quantise.
        DatasetError: The data are absent or empty.
        ConfigError: The data's classes are not the model's, or the sibling is of another kind.
    """
    model = OnnxModel(path)
    if model.card.role != "student":
        raise QuantizeError(f"{path}: a student expected, its card says {model.card.role}")
    source, measured = open_source(calibration.data), open_source(data)
    chosen = calibration.chosen(source)
    made = replace(calibration, images=len(chosen))
    card = card_in_int8(model.card, model.sha256, made.data, made.images, made.seed)
    other = open_sibling(sibling, model, card)
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / f"{card.name}.onnx"
        to_int8(path, _inputs(source, chosen, card.input), file, STEM)
        write_card(file, card)
        return publish(file, out, data, measured, other)


def _inputs(
    source: SampleSource, chosen: list[int], spec: InputSpec
) -> Iterator[Mapping[str, Array]]:
    """Images as a robot's student sees them, (1, 3, height, width) float32."""
    preprocess = Preprocessor(spec)
    for index in track(chosen, "calibrate", console=Console(stderr=True), transient=True):
        preprocess(ColourImage(source.sample(index).image, "rgb"))
        yield {IMAGE: preprocess.tensor}
