"""Puts recorded messages on DDS, byte for byte, and takes in what nodes answer.

A `Station` is one end of the line: its own context and node, and no thread; messages arrive while
one of its methods spins.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import rclpy
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy

from mtl_bags.closing import Closing
from mtl_bags.records import Record

CAMERA_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
"""As cameras publish."""

RESULT_QOS = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)

_SPIN_S = 0.1
"""The longest wait between two looks at a condition that no message changes."""


class Station(Closing):
    """A node of its own that publishes recorded messages and receives results; a context manager.

    Args:
        name: Of the node.
        results: Topics to receive, with their message types.
        on_result: Called with each result as CDR bytes, and the monotonic time of its arrival.
    """

    def __init__(
        self,
        name: str,
        results: Mapping[str, str],
        on_result: Callable[[Record, float], None],
    ) -> None:
        """Join the DDS domain that the environment names."""
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node(name, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._on_result = on_result
        self._publishers: dict[str, Any] = {}
        for topic, msgtype in results.items():
            self.listen(topic, msgtype)

    def close(self) -> None:
        """Leave the DDS domain."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)

    def advertise(self, topic: str, msgtype: str, qos: QoSProfile) -> None:
        """Prepare to publish on a topic.

        Raises:
            ImportError: The type's package is not installed.
            AttributeError: The package has no such type.
        """
        self._publishers[topic] = self._node.create_publisher(message_class(msgtype), topic, qos)

    def publish(self, topic: str, data: bytes) -> None:
        """Publish CDR bytes on a topic that was advertised."""
        self._publishers[topic].publish(data)

    def listen(self, topic: str, msgtype: str, qos: QoSProfile = RESULT_QOS) -> None:
        """Receive what is published on a topic from now on.

        Raises:
            ImportError: The type's package is not installed.
            AttributeError: The package has no such type.
        """

        def receive(data: bytes) -> None:
            now = time.monotonic()
            self._on_result(Record(topic, msgtype, time.time_ns(), data), now)

        self._node.create_subscription(message_class(msgtype), topic, receive, qos, raw=True)

    def listeners(self, topic: str) -> int:
        """Say how many subscriptions have been matched with a topic that was advertised."""
        return int(self._publishers[topic].get_subscription_count())

    def wait_for_delivery(self, timeout_s: float) -> None:
        """Wait until all that was published reliably has arrived, or for this long."""
        deadline = time.monotonic() + timeout_s
        for publisher in self._publishers.values():
            left = max(deadline - time.monotonic(), 0.0)
            publisher.wait_for_all_acked(Duration(seconds=left))

    def answerers(self, topic: str) -> int:
        """Say how many publishers there are of a topic."""
        return int(self._node.count_publishers(topic))

    def spin_until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Receive until `done` or for this long; return whether it is done."""
        deadline = time.monotonic() + timeout_s
        while not (finished := done()) and (left := deadline - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=min(left, _SPIN_S))
        return finished


def message_class(msgtype: str) -> Any:
    """Return the Python class of a type such as `sensor_msgs/msg/Image`."""
    package, kind, name = msgtype.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), name)
