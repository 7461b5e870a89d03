"""The teacher as a node: labels what a camera sees, or what a player replays, frame by frame.

What it publishes is what `mtl-bags label` writes: the same frames are put together by the same
code, and the same bytes are made of them. It keeps up with a player that waits; where one does not,
it counts what it had to drop and says at which rate nothing would have been.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from mtl_bags.compose import cdr_header
from mtl_bags.frames import Frames, RecordedFrame
from mtl_bags.labelling.annotate import Annotator, label_info_message
from mtl_bags.labelling.journal import Outcome
from mtl_bags.labelling.names import LabelTopics
from mtl_bags.records import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, Record
from mtl_bags.types import deserialize
from mtl_core.predictor import ModelPredictor
from mtl_core.providers import Runtime
from mtl_core.teacher import Teacher, load_teacher
from mtl_perception import parameters, topics
from mtl_perception.health import Health
from mtl_perception.label_info import label_info_publisher
from mtl_perception.models import find_model
from mtl_perception.parameter_tables import TEACHER
from mtl_perception.queue import Queue

Take = Callable[[Record], Iterator[RecordedFrame]]

REPORT_PERIOD_S = 1.0
IDLE_S = 1.0
"""After so long a silence with nothing to do, frames wait no longer for what may belong to them."""

HISTORY = 200
"""Messages that the middleware keeps for this node, and for those who read it: what is dropped is
to be dropped here, where it is counted."""

MARGIN = 0.9
"""Of the rate that is said to fit."""

TYPES = {IMAGE: Image, COMPRESSED_IMAGE: CompressedImage, CAMERA_INFO: CameraInfo}
INPUTS = {
    "raw": (IMAGE, topics.IMAGES["raw"]),
    "compressed": (COMPRESSED_IMAGE, topics.IMAGES["compressed"]),
}
DEPTHS = {
    "raw": (IMAGE, topics.DEPTH_IMAGE),
    "compressedDepth": (COMPRESSED_IMAGE, topics.compressed_depth(topics.DEPTH_IMAGE)),
}


@dataclass
class Burst:
    """Frames that come without a pause: when they began to, and what was counted then."""

    start_s: float = 0.0
    last_s: float = 0.0
    received: int = 0
    answered: int = 0

    def came(self, after_pause: bool, health: Health) -> None:
        """Note a frame that comes now, before it is counted."""
        now = time.monotonic()
        if after_pause or not self.start_s:
            self.start_s, self.received, self.answered = now, health.received, health.answered
        self.last_s = now

    def rate_that_fits(self, health: Health) -> float | None:
        """How much slower frames would have to come; None as long as nobody knows."""
        answered, received = health.answered - self.answered, health.received - self.received
        if answered < 1 or received < 2:
            return None
        period = (self.last_s - self.start_s) / (received - 1)
        return MARGIN * answered * period / (time.monotonic() - self.start_s)


class TeacherNode(Node):
    """Subscribes a camera, with depth if it has some; publishes labels beside its colour topic.

    Raises:
        rclpy.exceptions.ParameterException: A start value is refused.
        ModelError: The model cannot be used.
    """

    live = None

    def __init__(self) -> None:
        """Load the model and subscribe the camera."""
        super().__init__("teacher")
        parameters.declare(self, TEACHER)
        self._health = Health()
        path = find_model(self._value("model"), "teacher")
        model = load_teacher(path, Runtime(self._value("threads")))
        teacher = Teacher(
            ModelPredictor(model), self._value("flip"), self._value("depth_everywhere")
        )
        self._label_map = model.card.label_map
        self._facts = {"model": str(model.path), "provider": model.provider}
        self._names = LabelTopics.beside(self.resolve_topic_name(topics.IMAGE))
        self._annotate = Annotator(deserialize, teacher, self._names, self._value("fallback_fx"))
        self._outputs = self._advertise()
        self._frames = Frames(
            has_info=True,
            has_depth=self._value("depth_transport") != "none",
            slop_ns=round(self._value("slop") * 1e9),
        )
        self._queue: Queue[RecordedFrame] = Queue(self._value("queue"))
        self._last_s = 0.0
        self._working = False
        self._burst, self._told_dropped = Burst(), 0
        self._told = False
        self._worker = threading.Thread(target=self._work, name="teacher")
        self._diagnostics = self.create_publisher(DiagnosticArray, topics.DIAGNOSTICS, 1)
        # A steady clock: with use_sim_time and no /clock, diagnostics are needed most.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(IDLE_S / 2, self._look_for_silence, clock=steady)
        self.create_timer(REPORT_PERIOD_S, self._report, clock=steady)
        self._subscribe()

    def autostart(self) -> None:
        """Begin to answer frames; there is always something to do."""
        self._worker.start()
        self.get_logger().info(
            f"model {self._facts['model']} on {self._facts['provider']}, labels on "
            f"{self._names.mask} and beside it"
        )

    def close(self) -> None:
        """Finish the frame at hand and join the worker."""
        self._health.drop(self._queue.close())
        if self._worker.is_alive():
            self._worker.join()

    def _value(self, name: str) -> Any:
        return parameters.value(self, name)

    def _advertise(self) -> dict[str, Any]:
        images = (
            self._names.mask,
            self._names.confidence,
            self._names.depth,
            self._names.depth_confidence,
        )
        infos = (self._names.segmentation_camera_info, self._names.depth_camera_info)
        made = {name: self.create_publisher(Image, name, HISTORY) for name in images}
        made |= {name: self.create_publisher(CameraInfo, name, HISTORY) for name in infos}
        if label_info := label_info_publisher(self, self._names.label_info):
            made[self._names.label_info] = label_info
        return made

    def _subscribe(self) -> None:
        reliable = self._value("reliable")
        policy = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        qos = QoSProfile(depth=HISTORY, reliability=policy)
        wanted = {
            INPUTS[self._value("image_transport")]: self._on_image,
            (CAMERA_INFO, topics.CAMERA_INFO): self._on_info,
        }
        if (transport := self._value("depth_transport")) != "none":
            wanted[DEPTHS[transport]] = self._on_depth
        for (msgtype, name), take in wanted.items():
            topic = self.resolve_topic_name(name)

            def receive(
                data: bytes, take: Any = take, kind: str = msgtype, on: str = topic
            ) -> None:
                self._last_s = time.monotonic()
                self._wait_for(take(Record(on, kind, time.time_ns(), data)))

            self.create_subscription(TYPES[msgtype], name, receive, qos, raw=True)

    def _on_image(self, record: Record) -> Iterator[RecordedFrame]:
        self._burst.came(self._is_idle(), self._health)
        self._health.received += 1
        return self._frames.image(record)

    def _on_depth(self, record: Record) -> Iterator[RecordedFrame]:
        return self._frames.depth(record)

    def _on_info(self, record: Record) -> Iterator[RecordedFrame]:
        return self._frames.info(record)

    def _wait_for(self, frames: Iterator[RecordedFrame]) -> None:
        for frame in frames:
            self._health.drop(self._queue.put(frame))

    def _warn_of_drops(self) -> None:
        fits = self._burst.rate_that_fits(self._health)
        if self._health.dropped == self._told_dropped or fits is None:
            return
        self._told_dropped = self._health.dropped
        self.get_logger().warning(
            f"{self._health.dropped} of {self._health.received} frames dropped: at {fits:.2f} "
            "times this rate (`ros2 bag play --rate`) none would be"
        )

    def _is_idle(self) -> bool:
        silent = time.monotonic() - self._last_s > IDLE_S
        return silent and not self._working and not len(self._queue)

    def _look_for_silence(self) -> None:
        if self._is_idle():
            self._wait_for(self._frames.flush())

    def _work(self) -> None:
        while (frame := self._queue.take()) is not None:
            self._working = True
            try:
                outcome = self._annotate(frame)
            except Exception as err:  # one bad frame must not end the thread that serves the next
                outcome = Outcome(problem=f"unexpected {type(err).__name__}: {err}")
            if outcome.messages:
                self._publish(frame, outcome)
                self._health.answered += 1
            else:
                self._health.reject(outcome.problem)
            if outcome.problem:
                self.get_logger().warning(outcome.problem, throttle_duration_sec=5.0)
            self._working = False

    def _publish(self, frame: RecordedFrame, outcome: Outcome) -> None:
        if not self._told and self._label_map and self._names.label_info in self._outputs:
            header = cdr_header(frame.image.data)
            info = label_info_message(self._names, self._label_map, header)
            self._outputs[info.topic].publish(info.data)
            self._told = True
        # The mask last: who has it has all.
        for message in reversed(outcome.messages):
            self._outputs[message.topic].publish(message.data)

    def _report(self) -> None:
        self._warn_of_drops()
        report = DiagnosticArray()
        report.header.stamp = self.get_clock().now().to_msg()
        report.status = [
            self._health.status(self.get_fully_qualified_name(), "frames", "running", self._shown())
        ]
        self._diagnostics.publish(report)

    def _shown(self) -> dict[str, str]:
        tally = self._frames.tally
        pairs = {"with_depth": tally.paired, "without_depth": tally.alone}
        return {**self._facts, **{name: str(count) for name, count in pairs.items()}}
