"""From one camera's topics through the model to the output topics."""

from __future__ import annotations

import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from mtl_bags.camera_info import View, view
from mtl_bags.compose import NANOSECONDS, Stamped, label_info, serialize, stamp_ns
from mtl_bags.messages import to_colour_image
from mtl_core.errors import MtlError
from mtl_core.images import ColourImage
from mtl_core.prediction import Prediction
from mtl_core.predictor import Letterbox
from mtl_perception import parameters, topics
from mtl_perception.conversion import converter
from mtl_perception.health import Complaint, Health
from mtl_perception.label_info import label_info_publisher
from mtl_perception.laps import Laps
from mtl_perception.latest import Worker
from mtl_perception.models import StudentPredictor, find_model
from mtl_perception.outputs import Answer, Outputs

Frame: TypeAlias = Image | CompressedImage

INPUTS: dict[str, tuple[type[Frame], str]] = {
    "raw": (Image, topics.IMAGE),
    "compressed": (CompressedImage, topics.compressed(topics.IMAGE)),
}
"""Message type and topic of each `image_transport`."""

NEEDS_CAMERA = frozenset({topics.DEPTH, topics.UNCERTAINTY, topics.POINTS, *topics.CAMERA_INFOS})
"""Outputs that are wrong or missing without a camera_info."""

_BLANK = ColourImage(np.zeros((480, 640, 3), np.uint8), "bgr")

QUIET_S = 5.0
"""A complaint about frames is logged once in so many seconds."""


class Arrived(NamedTuple):
    """A frame, and when it came on `time.perf_counter`."""

    message: Frame
    since_s: float


class Pipeline:
    """Subscriptions, model, worker thread and publishers of one camera.

    The executor's thread only leaves the newest frame; the worker decodes, infers and publishes,
    so that services and parameters are answered meanwhile.

    Attributes:
        enabled: Whether frames are looked at.
    """

    def __init__(self, node: LifecycleNode, health: Health) -> None:
        """Load the model and creates inputs and outputs; frames are ignored until `start`.

        Args:
            node: Whose parameters, publishers and logger are used.
            health: Where frames are counted.

        Raises:
            MtlError: The model cannot be used.
            PerceptionError: The package's own model cannot be found.
        """
        self._node, self._health = node, health
        self.predictor = self._next = self._load(parameters.value(node, "model"))
        self._convert = converter()
        self._camera_info: CameraInfo | None = None
        self._worker: Worker[Arrived] | None = None
        self.enabled, self._last_s, self._fault = True, 0.0, ""
        self._outputs = Outputs(node, self.predictor.model.outputs)
        self._label_info = label_info_publisher(node, topics.LABEL_INFO)
        self._inputs = self._subscribe()

    @property
    def image_topic(self) -> str:
        """Full name of the topic that frames come from."""
        return str(self._inputs[0].topic_name)

    def start(self) -> None:
        """Say what the masks will mean, and begin to answer frames."""
        self._last_s, self._fault = time.perf_counter(), ""
        self.predictor = self._next
        self._publish_label_info()
        self._worker = Worker(self._answer, name="student")

    def stop(self) -> None:
        """Finish the frame at hand and joins the worker; does nothing if it is stopped."""
        worker, self._worker = self._worker, None
        if worker is not None:
            self._health.drop(worker.stop())

    def destroy(self) -> None:
        """Stop, and take inputs and outputs off the node."""
        self.stop()
        while self._inputs:
            self._node.destroy_subscription(self._inputs.pop())
        self._outputs.destroy()
        if self._label_info is not None:
            self._node.destroy_publisher(self._label_info)
            self._label_info = None

    def take_over(self, model: str) -> Path:
        """Load a model that answers from the next frame on, and return its file.

        Raises:
            MtlError: It cannot be used.
            PerceptionError: The package's own model cannot be found.
        """
        loaded = self._load(model)
        self._outputs.check(loaded.model.outputs)
        self._next = loaded
        if self._worker is None:
            self._switch()
        return loaded.path

    def _switch(self) -> None:
        """Let the newest model answer, between two frames."""
        known, self.predictor = self.predictor.label_map, self._next
        if self._worker is not None and known != self.predictor.label_map:
            self._publish_label_info()

    def _load(self, model: str) -> StudentPredictor:
        threads = parameters.value(self._node, "threads")
        predictor = StudentPredictor(find_model(model), threads=threads)
        predictor.predict(_BLANK)  # the first inference allocates, and fails if any does
        return predictor

    def complaint(self) -> Complaint | None:
        """What is wrong beside frames: none comes, or nothing says what camera they are of."""
        if self._worker is None or not self.enabled:
            return None
        limit = parameters.value(self._node, "stale_after")
        silent = time.perf_counter() - self._last_s
        if limit and silent > limit:
            text = f"no image on {self.image_topic} for {silent:.0f} s; {self._offers()}"
            return Complaint(DiagnosticStatus.STALE, text)
        return Complaint(DiagnosticStatus.WARN, self._fault) if self._fault else None

    def _publish_label_info(self) -> None:
        if self._label_info is None:
            return
        now = Stamped(self._node.get_clock().now().nanoseconds, "")
        threshold = parameters.value(self._node, "min_confidence")
        message = label_info(self.predictor.label_map, now, threshold)
        self._label_info.publish(serialize(message))

    def _subscribe(self) -> list[Any]:
        kind, topic = INPUTS[parameters.value(self._node, "image_transport")]
        wanted = {topic: (kind, self._on_frame)}
        wanted[topics.CAMERA_INFO] = (CameraInfo, self._on_camera_info)
        # Of their own, so that frames are taken in while a service is at work.
        group = MutuallyExclusiveCallbackGroup()
        return [
            self._node.create_subscription(
                message, name, take, qos_profile_sensor_data, callback_group=group
            )
            for name, (message, take) in wanted.items()
        ]

    def _offers(self) -> str:
        """Who publishes images, and how: a mismatch names itself."""
        found = self._node.get_publishers_info_by_topic(self.image_topic)
        if not found:
            return "nobody publishes it"
        each = (
            f"{one.node_namespace.rstrip('/')}/{one.node_name}: {one.topic_type}, "
            f"{one.qos_profile.reliability.name.lower()}, "
            f"{one.qos_profile.durability.name.lower()}"
            for one in found
        )
        return f"{len(found)} publishers ({'; '.join(each)}), {self._asked()} asked for"

    def _asked(self) -> str:
        kind, _ = INPUTS[parameters.value(self._node, "image_transport")]
        return f"sensor_msgs/msg/{kind.__name__}, best_effort, volatile"

    def _on_frame(self, message: Frame) -> None:
        self._last_s = time.perf_counter()
        if (worker := self._worker) is not None and self.enabled:
            self._health.received += 1
            self._health.drop(worker.offer(Arrived(message, self._last_s)))

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera_info = message

    def _answer(self, arrived: Arrived) -> None:
        if self._next is not self.predictor:
            self._switch()
        message, laps = arrived.message, Laps("wait", arrived.since_s)
        laps.switch("pre")
        wanted = self._outputs.wanted()
        if not wanted:
            self._health.unwatched += 1
            self._fault = ""
            return
        if self._is_outdated(message.header):
            self._health.outdated += 1
            return
        try:
            image = to_colour_image(message, self._convert)
            answer = self._answer_to(message.header, image, wanted, laps)
            self._outputs.publish(answer, wanted, laps)
        except MtlError as err:
            self._reject(str(err))
        except Exception as err:  # one bad frame must not end the thread that serves the next
            self._reject(f"unexpected {type(err).__name__}: {err}")
            self._node.get_logger().debug(traceback.format_exc())
        else:
            self._health.latencies.add(laps.end())
            self._health.answered += 1

    def _is_outdated(self, header: Header) -> bool:
        limit = parameters.value(self._node, "max_age")
        age_ns = self._node.get_clock().now().nanoseconds - stamp_ns(header)
        return bool(limit and age_ns > limit * NANOSECONDS)

    def _answer_to(
        self, header: Header, image: ColourImage, wanted: frozenset[str], laps: Laps
    ) -> Answer:
        settings = parameters.Settings.of(self._node)
        camera = view(self._camera_info, image, settings.fallback_fx)
        self._fault = self._judged(camera) if wanted & NEEDS_CAMERA else ""
        return Answer(
            header=header,
            image=image,
            camera_info=camera.info,
            label_map=self.predictor.label_map,
            settings=settings,
            size=self._size(image, settings),
            predict=lambda: self._predict(image, camera.fx, laps),
        )

    def _size(self, image: ColourImage, settings: parameters.Settings) -> tuple[int, int]:
        """Columns and rows of the outputs."""
        if settings.output_size == "input":
            return image.width, image.height
        box = Letterbox.fit(image, self.predictor.card.input)
        return box.width, box.height

    def _predict(self, image: ColourImage, fx: float | None, laps: Laps) -> Prediction:
        with laps.stage("pre"):
            prediction = self.predictor.predict(image, fx)
        laps.move("pre", "infer", self.predictor.inference_s)
        return prediction

    def _judged(self, camera: View) -> str:
        """What is wrong with what is known of the camera; it is logged, too."""
        if not camera.fault:
            return ""
        assumed = f"fallback_fx {camera.fx}" if camera.fx else "the model's own focal length"
        fault = f"{self._inputs[1].topic_name}: {camera.fault}; depth is scaled by {assumed}"
        self._node.get_logger().warning(fault, throttle_duration_sec=QUIET_S)
        return fault

    def _reject(self, reason: str) -> None:
        self._health.reject(reason)
        self._node.get_logger().error(
            f"{self.image_topic}: frame rejected: {reason}", throttle_duration_sec=QUIET_S
        )
