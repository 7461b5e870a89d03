"""What the viewer shows of one camera: which messages are drawn, and as what."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mtl_bags import camera_info
from mtl_bags.compose import stamp_ns
from mtl_bags.drawing import Drawing
from mtl_bags.errors import BagError
from mtl_bags.messages import to_colour_image
from mtl_bags.records import CAMERA_INFO, IMAGE, Record
from mtl_bags.types import LABEL_INFO, deserialize
from mtl_core.errors import MtlError
from mtl_core.labels import LabelMap
from mtl_core.model import OnnxModel
from mtl_core.providers import Runtime
from mtl_perception import topics

CLOUD = "sensor_msgs/msg/PointCloud2"
DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"

MEASURED = ("_hz", "_ms")
"""Endings of what is drawn of the diagnostics."""


class Scene:
    """A camera's image, and what the student says of it.

    Args:
        drawing: Takes what is drawn.
        image: Topic of the images.
        kind: Their type, `IMAGE` or `COMPRESSED_IMAGE`.
        info: Topic of the camera_info; empty for none.
        namespace: Of the student's outputs: empty, or with a leading slash.
        read: Returns the message in a record.

    Attributes:
        topics: The topics that are drawn, and their types.
    """

    def __init__(
        self,
        drawing: Drawing,
        image: str,
        kind: str,
        info: str,
        namespace: str,
        read: Callable[[Record], Any] = deserialize,
    ) -> None:
        """Draw nothing yet."""
        self._drawing, self._read = drawing, read
        self._camera_info: Any = None
        self._model, self._named, self._said = "", False, set[str]()
        outputs = {
            topics.MASK: (IMAGE, drawing.mask),
            topics.CONFIDENCE: (IMAGE, drawing.confidence),
            topics.DEPTH: (IMAGE, drawing.depth),
            topics.POINTS: (CLOUD, drawing.points),
            topics.LABEL_INFO: (LABEL_INFO, self._name),
        }
        table: dict[str, tuple[str, Callable[[Any], None]]] = {
            image: (kind, self._picture),
            info: (CAMERA_INFO, self._keep),
            **{f"{namespace}/{topic}": row for topic, row in outputs.items()},
            topics.DIAGNOSTICS: (DIAGNOSTICS, self._curves),
        }
        self._draw = {topic: draw for topic, (_, draw) in table.items() if topic}
        self.topics = {topic: kind for topic, (kind, _) in table.items() if topic}

    def take(self, record: Record) -> None:
        """Draw a message; of those that cannot be read it says why, once for each reason."""
        try:
            message = self._read(record)
            with self._drawing.moment(stamp_ns(message.header)):
                self._draw[record.topic](message)
        except (BagError, MtlError) as err:
            if str(err) not in self._said:
                self._said.add(str(err))
                print(f"mtl-view: left out: {record.topic}: {err}", file=sys.stderr)

    def _keep(self, message: Any) -> None:
        self._camera_info = message

    def _picture(self, message: Any) -> None:
        image = to_colour_image(message)
        info = self._camera_info
        if camera := info and camera_info.intrinsics(info, image):
            self._drawing.camera(camera)
        self._drawing.image(image)

    def _name(self, message: Any) -> None:
        self._named = True
        self._drawing.classes(
            LabelMap.of_classes({c.class_id: c.class_name for c in message.class_map})
        )

    def _curves(self, message: Any) -> None:
        """Rates and latencies of students; other nodes publish there, too."""
        for status in message.status:
            values = {value.key: value.value for value in status.values}
            if "model_sha256" in values:
                self._drawing.numbers(status.name, _measured(values))
                self._name_by(values["model"])

    def _name_by(self, model: str) -> None:
        """Name classes as the model's card does: not every ROS has the messages of label_info."""
        if self._named or model == self._model or not Path(model).is_file():
            return
        self._model = model
        label_map = OnnxModel(model, Runtime(threads=1, provider="cpu")).card.label_map
        if label_map:
            self._drawing.classes(label_map)


def _measured(values: Mapping[str, str]) -> dict[str, float]:
    return {key: float(value) for key, value in values.items() if key.endswith(MEASURED)}
