"""Who publishes a topic, and how: for messages that a mismatch is named in."""

from __future__ import annotations

from rclpy.node import Node


def offers(node: Node, topic: str, asked: str) -> str:
    """Say who publishes a topic.

    Args:
        node: That looks.
        topic: Name.
        asked: Type, reliability and durability that the node asks for.
    """
    found = node.get_publishers_info_by_topic(topic)
    if not found:
        return "nobody publishes it"
    each = (
        f"{one.node_namespace.rstrip('/')}/{one.node_name}: {one.topic_type}, "
        f"{one.qos_profile.reliability.name.lower()}, "
        f"{one.qos_profile.durability.name.lower()}"
        for one in found
    )
    return f"{len(found)} publishers ({'; '.join(each)}), {asked} asked for"
