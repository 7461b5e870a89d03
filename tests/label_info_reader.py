"""Prints what arrives on `label_info`, one message a line, until it is interrupted.

A process of its own: the tests' one does not see the workspace in which the message is built.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from mtl_perception import environment
from mtl_perception.process import hold_signals, spin_until_signal

hold_signals()  # a KeyboardInterrupt that comes while rclpy cleans up is lost
environment.prepare()  # before rclpy is imported

import rclpy  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from rclpy.signals import SignalHandlerOptions  # noqa: E402
from vision_msgs.msg import LabelInfo  # noqa: E402

QOS = QoSProfile(
    depth=100,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""What Nav2's semantic segmentation layer asks for; a publisher that offers less is not heard."""


def tell(message: LabelInfo) -> None:
    """Prints a message as JSON."""
    fields: dict[str, Any] = {
        "stamp_ns": message.header.stamp.sec * 10**9 + message.header.stamp.nanosec,
        "frame_id": message.header.frame_id,
        "classes": [[one.class_id, one.class_name] for one in message.class_map],
        "threshold": message.threshold,
    }
    print(json.dumps(fields), flush=True)


def main() -> int:
    with rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO):
        node = rclpy.create_node("label_info_reader")
        node.create_subscription(LabelInfo, "label_info", tell, QOS)
        spin_until_signal(node)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
