"""Replays a recording's camera over DDS, byte for byte, and takes in what nodes answer.

A `Station` is one end of the line: its own context and node, and no thread; messages arrive while
one of its methods spins.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy

from mtl_bags.frames import RecordedFrame
from mtl_bags.reader import CAMERA_INFO, COMPRESSED_IMAGE, Record
from mtl_perception import topics

CAMERA_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
"""As cameras publish."""

RESULT_QOS = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)

_SPIN_S = 0.1
"""The longest wait between two looks at a condition that no message changes."""


class Station:
    """A node of its own that plays a camera and receives results; a context manager.

    Images go out on `image` or `image/compressed` and camera_info on `camera_info`, in the root
    namespace, whatever they were called when recorded.

    Args:
        name: Of the node.
        image_type: Message type of the camera's images, raw or compressed.
        results: Topics to receive, with their message types.
        on_result: Called with each result as CDR bytes, and the monotonic time of its arrival.
    """

    def __init__(
        self,
        name: str,
        image_type: str,
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
        self._image = self._publisher(camera_topic(image_type), image_type)
        self._camera_info = self._publisher(topics.CAMERA_INFO, CAMERA_INFO)
        for topic, msgtype in results.items():
            self._subscribe(topic, msgtype)

    def __enter__(self) -> Station:
        """Return the station."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the DDS domain."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)

    def has_listener(self) -> bool:
        """Say whether a subscription has been matched with the images."""
        return bool(self._image.get_subscription_count() > 0)

    def send(self, frame: RecordedFrame) -> float:
        """Publish a frame, camera_info first; return the monotonic time just before the image."""
        if frame.camera_info:
            self._camera_info.publish(frame.camera_info.data)
        now = time.monotonic()
        self._image.publish(frame.image.data)
        return now

    def spin_until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Receive until `done` or for this long; return whether it is done."""
        deadline = time.monotonic() + timeout_s
        while not (finished := done()) and (left := deadline - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=min(left, _SPIN_S))
        return finished

    def _publisher(self, topic: str, msgtype: str) -> Any:
        return self._node.create_publisher(message_class(msgtype), topic, CAMERA_QOS)

    def _subscribe(self, topic: str, msgtype: str) -> None:
        def receive(data: bytes) -> None:
            now = time.monotonic()
            self._on_result(Record(topic, msgtype, time.time_ns(), data), now)

        self._node.create_subscription(message_class(msgtype), topic, receive, RESULT_QOS, raw=True)


def camera_topic(image_type: str) -> str:
    """Return the name on which a station publishes images of this type."""
    if image_type == COMPRESSED_IMAGE:
        return topics.compressed(topics.IMAGE)
    return topics.IMAGE


def message_class(msgtype: str) -> Any:
    """Return the Python class of a type such as `sensor_msgs/msg/Image`."""
    package, kind, name = msgtype.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), name)
