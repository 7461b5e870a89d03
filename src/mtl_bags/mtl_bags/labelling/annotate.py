"""One frame of a recording to the messages with its labels."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mtl_bags import camera_info
from mtl_bags.compose import Stamped, cdr_header, image, label_info, serialize
from mtl_bags.errors import BagError
from mtl_bags.frames import RecordedFrame
from mtl_bags.labelling.journal import Message, Outcome
from mtl_bags.labelling.names import LabelTopics
from mtl_bags.messages import depth_of_size, to_colour_image, to_depth
from mtl_bags.records import CAMERA_INFO, Record
from mtl_core.depth import millimetres
from mtl_core.errors import MtlError
from mtl_core.images import ColourImage
from mtl_core.labels import LabelMap
from mtl_core.teacher import PseudoLabels, Teacher

_NUMBER = re.compile(r"\b\d+\b")

Depth = npt.NDArray[np.float32]
Deserialize = Callable[[Record], Any]


@dataclass(frozen=True)
class View:
    """A frame as arrays.

    Attributes:
        header: Of the image.
        image: The picture.
        fx: Its focal length in pixels; None = not known.
        info: CDR bytes of its camera_info, if that is of the image's size.
        depth: (H, W) float32 of the image's size, metres, NaN = unknown; None = there is none.
        problem: What was ignored, in words.
    """

    header: Stamped
    image: ColourImage
    fx: float | None
    info: bytes | None
    depth: Depth | None
    problem: str


class Annotator:
    """Labels frames of a recording.

    Args:
        deserialize: Gives the message in a record; its errors are `BagError`.
        teacher: Says what is seen.
        topics: Where labels go.
        fx: Focal length where no camera_info says it, pixels; 0 = the model's own.
    """

    def __init__(
        self, deserialize: Deserialize, teacher: Teacher, topics: LabelTopics, fx: float = 0.0
    ) -> None:
        """Keep whom to ask, and where answers go."""
        self._deserialize, self._teacher = deserialize, teacher
        self._topics, self._fx = topics, fx

    def __call__(self, frame: RecordedFrame) -> Outcome:
        """Return a frame's labels, or why it has none."""
        try:
            view = self._view(frame)
        except Exception as err:  # decoders raise whatever they stumble over
            return Outcome(problem=f"image not read: {reason(err)}")
        labels = self._teacher.label(view.image, view.fx, view.depth)
        made = tuple(messages(view, labels, self._topics))
        return Outcome(made, view.problem, labels.sensor_ratio)

    def _view(self, frame: RecordedFrame) -> View:
        header = cdr_header(frame.image.data)
        picture = to_colour_image(self._deserialize(frame.image))
        camera, depth, problems = camera_info.view(None, picture, self._fx), None, []
        if frame.camera_info:
            try:
                info = self._deserialize(frame.camera_info)
                camera = camera_info.view(info, picture, self._fx)
            except Exception as err:
                problems.append(f"camera_info not read: {reason(err)}")
        if camera.fault:
            problems.append(camera.fault)
        if frame.depth:
            try:
                depth = to_depth(self._deserialize(frame.depth))
            except Exception as err:
                problems.append(f"depth not read: {reason(err)}")
            else:
                problems += _aspect_fault(depth, picture)
                depth = depth_of_size(depth, picture.height, picture.width)
        known = frame.camera_info.data if frame.camera_info and camera.info else None
        return View(header, picture, camera.fx, known, depth, "; ".join(problems))


def _aspect_fault(depth: Depth, picture: ColourImage) -> list[str]:
    """What is wrong with depth that cannot be of the same view."""
    height, width = depth.shape
    if abs(width * picture.height - height * picture.width) <= width + height:
        return []
    return [
        f"depth is {width}x{height}, the image {picture.width}x{picture.height}: another aspect, "
        "so it may not be registered"
    ]


def messages(view: View, labels: PseudoLabels, topics: LabelTopics) -> list[Message]:
    """A frame's labels as messages with its header."""
    made: list[tuple[str, Any]] = [
        (topics.mask, image(labels.mask, "mono8", view.header)),
        (topics.confidence, image(labels.confidence, "mono8", view.header)),
    ]
    infos = [topics.segmentation_camera_info]
    if np.isfinite(labels.depth).any():
        made += [
            (topics.depth, image(millimetres(labels.depth), "16UC1", view.header)),
            (topics.depth_confidence, image(labels.depth_confidence, "mono8", view.header)),
        ]
        infos.append(topics.depth_camera_info)
    found = [Message(topic, message.__msgtype__, serialize(message)) for topic, message in made]
    if view.info:
        found += [Message(topic, CAMERA_INFO, view.info) for topic in infos]
    return found


def label_info_message(topics: LabelTopics, label_map: LabelMap, header: Stamped) -> Message:
    """What a recording's masks mean."""
    message = label_info(label_map, header)
    return Message(topics.label_info, message.__msgtype__, serialize(message))


def reason(err: Exception) -> str:
    """An error without what differs from frame to frame: numbers, the path of the recording."""
    known = isinstance(err, (BagError, MtlError, ValueError))
    text = str(err) if known else f"{type(err).__name__}: {err}"
    if isinstance(err, BagError) and ": " in text:
        text = text.split(": ", 1)[1]
    return _NUMBER.sub("N", text)
