"""Running a model: the protocol, ONNX Runtime, and a fake for tests of what stands around it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

# A robot reports to nobody; the library reads this when it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime as ort

from mtl_core.card import METADATA_KEY, DepthSpec, InputSpec, ModelCard
from mtl_core.errors import GeometryError, ModelCardError, ModelError
from mtl_core.images import ColourImage
from mtl_core.labels import LabelMap
from mtl_core.prediction import Prediction

INPUT = "image"
"""Network input: (1, 3, height, width) float32, see `InputSpec`."""

OUTPUTS = ("segmentation", "depth", "depth_log_scale")
"""Network outputs on a grid of stride 4: logits (1, C, h, w); metres at the canonical focal length
(1, 1, h, w); natural log of the Laplace scale of log depth (1, 1, h, w). All float32."""

STRIDE = 4

PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""What is used where it is installed, in this order; others build engines or call out."""


class Predictor(Protocol):
    """Anything that turns a colour image into a `Prediction`."""

    @property
    def card(self) -> ModelCard:
        """What this model is."""

    @property
    def provider(self) -> str:
        """Where it runs, as ONNX Runtime names it."""

    def predict(self, image: ColourImage, fx: float | None = None) -> Prediction:
        """Predict one image.

        Args:
            image: Any size; its aspect is kept.
            fx: Its focal length in its own pixels; None takes the card's canonical one, so that
                depth is right only up to scale.
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
    """Image to network input, into one tensor that is used again for each image."""

    def __init__(self, spec: InputSpec) -> None:
        """Tables of 256 float32 values, one per RGB channel, replace all arithmetic."""
        self._spec = spec
        values = np.arange(256, dtype=np.float64)[:, None] / 255.0
        self._tables = ((values - spec.mean) / spec.std).astype(np.float32).T.copy()
        self.tensor = np.zeros((1, 3, spec.height, spec.width), np.float32)

    def __call__(self, image: ColourImage) -> Letterbox:
        """Fill `tensor` ((1, 3, height, width) float32) and say where the image lies in it."""
        box = Letterbox.fit(image, self._spec)
        shrinks = box.width < image.width
        small = cv2.resize(
            image.pixels,
            (box.width, box.height),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        )
        planes = _rgb_planes(small, image.order)  # type: ignore[arg-type]
        self.tensor[0, :, box.height :] = 0.0
        self.tensor[0, :, :, box.width :] = 0.0
        for channel, plane in enumerate(planes):
            target = self.tensor[0, channel, : box.height, : box.width]
            target[:] = cv2.LUT(plane, self._tables[channel])
        return box


def _rgb_planes(pixels: npt.NDArray[np.uint8], order: str) -> list[npt.NDArray[np.uint8]]:
    if order == "mono":
        return [pixels] * 3
    planes = list(cv2.split(pixels))
    return planes if order == "rgb" else planes[::-1]  # type: ignore[return-value]


def _focal_ratio(fx: float | None, box: Letterbox, depth: DepthSpec) -> float:
    if fx is None:
        return 1.0
    if not (np.isfinite(fx) and fx > 0):
        raise GeometryError(f"focal length must be positive and finite, got {fx}")
    return fx * box.scale / depth.canonical_fx


class OnnxPredictor:
    """A student on ONNX Runtime. One image at a time: its input tensor is used again.

    Args:
        path: An ONNX file that carries a model card.
        threads: Threads of one inference, 0 = as many as cores.
        providers: Execution providers in order of preference; None = those of `PROVIDERS` that
            are installed.

    Raises:
        ModelError: The file is missing, not ONNX, or does not do what its card says.
        ModelCardError: The card is missing or of another kind.
    """

    def __init__(
        self, path: Path | str, threads: int = 0, providers: list[str] | None = None
    ) -> None:
        """Load and check the model; the first inference still has to warm up."""
        self.path = Path(path)
        installed = ort.get_available_providers()
        wanted = providers or [name for name in PROVIDERS if name in installed]
        self._session = _open(self.path, threads, wanted)
        self.card = _read_card(self.path, self._session)
        _check_interface(self.path, self._session, self.card)
        self._preprocess = Preprocessor(self.card.input)

    @property
    def provider(self) -> str:
        """The execution provider that ONNX Runtime really uses first."""
        return str(self._session.get_providers()[0])

    def run(self, tensor: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        """The bare network: (1, 3, height, width) float32 to its three outputs."""
        outputs: list[npt.NDArray[np.float32]] = self._session.run(list(OUTPUTS), {INPUT: tensor})
        return outputs

    def predict(self, image: ColourImage, fx: float | None = None) -> Prediction:
        """See `Predictor.predict`.

        Raises:
            GeometryError: The focal length is not a positive number.
        """
        box = self._preprocess(image)
        ratio = _focal_ratio(fx, box, self.card.depth)
        logits, depth, _ = self.run(self._preprocess.tensor)
        rows, columns = box.height // STRIDE, box.width // STRIDE
        return Prediction(
            logits=logits[0, :, :rows, :columns],
            depth=depth[0, 0, :rows, :columns] * np.float32(ratio),
            height=image.height,
            width=image.width,
        )


def _open(path: Path, threads: int, providers: list[str]) -> ort.InferenceSession:
    if not path.is_file():
        raise ModelError(f"{path}: no such model file")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    # A spinning pool burns a core between frames and doubles the latency beside a busy neighbour.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(path), options, providers=providers)
    except Exception as err:  # ONNX Runtime's errors share no root but Exception.
        raise ModelError(f"{path}: expected an ONNX model, ONNX Runtime says: {err}") from err


def _read_card(path: Path, session: ort.InferenceSession) -> ModelCard:
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in metadata:
        raise ModelCardError(
            f"{path}: no model card, expected metadata {METADATA_KEY!r}, "
            f"got {sorted(metadata) or 'none'}; it was not exported by this project"
        )
    try:
        return ModelCard.from_json(metadata[METADATA_KEY])
    except ModelCardError as err:
        raise ModelCardError(f"{path}: {err}") from err


def _check_interface(path: Path, session: ort.InferenceSession, card: ModelCard) -> None:
    if card.role != "student":
        raise ModelError(f"{path}: expected the model of a student, its card says {card.role}")
    spec = card.input
    inputs = {i.name: i.shape[1:] for i in session.get_inputs()}
    if inputs != {INPUT: [3, spec.height, spec.width]}:
        raise ModelError(
            f"{path}: card says input {INPUT} N x 3 x {spec.height} x {spec.width}, "
            f"file has {inputs}"
        )
    grid = [spec.height // STRIDE, spec.width // STRIDE]
    expected = dict(zip(OUTPUTS, ([n, *grid] for n in (len(card.label_map), 1, 1)), strict=True))
    outputs = {o.name: o.shape[1:] for o in session.get_outputs()}
    if outputs != expected:
        raise ModelError(f"{path}: card says outputs {expected}, file has {outputs}")


def _fake_card() -> ModelCard:
    return ModelCard(
        name="fake",
        role="student",
        input=InputSpec(96, 128, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        label_map=LabelMap.load("nyu13"),
        depth=DepthSpec(0.4, 10.0, 105.0),
        data=(),
        licence="none",
        metrics={},
        commit="none",
    )


class FakePredictor:
    """Labels and depth straight from brightness: for tests of what stands around a predictor.

    The brightness b (0..1) of a stride-4 cell gives class ``floor(b * C)`` and the depth
    ``min + b * (max - min)`` at the canonical focal length.
    """

    provider = "fake"

    def __init__(self, card: ModelCard | None = None) -> None:
        """Pretend to be the model of a card."""
        self.card = card or _fake_card()

    def predict(self, image: ColourImage, fx: float | None = None) -> Prediction:
        """See `Predictor.predict`."""
        box = Letterbox.fit(image, self.card.input)
        grid = (box.width // STRIDE, box.height // STRIDE)
        grey = cv2.cvtColor(image.bgr(), cv2.COLOR_BGR2GRAY)
        brightness = cv2.resize(grey, grid, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        count = len(self.card.label_map)
        classes = np.minimum((brightness * count).astype(np.int64), count - 1)
        logits = np.where(np.arange(count)[:, None, None] == classes, 8.0, 0.0).astype(np.float32)
        depth = self.card.depth
        metres = depth.min_m + brightness * (depth.max_m - depth.min_m)
        ratio = np.float32(_focal_ratio(fx, box, depth))
        return Prediction(logits, (metres * ratio).astype(np.float32), image.height, image.width)
