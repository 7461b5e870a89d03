"""Subscribes what Nav2's semantic layer subscribes, as it does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import rclpy
from rclpy.exceptions import InvalidTopicNameException
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, PointCloud2

from mtl_bags.closing import Closing
from mtl_bags.types import LABEL_INFO
from mtl_perception.nav2.heard import Heard, Labels, frames_of
from mtl_perception.offers import offers
from mtl_perception.player import message_class

SENSOR = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(
    depth=5, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)

IMAGES: Mapping[str, type] = {
    "segmentation_topic": Image,
    "confidence_topic": Image,
    "pointcloud_topic": PointCloud2,
}
ESSENTIAL = ("segmentation_topic", "pointcloud_topic")
"""Those of `IMAGES` that the layer cannot do without."""

LABELS = "labels_topic"

MOST = 3
"""Times the frames asked for: if so many messages of each topic make no frame, none will."""

LABELS_S = 5.0
"""How long label_info may take after the frames have come: it waits for no image."""

REPEAT_S = 1.0
"""How long is listened after the first label_info, which is to be the only one."""

_SPIN_S = 0.1


class Listener(Closing):
    """A node that listens to one source; a context manager.

    Args:
        topics: By the layer's parameter; "" is not subscribed.
    """

    def __init__(self, topics: Mapping[str, str]) -> None:
        """Join the DDS domain that the environment names."""
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node("mtl_check_nav2", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._topics = dict(topics)
        self._invalid: dict[str, str] = {}
        self._got: dict[str, list[Any]] = {name: [] for name in (*IMAGES, LABELS)}
        self._told = True
        for name, kind in IMAGES.items():
            self._subscribe(name, kind, SENSOR)
        try:
            self._subscribe(LABELS, message_class(LABEL_INFO), LATCHED)
        except (ImportError, AttributeError):
            self._told = False

    def close(self) -> None:
        """Leave the DDS domain."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)

    def listen(self, frames: int, timeout_s: float) -> Heard:
        """Listen until there is enough to judge by, or for so long.

        Args:
            frames: Masks with their fellows that are enough.
            timeout_s: The longest wait.
        """
        end = time.monotonic() + timeout_s
        self._spin(end, lambda: self._enough(frames))
        if self._told:
            self._spin(min(end, time.monotonic() + LABELS_S), lambda: bool(self._got[LABELS]))
            self._spin(min(end, time.monotonic() + REPEAT_S), lambda: len(self._got[LABELS]) > 1)
        return Heard(
            masks=self._got["segmentation_topic"],
            confidences=self._confidences(),
            points=self._got["pointcloud_topic"],
            labels=Labels(self._got[LABELS] if self._told else None, self._offered()),
            silent=list(self._silent(timeout_s)),
            now_ns=time.time_ns(),
            clocks=self._node.count_publishers("/clock"),
        )

    def _subscribe(self, name: str, kind: type, qos: QoSProfile) -> None:
        if not (topic := self._topics[name]):
            return
        try:
            self._node.create_subscription(kind, topic, self._got[name].append, qos)
        except InvalidTopicNameException as err:
            fault = str(err).splitlines()[0]
            self._invalid[name] = f"{name} is {topic!r}, expected a topic's name: {fault}"
            self._topics[name] = ""

    def _confidences(self) -> list[Any] | None:
        return self._got["confidence_topic"] if self._topics["confidence_topic"] else None

    def _offered(self) -> list[tuple[str, str]]:
        """Reliability and durability of each publisher of label_info."""
        topic = self._topics[LABELS]
        infos = self._node.get_publishers_info_by_topic(topic) if topic else ()
        kinds = [info.qos_profile for info in infos]
        return [(kind.reliability.name.lower(), kind.durability.name.lower()) for kind in kinds]

    def _asked(self) -> list[str]:
        """What images and points are asked for."""
        return [name for name in IMAGES if self._topics[name]]

    def _enough(self, frames: int) -> bool:
        if any(len(self._got[name]) < frames for name in self._asked()):
            return False
        masks, points = self._got["segmentation_topic"], self._got["pointcloud_topic"]
        if len(frames_of(masks, self._confidences(), points)) >= frames:
            return True
        return all(len(self._got[name]) >= MOST * frames for name in self._asked())

    def _silent(self, timeout_s: float) -> Iterator[str]:
        yield from self._invalid.values()
        for name in ESSENTIAL:
            if not self._topics[name] and name not in self._invalid:
                yield f"no {name} to listen to, expected a topic's name"
        for name in self._asked():
            if not self._got[name]:
                topic, kind = self._topics[name], IMAGES[name].__name__
                asked = f"sensor_msgs/msg/{kind}, best_effort, volatile"
                who = offers(self._node, topic, asked)
                yield f"nothing on {topic} ({name}) in {timeout_s:.0f} s: {who}"

    def _spin(self, end: float, done: Any) -> None:
        while not done() and (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=min(left, _SPIN_S))
