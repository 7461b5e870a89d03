"""What a task is: everything the rest of training knows of segmentation, depth or normals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol, Self

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from mtl_core.prediction import Prediction
from mtl_training.data.sample import PseudoLabel

Labels = npt.NDArray[Any]
"""Ground truth of a task: (H, W) or (H, W, C), the task's own dtype and mark for "no label"."""

Grid = npt.NDArray[np.float32]
"""A task's values on a network's output grid: (h, w, C) float32."""


class Metric(Protocol):
    """Accumulates a task's errors over a whole data set; see `mtl_core.metrics.Sums`."""

    def update(self, predicted: Labels, truth: Labels) -> None:
        """Add one image; both at the truth's size."""

    def sums(self) -> npt.NDArray[np.float64]:
        """All that was accumulated, (K,); the sums of two sets add up to those of both."""

    def with_sums(self, sums: npt.NDArray[np.float64]) -> Self:
        """A metric of the same kind that has accumulated these; this one stays as it is."""

    def figures(self) -> dict[str, Any]:
        """Figures by name; NaN for what nothing was measured of."""


class SignalEncoder(nn.Module):
    """How a task's labels enter a teacher: an image-sized signal to feature planes.

    Attributes:
        input_name: Name of the teacher's ONNX input.
        channels: Planes it gives.
        none: The value that says "nothing known here".
        values: Channels of the signal itself.
    """

    input_name: str
    channels: int
    none: float
    values: int = 1
    dtype: torch.dtype = torch.float32

    def present(self, signal: Tensor) -> Tensor:
        """Which pixels say something: (N, 1, H, W) bool of a signal (N, values, H, W)."""
        return (signal != self.none).any(dim=1, keepdim=True)

    def empty(self, n: int, height: int, width: int) -> Tensor:
        """A signal (N, values, H, W) that says nothing."""
        return torch.full((n, self.values, height, width), self.none, dtype=self.dtype)


class Task(ABC):
    """One dense prediction task: head, loss, metric, decoding, teacher input, pseudo-labels.

    Attributes:
        name: Key of the task's head, labels and main output.
        channels: Width of its head.
        origin: The sensor or annotation that its labels come from. The leak rule: tasks of the same
            origin are never inputs of each other's prediction.
        interpolation: How labels are resized; "nearest" where a mean of two labels is none.
        fills_holes: Whether pseudo-labels fill the pixels that a labelled image leaves unknown: yes
            for a sensor, no for an annotator, who left them out on purpose.
        power: Labels of the same view through s times the focal length are s**power times these.
        likelihood: Whether its losses are likelihoods with an uncertainty of their own for each
            pixel, which needs no weight for the whole task beside it, and may be negative.
        figures: The figures that a comparison reports, with +1 where more is better, else -1;
            the first one decides.
    """

    name: str
    channels: int
    origin: str
    interpolation: ClassVar[Literal["nearest", "linear"]] = "nearest"
    fills_holes: ClassVar[bool] = False
    power: ClassVar[int] = 0
    likelihood: ClassVar[bool] = False
    figures: ClassVar[Mapping[str, int]]

    # ---- labels as arrays ----------------------------------------------------------------------

    @abstractmethod
    def absent(self, height: int, width: int) -> Labels:
        """Labels of an image that has none."""

    @abstractmethod
    def known(self, labels: Labels) -> npt.NDArray[np.bool_]:
        """Which pixels are labelled, (H, W)."""

    def mirrored(self, labels: Labels) -> Labels:
        """The labels of the image's mirror image, left to right; also on a grid (h, w, C)."""
        return np.ascontiguousarray(labels[:, ::-1])

    def rolled(self, labels: Labels, degrees: float) -> Labels:
        """What labels say once their image, and they with it, turned clockwise by an angle."""
        return labels

    def zoomed(self, labels: Labels, s: float) -> Labels:
        """What the labels are for the same view through s times the focal length."""
        return labels * np.float32(s**self.power) if self.power else labels

    # ---- learning ------------------------------------------------------------------------------

    @abstractmethod
    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Mean loss over labelled pixels; zero, with a gradient, where there are none.

        Args:
            raw: (N, channels, h, w) float32, the head's output.
            target: (N, H, W) or (N, H, W, C), stacked labels.
        """

    @abstractmethod
    def count(self, target: Tensor) -> Tensor:
        """Number of labelled pixels of stacked labels, over which `loss` is a mean; 0-d."""

    @abstractmethod
    def pseudo_loss(self, raw: Tensor, value: Tensor, weight: Tensor) -> Tensor:
        """Weighted mean loss against pseudo-labels on the head's own grid; zero without any.

        Args:
            raw: (N, channels, h, w) float32, the head's output.
            value: (N, C, h, w) float32, see `PseudoLabel.value`.
            weight: (N, h, w) float32, 0 = not used.
        """

    def counts(self, labels: Labels) -> npt.NDArray[np.int64] | None:
        """Pixels of each class; None for a task without classes."""
        return None

    def weighted(self, class_weights: npt.NDArray[np.float64]) -> Task:
        """The same task, whose losses weigh the classes so."""
        return self

    # ---- what the network says -----------------------------------------------------------------

    @abstractmethod
    def outputs(self, raw: Tensor) -> dict[str, Tensor]:
        """The ONNX outputs that this task contributes, by name, each (N, C, h, w)."""

    @abstractmethod
    def tempered(self, outputs: Mapping[str, Tensor], temperature: float) -> dict[str, Tensor]:
        """Those outputs with their uncertainty scaled; above 1 less certain, same answer."""

    @abstractmethod
    def confidence(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Probability (N, 1, h, w) that the answer is right, in the sense of `correct`."""

    @abstractmethod
    def predicted(self, prediction: Prediction) -> Labels:
        """The answer as labels, at the predicted image's size."""

    @abstractmethod
    def metric(self) -> Metric:
        """A new accumulator of this task's errors."""

    # ---- pseudo-labels -------------------------------------------------------------------------

    @abstractmethod
    def value(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """The pseudo-label's values (N, C, h, w), at the canonical focal length."""

    def merged(self, labels: Sequence[PseudoLabel]) -> PseudoLabel:
        """The mean of several predictions of one image."""
        return PseudoLabel(
            mean([label.value for label in labels]), mean([label.confidence for label in labels])
        )

    def groups(self, value: Grid) -> npt.NDArray[np.int64]:
        """To which group, each with a threshold of its own, a pixel belongs, (h, w)."""
        return np.zeros(value.shape[:2], np.int64)

    group_names: tuple[str, ...] = ("all",)

    def hardened(self, value: Grid) -> Grid:
        """The values as if the answer were certain."""
        return value

    def certain(self, value: Tensor) -> Tensor:
        """The same of what a network says, (N, C, h, w)."""
        return value

    def decoded(self, value: Grid, height: int, width: int) -> Labels:
        """A pseudo-label as labels of an image of that size."""
        labels: Labels = cv2.resize(value, (width, height), interpolation=cv2.INTER_LINEAR)
        return labels

    @abstractmethod
    def correct(self, labels: Labels, truth: Labels) -> npt.NDArray[np.bool_]:
        """Where an answer counts as right, (H, W); what `confidence` is the probability of."""

    def packed(self, value: Grid) -> dict[str, npt.NDArray[Any]]:
        """Values as compact arrays for a file."""
        return {"value": value.astype(np.float16)}

    def unpacked(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Grid:
        """The values that `packed` stored, up to its rounding."""
        return arrays["value"].astype(np.float32)

    # ---- as a teacher's input ------------------------------------------------------------------

    def encoder(self) -> SignalEncoder | None:
        """A new module that turns this task's signal into planes; None: it is never an input."""
        return None

    def signal(self, target: Tensor) -> Tensor:
        """Stacked labels as a teacher's input (N, 1 or C, H, W)."""
        raise TypeError(f"task {self.name} is not an input of teachers")

    # ---- pictures ------------------------------------------------------------------------------

    @abstractmethod
    def picture(self, labels: Labels) -> npt.NDArray[np.uint8]:
        """Labels as a BGR image (H, W, 3)."""


def mean(arrays: Sequence[Grid]) -> Grid:
    """The mean of arrays of one shape, float32."""
    return np.asarray(np.mean(arrays, axis=0), np.float32)


def to_target_size(raw: Tensor, height: int, width: int) -> Tensor:
    """Resize a head's output (N, C, h, w) bilinearly to its target's size."""
    return functional.interpolate(raw, size=(height, width), mode="bilinear")


def weighted_mean(loss: Tensor, weight: Tensor) -> Tensor:
    """Sum of weight * loss over the sum of the weights; 0 without any."""
    return (loss * weight).sum() / weight.sum().clamp(min=1e-6)
