"""Corrects the scale of predicted depth on line, by what a sensor measures here and there."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mtl_bags.compose import Stamped
from mtl_bags.frames import PATIENCE_NS, SLOP_NS
from mtl_bags.pairing import Pair, Pairer
from mtl_core.card import DepthSpec
from mtl_core.errors import MtlError, ScaleError
from mtl_core.geometry import Intrinsics
from mtl_core.interface import DEPTH
from mtl_core.prediction import Prediction
from mtl_core.scale import NANOSECONDS, Ratio, SmoothScale, measured_ratio
from mtl_perception.scale_sources import READERS, Measurement, place_of

TIME_CONSTANT_S = 1.0

OTHER_CAMERA = 0.05
"""A larger step of the focal length, as a share of it, is another camera; drivers that focus on
their own change it by less."""


class _Frame(NamedTuple):
    """What is kept of a prediction until what was measured at its time has come.

    Attributes:
        place: Of the image.
        predicted: (h, w) float32, metres, uncorrected.
        size: Columns and rows of the image.
        camera: Its intrinsics; None = not known.
        range_m: Least and largest depth that the network can say for this camera.
    """

    place: Stamped
    predicted: npt.NDArray[np.float32]
    size: tuple[int, int]
    camera: Intrinsics | None
    range_m: tuple[float, float]


class ScaleCorrection:
    """One factor on all depth of one camera, learned from measurements that belong to its images.

    Measurements are paired with images by stamp, also those that come when their image has been
    answered: what is learned acts on the images to come. Where nothing new is measured, the factor
    stays. It starts anew when stamps jump back, as in a recording that is played in a loop, and
    when another camera speaks. Any thread may call any method.

    Args:
        source: A key of `scale_sources.READERS`.
        limit: The factor stays in [1 / limit, limit].
        time_constant_s: See `SmoothScale`.
        slop_ns: The largest difference between the stamps of an image and a measurement.

    Attributes:
        received: Measurements that came.
        accepted: Those that were believed.
        unpaired: Images without a measurement of their time.
        refused: Images or measurements that could not be used, by reason.
        last_refusal: Why the last one could not.
        last: The last one that was believed; None = none yet.
    """

    def __init__(
        self,
        source: str,
        limit: float,
        time_constant_s: float = TIME_CONSTANT_S,
        slop_ns: int = SLOP_NS,
    ) -> None:
        """Begin at 1."""
        self._read = READERS[source]
        self._scale = SmoothScale(limit, time_constant_s)
        self._slop_ns = slop_ns
        self._pairs: Pairer[_Frame, Measurement] = Pairer(slop_ns, PATIENCE_NS)
        self._lock = threading.Lock()
        self._place: Stamped | None = None
        self._begun_ns, self._focal_ratio = 0, 1.0
        self.received = self.accepted = self.unpaired = 0
        self.refused: Counter[str] = Counter()
        self.last_refusal = self._why = ""
        self.last: Ratio | None = None

    def take(self, message: Any) -> None:
        """Take a measurement; one that cannot be used is counted.

        Args:
            message: Of the source's type.
        """
        try:
            measurement, refusal = self._read(message), None
        except MtlError as err:
            measurement, refusal = None, err
        with self._lock:
            self.received += 1
            if measurement is not None:
                self._learn(self._pairs.second(measurement.place.stamp_ns, measurement))
            elif refusal is not None:
                self._refuse(refusal)

    def corrected(
        self, prediction: Prediction, depth: DepthSpec, header: Any, camera: Intrinsics | None
    ) -> Prediction:
        """Return a prediction with the scale that is known now, and learn from it.

        Args:
            prediction: As the network made it, at the image's size.
            depth: What the card says of the network's depth.
            header: Of the image.
            camera: Of the image; None = not known, which a cloud needs.

        Raises:
            ModelError: The network says no depth.
        """
        ratio = prediction.focal_ratio
        predicted = prediction.grid(DEPTH)[0] * np.float32(ratio)
        range_m = depth.min_m * ratio, depth.max_m * ratio
        with self._lock:
            try:
                place = place_of(header)
            except ScaleError as err:
                self._refuse(err)
            else:
                self._follow(place, ratio)
                frame = _Frame(place, predicted, prediction.size, camera, range_m)
                self._learn(self._pairs.first(place.stamp_ns, frame))
            return prediction.scaled(self._scale.factor)

    def reset(self) -> None:
        """Forget what was learned, as for another model; what was counted stays."""
        with self._lock:
            self._reset()

    def fault(self, patience_s: float) -> str:
        """Return what is wrong; empty if nothing is.

        Args:
            patience_s: So long, by the images' stamps, nothing need be believed.
        """
        with self._lock:
            if self.last is not None and self._scale.limited:
                return (
                    f"measured depth is {self.last.factor:.2f} times the predicted one, "
                    f"the correction is limited to {self._scale.limit:g}"
                )
            if self._place is None:
                return self._why
            if (age_s := self._age_s(self._place)) <= patience_s:
                return ""
            why = self._why or f"{self.received} received, none of the time of an image"
            return f"scale not measured for {age_s:.0f} s: {why}"

    def facts(self) -> dict[str, str]:
        """Return what to show in diagnostics."""
        with self._lock:
            facts = {
                "scale": f"{self._scale.factor:.4f}",
                "scale_limited": str(self._scale.limited).lower(),
                "scale_received": str(self.received),
                "scale_accepted": str(self.accepted),
                "scale_unpaired": str(self.unpaired),
                "scale_refused": ", ".join(f"{why} {n}" for why, n in sorted(self.refused.items())),
                "scale_last_refusal": self.last_refusal,
            }
            return {**facts, **self._facts_of_last()}

    def _facts_of_last(self) -> dict[str, str]:
        if self.last is None or self._place is None:
            return {}
        return {
            "scale_measured": f"{self.last.factor:.4f}",
            "scale_samples": str(self.last.samples),
            "scale_spread": f"{self.last.spread:.4f}",
            "scale_age_s": f"{self._age_s(self._place):.2f}",
        }

    def _age_s(self, newest: Stamped) -> float:
        """Seconds between the newest image and the last that a measurement was believed for."""
        since_ns = self._scale.since_ns
        since_ns = self._begun_ns if since_ns is None else since_ns
        return max(newest.stamp_ns - since_ns, 0) / NANOSECONDS

    def _follow(self, place: Stamped, focal_ratio: float) -> None:
        """Start anew where an image is not the successor of the one before."""
        before = self._place
        if before is not None and (
            place.frame_id != before.frame_id
            or place.stamp_ns < before.stamp_ns - self._slop_ns
            or not math.isclose(focal_ratio, self._focal_ratio, rel_tol=OTHER_CAMERA)
        ):
            self._reset()
        if self._place is None:
            self._begun_ns = place.stamp_ns
        self._place, self._focal_ratio = place, focal_ratio

    def _reset(self) -> None:
        for _ in self._pairs.flush():  # what still waits is of the time before
            self.unpaired += 1
        self._scale.reset()
        self.last, self._place, self._why = None, None, ""

    def _learn(self, pairs: Iterable[Pair[_Frame, Measurement]]) -> None:
        for pair in pairs:
            if pair.second is None:
                self.unpaired += 1
                continue
            try:
                self._believe(pair.first, pair.second)
            except MtlError as err:
                self._refuse(err)

    def _believe(self, frame: _Frame, measurement: Measurement) -> None:
        """Take over what a measurement says of a frame.

        Raises:
            ScaleError: It says nothing.
        """
        got, expected = measurement.place.frame_id, frame.place.frame_id
        if got != expected:
            raise ScaleError(
                "frame", f"measured in frame {got!r}, expected {expected!r} like the image's"
            )
        samples = measurement.samples(frame.size, frame.camera)
        self.last = measured_ratio(frame.predicted, samples, frame.range_m)
        self._scale.update(frame.place.stamp_ns, self.last.factor)
        self.accepted += 1
        self._why = ""

    def _refuse(self, err: MtlError) -> None:
        self.refused[err.reason if isinstance(err, ScaleError) else "unreadable"] += 1
        self.last_refusal = self._why = str(err)
