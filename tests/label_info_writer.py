"""Publishes `label_info` again and again, latched, as a node does that should say it once.

A process of its own: the tests' one does not see the workspace in which the message is built.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from mtl_perception import environment

environment.prepare()  # before rclpy is imported

import rclpy  # noqa: E402
from rclpy.executors import ExternalShutdownException  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from vision_msgs.msg import LabelInfo, VisionClass  # noqa: E402

from mtl_core.labels import LabelMap  # noqa: E402

QOS = QoSProfile(depth=5, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def main() -> int:
    classes = enumerate(LabelMap.load("nyu13").classes)
    message = LabelInfo(class_map=[VisionClass(class_id=n, class_name=name) for n, name in classes])
    with suppress(KeyboardInterrupt, ExternalShutdownException), rclpy.init(args=sys.argv):
        node = rclpy.create_node("label_info_writer")
        publisher = node.create_publisher(LabelInfo, "label_info", QOS)
        node.create_timer(0.05, lambda: publisher.publish(message))
        rclpy.spin(node)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
