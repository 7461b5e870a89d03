"""The latched `vision_msgs/LabelInfo` beside a mask, where its package is installed."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from mtl_bags.types import LABEL_INFO
from mtl_perception.player import message_class

LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


def label_info_publisher(node: Node, topic: str) -> Any | None:
    """Return a publisher of CDR bytes; None, with a warning, where ROS has no such type."""
    try:
        kind = message_class(LABEL_INFO)
    except (ImportError, AttributeError):
        node.get_logger().warning(f"vision_msgs is not installed: nothing is published on {topic}")
        return None
    return node.create_publisher(kind, topic, LATCHED)
