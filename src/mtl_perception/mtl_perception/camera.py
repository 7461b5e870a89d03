"""One camera of the student node: its topics, and what is known of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.callback_groups import CallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from mtl_bags.camera_info import View, intrinsics, view
from mtl_bags.compose import NANOSECONDS, Stamped, label_info, serialize, stamp_ns
from mtl_bags.messages import to_colour_image
from mtl_bags.records import Record
from mtl_bags.types import deserialize
from mtl_core.card import DepthSpec, InputSpec
from mtl_core.errors import MtlError
from mtl_core.images import ColourImage
from mtl_core.labels import LabelMap
from mtl_core.prediction import Prediction
from mtl_core.predictor import Letterbox, Prepared
from mtl_perception import parameters, topics
from mtl_perception.conversion import converter
from mtl_perception.health import Complaint, Health
from mtl_perception.label_info import label_info_publisher
from mtl_perception.laps import Laps
from mtl_perception.offers import offers
from mtl_perception.outputs import Answer, Outputs
from mtl_perception.parameters import Settings
from mtl_perception.scale import ScaleCorrection

Frame: TypeAlias = Image | CompressedImage

TRANSPORTS: dict[str, type[Frame]] = {"raw": Image, "compressed": CompressedImage}
"""Message type of each `image_transport`."""

INPUTS = {kind: topics.IMAGES[transport] for transport, kind in TRANSPORTS.items()}
"""Topic of each type of frames."""

SCALES = {
    "depth": (Image, topics.SCALE_DEPTH),
    "points": (PointCloud2, topics.SCALE_POINTS),
}
"""Message type and topic of each `scale_source`."""

SCALED = frozenset({topics.DEPTH, topics.UNCERTAINTY, topics.POINTS})
"""Outputs that are in metres."""

NEEDS_CAMERA = SCALED | set(topics.CAMERA_INFOS)
"""Outputs that are wrong or missing without a camera_info."""

QUIET_S = 5.0
"""A complaint about frames is logged once in so many seconds."""


@dataclass(frozen=True)
class Arrived:
    """A frame that waits for its turn.

    Attributes:
        camera: Whose it is.
        data: CDR bytes as they came; only a frame whose turn comes is worth reading.
        since_s: When that was, on `time.perf_counter`.
    """

    camera: Camera
    data: bytes
    since_s: float


@dataclass
class Question:
    """A frame whose turn has come, decoded.

    Attributes:
        camera: Whose it is.
        header: Of what came.
        image: Its pixels.
        wanted: Topics of the outputs that somebody subscribes.
        seen: What is known of the camera that took it.
        settings: Of the node now.
        laps: Where its time goes.
        prepared: Where it lies in the model's input; None if no output is made of a prediction.
        prediction: What the model says of it; None as long as nobody asked.
    """

    camera: Camera
    header: Header
    image: ColourImage
    wanted: frozenset[str]
    seen: View
    settings: Settings
    laps: Laps
    prepared: Prepared | None = None
    prediction: Prediction | None = None

    @property
    def needs_model(self) -> bool:
        """Whether any output is made of a prediction."""
        return not self.wanted <= set(topics.CAMERA_INFOS)


class Camera:
    """Subscriptions and publishers of one camera.

    The executor's thread only leaves each frame with `take`; `question` and `publish` are called by
    the thread that works on it.

    Args:
        node: Whose parameters, publishers and logger are used.
        name: Begins the names of its topics; empty: they lie in the node's own namespace.
        health: Where its frames are counted.
        said: Names of the model's outputs.
        take: Is given each frame; returns how many were dropped for it, None if none is wanted now.
        group: In which frames are taken in.
    """

    def __init__(
        self,
        node: LifecycleNode,
        name: str,
        health: Health,
        said: Collection[str],
        take: Callable[[Arrived], int | None],
        group: CallbackGroup,
    ) -> None:
        """Create outputs; see `listen` for the inputs."""
        self._node, self.health, self._take, self._group = node, health, take, group
        self._kind = TRANSPORTS[parameters.value(node, "image_transport")]
        self._convert = converter()
        self._camera_info: CameraInfo | None = None
        self._last_s, self._fault = 0.0, ""
        self._named = partial(topics.of_camera, name)
        self.outputs = Outputs(node, said, self._named)
        self._label_info = label_info_publisher(node, self._named(topics.LABEL_INFO))
        self._correction = _correction(node)
        self._inputs: list[Any] = []
        self.image_topic = node.resolve_topic_name(self._named(INPUTS[self._kind]))
        self._info_topic = node.resolve_topic_name(self._named(topics.CAMERA_INFO))

    def listen(self, wanted: bool) -> None:
        """Subscribe the inputs, or end that; a camera that nobody looks at costs nothing."""
        if wanted == bool(self._inputs):
            return
        self.begin()
        if self._correction is not None:
            self._correction.reset()  # what was learned is of another time
        if wanted:
            self._inputs = self._subscribe()
        else:
            self._unsubscribe()

    def _unsubscribe(self) -> None:
        while self._inputs:
            self._node.destroy_subscription(self._inputs.pop())

    def begin(self) -> None:
        """Reckon silence from now on."""
        self._last_s, self._fault = time.perf_counter(), ""

    def destroy(self) -> None:
        """Take inputs and outputs off the node."""
        self._unsubscribe()
        self.outputs.destroy()
        if self._label_info is not None:
            self._node.destroy_publisher(self._label_info)
            self._label_info = None

    def publish_label_info(self, label_map: LabelMap) -> None:
        """Say what the masks mean from now on."""
        if self._label_info is None:
            return
        now = Stamped(self._node.get_clock().now().nanoseconds, "")
        threshold = parameters.value(self._node, "min_confidence")
        self._label_info.publish(serialize(label_info(label_map, now, threshold)))

    def _subscribe(self) -> list[Any]:
        subscribe = partial(
            self._node.create_subscription,
            qos_profile=qos_profile_sensor_data,
            callback_group=self._group,
        )
        inputs = [
            subscribe(self._kind, self._named(INPUTS[self._kind]), self._on_frame, raw=True),
            subscribe(CameraInfo, self._named(topics.CAMERA_INFO), self._on_camera_info),
        ]
        if self._correction is not None:
            kind, topic = SCALES[parameters.value(self._node, "scale_source")]
            inputs.append(subscribe(kind, self._named(topic), self._correction.take))
        return inputs

    def _on_frame(self, data: bytes) -> None:
        self._last_s = time.perf_counter()
        dropped = self._take(Arrived(self, data, self._last_s))
        if dropped is not None:
            self.health.received += 1
            self.health.drop(dropped)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera_info = message

    # ---- the worker's thread -------------------------------------------------------------------
    def question(self, arrived: Arrived) -> Question | None:
        """Decode a frame; None, and counted why, if it is not to be answered."""
        laps = Laps("wait", arrived.since_s)
        laps.switch("pre")
        wanted = self.outputs.wanted()
        if not wanted:
            self.health.unwatched += 1
            self._fault = ""
            return None
        message = deserialize(Record(self.image_topic, self._asked_type(), 0, arrived.data))
        if self._is_outdated(message.header):
            self.health.outdated += 1
            return None
        settings = Settings.of(self._node)
        try:
            image = to_colour_image(message, self._convert)
        except MtlError as err:
            self.reject(str(err))
            return None
        seen = view(self._camera_info, image, settings.fallback_fx, settings.rectified)
        self._fault = self._judged(seen) if wanted & NEEDS_CAMERA else ""
        return Question(self, header_of(message), image, wanted, seen, settings, laps)

    def answered(self, asked: Question, prediction: Prediction, depth: DepthSpec) -> None:
        """Take what the model says, with the scale that measurements ask for."""
        if self._correction is not None and asked.wanted & SCALED:
            info = asked.seen.info
            camera = None if info is None else intrinsics(info, asked.image)
            prediction = self._correction.corrected(prediction, depth, asked.header, camera)
        asked.prediction = prediction

    def new_model(self, label_map: LabelMap, *, other_classes: bool) -> None:
        """Forget what was learned of the old one's scale, and say what masks mean from now on."""
        if self._correction is not None:
            self._correction.reset()
        if other_classes:
            self.publish_label_info(label_map)

    def publish(self, asked: Question, label_map: LabelMap, spec: InputSpec) -> None:
        """Make and send what is wanted of a frame.

        Args:
            asked: A question of this camera, answered if it needed the model.
            label_map: Of the model.
            spec: Of the model's input.
        """
        answer = Answer(
            header=asked.header,
            image=asked.image,
            camera_info=asked.seen.info,
            label_map=label_map,
            settings=asked.settings,
            size=_size(asked.image, asked.settings, spec),
            predicted=asked.prediction,
        )
        self.outputs.publish(answer, asked.wanted, asked.laps)
        self.health.latencies.add(asked.laps.end())
        self.health.answered += 1

    def reject(self, reason: str) -> None:
        """Count a frame that cannot be used, and say so."""
        self.health.reject(reason)
        self._node.get_logger().error(
            f"{self.image_topic}: frame rejected: {reason}", throttle_duration_sec=QUIET_S
        )

    def _is_outdated(self, header: Any) -> bool:
        limit = parameters.value(self._node, "max_age")
        if not limit:
            return False
        age_ns = self._node.get_clock().now().nanoseconds - stamp_ns(header)
        return bool(age_ns > limit * NANOSECONDS)

    def _judged(self, seen: View) -> str:
        """What is wrong with what is known of the camera; it is logged, too."""
        if not seen.fault:
            return ""
        assumed = f"a focal length of {seen.fx:g} px" if seen.fx else "the model's own focal length"
        fault = f"{self._info_topic}: {seen.fault}; depth is scaled by {assumed}"
        self._node.get_logger().warning(fault, throttle_duration_sec=QUIET_S)
        return fault

    # ---- diagnostics ---------------------------------------------------------------------------
    def complaint(self) -> Complaint | None:
        """What is wrong beside frames: none comes, or nothing says what camera they are of."""
        limit = parameters.value(self._node, "stale_after")
        silent = time.perf_counter() - self._last_s
        if limit and silent > limit and (self._inputs or not self._is_offered()):
            text = f"no image on {self.image_topic} for {silent:.0f} s; {self._offers()}"
            return Complaint(DiagnosticStatus.STALE, text)
        fault = self._fault
        if not fault and self._correction is not None and self._inputs:
            fault = self._correction.fault(limit or math.inf)
        return Complaint(DiagnosticStatus.WARN, fault) if fault else None

    def facts(self) -> dict[str, str]:
        """What to show beside counts and times."""
        return {} if self._correction is None else self._correction.facts()

    def _is_offered(self) -> bool:
        """Whether images would come if they were asked for."""
        found = self._node.get_publishers_info_by_topic(self.image_topic)
        return any(one.topic_type == self._asked_type() for one in found)

    def _asked_type(self) -> str:
        return f"sensor_msgs/msg/{self._kind.__name__}"

    def _offers(self) -> str:
        """Who publishes images, and how: a mismatch names itself."""
        return offers(self._node, self.image_topic, f"{self._asked_type()}, best_effort, volatile")


def header_of(message: Any) -> Header:
    """A message's header as rclpy sends it."""
    stamp = message.header.stamp
    return Header(
        stamp=Time(sec=stamp.sec, nanosec=stamp.nanosec), frame_id=message.header.frame_id
    )


def _correction(node: LifecycleNode) -> ScaleCorrection | None:
    if (source := parameters.value(node, "scale_source")) == "none":
        return None
    return ScaleCorrection(
        source,
        parameters.value(node, "scale_limit"),
        parameters.value(node, "scale_time"),
        round(parameters.value(node, "scale_slop") * NANOSECONDS),
    )


def _size(image: ColourImage, settings: Settings, spec: InputSpec) -> tuple[int, int]:
    """Columns and rows of the outputs."""
    if settings.output_size == "input":
        return image.width, image.height
    box = Letterbox.fit(image, spec)
    return box.width, box.height
