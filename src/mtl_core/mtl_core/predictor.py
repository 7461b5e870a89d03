"""From an image to a `Prediction`: what surrounds a network, and a fake for tests."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from mtl_core.card import DepthSpec, InputSpec, ModelCard
from mtl_core.errors import GeometryError, ModelError
from mtl_core.images import ColourImage, resized
from mtl_core.interface import DEPTH, FLOAT, IMAGE, LOG_SCALE, SEGMENTATION, STRIDE, Port
from mtl_core.labels import LabelMap
from mtl_core.model import Array, Model, OnnxModel
from mtl_core.prediction import Planes, Prediction
from mtl_core.providers import DEFAULT, Runtime

Signals = Mapping[str, npt.NDArray[Any]]
"""What is known of an image beside its pixels, by input name, each (H, W) or (H, W, C) of the
image's size: `depth` float32 metres, NaN or 0 = none; `labels` uint8 ids, 255 = none; `normals`
float32 unit vectors, NaN or 0 = none."""


class Predictor(Protocol):
    """Anything that turns a colour image into a `Prediction`."""

    @property
    def card(self) -> ModelCard:
        """What this model is."""

    @property
    def provider(self) -> str:
        """Where it runs, as ONNX Runtime names it."""

    def predict(
        self, image: ColourImage, fx: float | None = None, signals: Signals | None = None
    ) -> Prediction:
        """Predict one image.

        Args:
            image: Any size; its aspect is kept.
            fx: Its focal length in its own pixels; None takes the card's canonical one, so that
                depth is right only up to scale.
            signals: What a teacher is told beside the image; what is missing is empty.

        Raises:
            GeometryError: The focal length is not a positive number.
            ModelError: The model has no such input, or a signal does not fit image and input.
        """


@dataclass(frozen=True)
class Letterbox:
    """Where an image of any size lies in the network's input: upper left, aspect kept.

    Its sides are rounded to the output stride, so that the valid part of the grid is whole cells.
    """

    height: int
    width: int
    scale: float

    @classmethod
    def fit(cls, image: ColourImage, spec: InputSpec) -> Letterbox:
        """The largest fit of an image into the network's input."""
        scale = min(spec.width / image.width, spec.height / image.height)
        return cls(
            height=_whole_cells(image.height * scale),
            width=_whole_cells(image.width * scale),
            scale=scale,
        )


def _whole_cells(pixels: float) -> int:
    return max(STRIDE, STRIDE * round(pixels / STRIDE))


class Preprocessor:
    """Images to network input, into one tensor that is used again.

    Args:
        spec: What the network takes.
        count: Images that the tensor has room for.
    """

    def __init__(self, spec: InputSpec, count: int = 1) -> None:
        """Tables of 256 float32 values, one per RGB channel, replace all arithmetic."""
        self._spec = spec
        values = np.arange(256, dtype=np.float64)[:, None] / 255.0
        self._tables = ((values - spec.mean) / spec.std).astype(np.float32).T.copy()
        self.tensor = np.zeros((count, 3, spec.height, spec.width), np.float32)

    def __call__(self, image: ColourImage, row: int = 0) -> Letterbox:
        """Fill a row of `tensor` ((count, 3, height, width) float32); say where the image lies."""
        box = Letterbox.fit(image, self._spec)
        planes = _rgb_planes(resized(image.pixels, (box.width, box.height)), image.order)
        tensor = self.tensor[row]
        tensor[:, box.height :] = 0.0
        tensor[:, :, box.width :] = 0.0
        for channel, plane in enumerate(planes):
            cv2.LUT(plane, self._tables[channel], dst=tensor[channel, : box.height, : box.width])
        return box


def _rgb_planes(pixels: npt.NDArray[np.uint8], order: str) -> list[npt.NDArray[np.uint8]]:
    if order == "mono":
        return [pixels] * 3
    planes = list(cv2.split(pixels))
    return planes if order == "rgb" else planes[::-1]  # type: ignore[return-value]


def _focal_ratio(fx: float | None, box: Letterbox, depth: DepthSpec | None) -> float:
    if fx is not None and not (np.isfinite(fx) and fx > 0):
        raise GeometryError(f"focal length must be positive and finite, got {fx}")
    return 1.0 if fx is None or depth is None else fx * box.scale / depth.canonical_fx


@dataclass(frozen=True)
class Prepared:
    """An image that lies in the network's input.

    Attributes:
        height: Rows of the image.
        width: Columns.
        row: In which row.
        box: Where in it.
        focal_ratio: Its focal length over the canonical one, both at the network's input.
    """

    height: int
    width: int
    row: int
    box: Letterbox
    focal_ratio: float


class ModelPredictor:
    """Pre- and post-processing around a model; for one thread, as its input tensor is used again.

    Args:
        model: Runs the network.
        max_batch: Images that one inference takes at most.

    Attributes:
        max_batch: As given.
        inference_s: Seconds that the network took for the last images.
    """

    def __init__(self, model: Model, max_batch: int = 1) -> None:
        """Make the input tensor."""
        self.model, self.max_batch, self.inference_s = model, max_batch, 0.0
        self._preprocess = Preprocessor(model.card.input, max_batch)

    @property
    def card(self) -> ModelCard:
        """See `Predictor.card`."""
        return self.model.card

    @property
    def provider(self) -> str:
        """See `Predictor.provider`."""
        return self.model.provider

    def predict(
        self, image: ColourImage, fx: float | None = None, signals: Signals | None = None
    ) -> Prediction:
        """See `Predictor.predict`."""
        prepared = self.prepare(image, fx)
        inputs = {
            name: _signal_tensor(
                name,
                self._canonical(name, signal, prepared.focal_ratio),
                self._port(name),
                prepared.box,
            )
            for name, signal in _of_size(signals or {}, image).items()
        }
        return _prediction(self._run(1, inputs), prepared)

    def prepare(self, image: ColourImage, fx: float | None = None, row: int = 0) -> Prepared:
        """Lay an image into a row of the network's input.

        Args:
            image: Any size.
            fx: Its focal length; see `Predictor.predict`.
            row: Below `max_batch`; what lay there is replaced.

        Raises:
            GeometryError: The focal length is not a positive number; the row is as it was.
        """
        box = Letterbox.fit(image, self.card.input)
        ratio = _focal_ratio(fx, box, self.card.depth)
        self._preprocess(image, row)
        return Prepared(image.height, image.width, row, box, ratio)

    def infer(self, images: Sequence[Prepared]) -> list[Prediction]:
        """Predict images that lie in different rows, of any sizes, in one inference."""
        outputs = self._run(1 + max(image.row for image in images), {})
        return [_prediction(outputs, image) for image in images]

    def _run(self, count: int, inputs: Mapping[str, Array]) -> dict[str, Planes]:
        start_s = time.perf_counter()
        outputs = self.model.run({IMAGE: self._preprocess.tensor[:count], **inputs})
        self.inference_s = time.perf_counter() - start_s
        return outputs

    def _canonical(self, name: str, signal: npt.NDArray[Any], ratio: float) -> npt.NDArray[Any]:
        """A signal as the canonical camera would have it."""
        power = self.card.power.get(name, 0)
        return signal * np.float32(ratio**power) if power else signal

    def _port(self, name: str) -> Port:
        if name not in self.model.signals:
            known = ", ".join(self.model.signals) or "none"
            raise ModelError(f"no input {name} beside the image, this model has: {known}")
        return self.model.signals[name]


def _prediction(outputs: Mapping[str, Planes], prepared: Prepared) -> Prediction:
    """One image's share of what a network said."""
    rows, columns = prepared.box.height // STRIDE, prepared.box.width // STRIDE
    grids = {name: output[prepared.row, :, :rows, :columns] for name, output in outputs.items()}
    return Prediction(grids, prepared.height, prepared.width, prepared.focal_ratio)


def _of_size(signals: Signals, image: ColourImage) -> Signals:
    for name, signal in signals.items():
        if signal.shape[:2] != (image.height, image.width):
            raise ModelError(
                f"input {name}: (H, W) = {(image.height, image.width)} like the image expected, "
                f"got {signal.shape}"
            )
    return signals


def _signal_tensor(
    name: str, signal: npt.NDArray[Any], port: Port, box: Letterbox
) -> npt.NDArray[Any]:
    """A signal (H, W) or (H, W, C) as input (1, C, rows, columns), lying there like the image."""
    channels = signal.shape[2] if signal.ndim == 3 else 1
    if channels != port.shape[0] or signal.dtype != port.dtype:
        raise ModelError(
            f"input {name}: {port.shape[0]} channels of {port.dtype} expected, "
            f"got {channels} of {signal.dtype}"
        )
    known = np.where(np.isfinite(signal), signal, np.float32(0)) if port.dtype == FLOAT else signal
    size = (box.width, box.height)
    # The mean of two ids or of two surfaces is neither; this kind is right to the half pixel.
    small = cv2.resize(known, size, interpolation=cv2.INTER_NEAREST_EXACT)
    tensor = port.empty()
    tensor[0, :, : box.height, : box.width] = small.reshape(*size[::-1], channels).transpose(
        2, 0, 1
    )
    return tensor


class OnnxPredictor(ModelPredictor):
    """A model on ONNX Runtime; arguments and errors are those of `OnnxModel`."""

    model: OnnxModel

    def __init__(self, path: Path | str, runtime: Runtime = DEFAULT) -> None:
        """Load and check the model; the first inference still has to warm up."""
        model = OnnxModel(path, runtime)
        super().__init__(model, runtime.max_batch if model.batches else 1)
        self.path = self.model.path


class FakePredictor:
    """Labels and depth straight from brightness: for tests of what stands around a predictor.

    The brightness b (0..1) of a stride-4 cell gives class ``floor(b * 13)`` of NYU's 13 and the
    depth ``min + b * (max - min)`` at the canonical focal length, its log-scale is -3.
    """

    provider = "fake"
    label_map = LabelMap.load("nyu13")
    depth = DepthSpec(0.4, 10.0, 105.0)

    def __init__(self) -> None:
        """Pretend to be a student."""
        spec = InputSpec(96, 128, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        self.card = ModelCard(
            "fake", "student", spec, self.label_map, self.depth, (), "none", {}, "none"
        )

    def predict(
        self, image: ColourImage, fx: float | None = None, signals: Signals | None = None
    ) -> Prediction:
        """See `Predictor.predict`."""
        if signals:
            raise ModelError(
                f"no input {', '.join(signals)} beside the image, this model has: none"
            )
        box = Letterbox.fit(image, self.card.input)
        grid = (box.width // STRIDE, box.height // STRIDE)
        grey = cv2.cvtColor(image.bgr(), cv2.COLOR_BGR2GRAY)
        brightness = cv2.resize(grey, grid, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        count = len(self.label_map)
        classes = np.minimum((brightness * count).astype(np.int64), count - 1)
        logits = np.where(np.arange(count)[:, None, None] == classes, 8.0, 0.0).astype(np.float32)
        metres = self.depth.min_m + brightness * (self.depth.max_m - self.depth.min_m)
        outputs = {
            SEGMENTATION: logits,
            DEPTH: metres[None].astype(np.float32),
            DEPTH + LOG_SCALE: np.full((1, *brightness.shape), -3.0, np.float32),
        }
        ratio = _focal_ratio(fx, box, self.depth)
        return Prediction(outputs, image.height, image.width, ratio)
