"""What the student node publishes: one table, each output computed only while it is subscribed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from mtl_bags.camera_info import intrinsics, resized
from mtl_core.depth import millimetres
from mtl_core.draw import overlay
from mtl_core.errors import ModelError
from mtl_core.images import ColourImage
from mtl_core.interface import DEPTH, LOG_SCALE
from mtl_core.labels import UNLABELLED, LabelMap
from mtl_core.prediction import Prediction
from mtl_perception import topics
from mtl_perception.cloud import cloud
from mtl_perception.conversion import fill
from mtl_perception.laps import Laps
from mtl_perception.parameters import Settings


@dataclass(frozen=True)
class Answer:
    """All that one frame's outputs are made of; what costs time is computed when first asked for.

    Attributes:
        header: The input's header, which every output carries unchanged.
        image: The input.
        camera_info: The camera at the input's size; None where it is not known.
        label_map: Of the model.
        settings: Of the node when the frame arrived.
        size: Columns and rows of the outputs.
        predicted: What the model says of the input; None if no output asks for it.
    """

    header: Header
    image: ColourImage
    camera_info: CameraInfo | None
    label_map: LabelMap
    settings: Settings
    size: tuple[int, int]
    predicted: Prediction | None

    @cached_property
    def prediction(self) -> Prediction:
        """What the model says, at the outputs' size."""
        if self.predicted is None:
            raise ModelError("the model was not asked")
        return self.predicted.at(*self.size)

    @cached_property
    def picture(self) -> ColourImage:
        """The input at the outputs' size."""
        if self.size == (self.image.width, self.image.height):
            return self.image
        small = cv2.resize(self.image.pixels, self.size, interpolation=cv2.INTER_AREA)
        return ColourImage(small, self.image.order)  # type: ignore[arg-type]

    @cached_property
    def camera(self) -> CameraInfo | None:
        """The camera at the outputs' size, with the frame's header; None where it is not known."""
        if self.camera_info is None:
            return None
        message = resized(self.camera_info, *self.size)
        message.header = self.header
        return message

    @cached_property
    def mask(self) -> npt.NDArray[np.uint8]:
        """Class ids (H, W) uint8, 255 where the model is not sure enough."""
        return self.prediction.mask(self.settings.min_confidence)

    def mask_message(self) -> Image:
        """Return the mask as mono8."""
        return image_message(self.header, self.mask, "mono8")

    @cached_property
    def confidence(self) -> npt.NDArray[np.uint8]:
        """Confidence (H, W) uint8; 0 where the mask is 255, as Nav2's layer needs it."""
        confidence = self.prediction.confidence()
        if self.settings.min_confidence > 0:
            confidence = np.where(self.mask == UNLABELLED, np.uint8(0), confidence)
        return confidence

    def confidence_message(self) -> Image:
        """Return the confidence as mono8."""
        return image_message(self.header, self.confidence, "mono8")

    def overlay_message(self) -> Image:
        """Return the class colours blended over the input as bgr8."""
        picture = overlay(self.picture.bgr(), self.mask, self.label_map)
        return image_message(self.header, picture, "bgr8")

    def depth_message(self) -> Image:
        """Return depth in the encoding that the settings name."""
        encoding = self.settings.depth_encoding
        return image_message(
            self.header, DEPTH_ENCODINGS[encoding](self.prediction.depth()), encoding
        )

    def uncertainty_message(self) -> Image:
        """Return the depth's standard deviation as 32FC1."""
        return image_message(self.header, self.prediction.depth_uncertainty(), "32FC1")

    def points_message(self) -> PointCloud2 | None:
        """Return each pixel as a point; NaN where it is unlabelled or beyond the range."""
        camera = self.camera and intrinsics(self.camera, self.picture)
        if camera is None:
            return None
        depth = self.prediction.depth()
        seen = (self.mask != UNLABELLED) & (depth <= self.settings.max_range)
        known = np.where(seen, depth, np.float32(np.nan))
        return cloud(self.header, known, camera, self.picture.bgr(), self.mask, self.confidence)

    def camera_info_message(self) -> CameraInfo | None:
        """Return the camera that the outputs are of."""
        return self.camera


DEPTH_ENCODINGS: dict[str, Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]] = {
    "32FC1": lambda metres: metres,
    "16UC1": millimetres,
}

OUTPUTS: dict[str, tuple[type, Callable[[Answer], Any]]] = {
    topics.MASK: (Image, Answer.mask_message),
    topics.DEPTH: (Image, Answer.depth_message),
    topics.CONFIDENCE: (Image, Answer.confidence_message),
    topics.SEGMENTATION_CAMERA_INFO: (CameraInfo, Answer.camera_info_message),
    topics.DEPTH_CAMERA_INFO: (CameraInfo, Answer.camera_info_message),
    topics.POINTS: (PointCloud2, Answer.points_message),
    topics.UNCERTAINTY: (Image, Answer.uncertainty_message),
    topics.OVERLAY: (Image, Answer.overlay_message),
}
"""Topic to message type and how to make it, in the order in which they are published."""

NEEDS = {topics.UNCERTAINTY: DEPTH + LOG_SCALE}
"""Outputs that not every model can make, and what of its outputs they are made of."""

QUEUE = 5
"""Messages that a reliable publisher keeps for a slow subscriber."""


class Outputs:
    """The publishers of `OUTPUTS` on a node: reliable, so that they serve both kinds of reader.

    Args:
        node: Whose they are.
        said: Names of the model's outputs; what cannot be made of them is not offered.
        named: Gives a topic's name on the node.
    """

    def __init__(
        self,
        node: LifecycleNode,
        said: Collection[str],
        named: Callable[[str], str] = lambda topic: topic,
    ) -> None:
        """Create the publishers; they send nothing until the node is active."""
        self._node = node
        self._publishers: dict[str, LifecyclePublisher[Any]] = {
            topic: node.create_lifecycle_publisher(kind, named(topic), QUEUE)
            for topic, (kind, _) in OUTPUTS.items()
            if topic not in NEEDS or NEEDS[topic] in said
        }

    def destroy(self) -> None:
        """Take the publishers off the node."""
        while self._publishers:
            self._node.destroy_lifecycle_publisher(self._publishers.popitem()[1])

    def check(self, said: Collection[str]) -> None:
        """Refuse a model that cannot make what is offered.

        Raises:
            ModelError: It lacks one of its outputs.
        """
        for topic, needed in NEEDS.items():
            if topic in self._publishers and needed not in said:
                raise ModelError(
                    f"no output {needed}, of which {topic} is made; without it the node has to be "
                    "configured anew"
                )

    def wanted(self) -> frozenset[str]:
        """Return the topics that somebody subscribes now."""
        return frozenset(
            topic
            for topic, publisher in self._publishers.items()
            if publisher.get_subscription_count()
        )

    def publish(self, answer: Answer, wanted: frozenset[str], laps: Laps) -> None:
        """Make and send the wanted outputs of one frame, each as soon as it is ready."""
        for topic, (_, make) in OUTPUTS.items():
            if topic not in wanted:
                continue
            with laps.stage("post"):
                message = make(answer)
            if message is not None:
                with laps.stage("publish"):
                    self._publishers[topic].publish(message)


def image_message(header: Header, pixels: npt.NDArray[Any], encoding: str) -> Image:
    """Return an array as a message with tightly packed rows.

    Args:
        header: Shared with the message, not copied.
        pixels: (H, W) or (H, W, C) in the encoding's type.
        encoding: One of `sensor_msgs/image_encodings`.
    """
    packed = np.ascontiguousarray(pixels)
    height, width = packed.shape[:2]
    message = Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(sys.byteorder == "big"),
        step=packed.strides[0],
    )
    fill(message.data, packed)
    return message
