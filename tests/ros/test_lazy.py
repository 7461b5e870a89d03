"""Each output is computed only while it is subscribed: seen from inside, where the work is done."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header

import frames
from mtl_core.images import ColourImage
from mtl_core.interface import DEPTH, LOG_SCALE
from mtl_core.predictor import FakePredictor
from mtl_perception import topics
from mtl_perception.domain import own_domain
from mtl_perception.laps import Laps
from mtl_perception.outputs import Answer, Outputs
from mtl_perception.parameters import Settings
from peer import TYPES, until

pytestmark = pytest.mark.ros

WORK = {
    topics.MASK: {"prediction", "mask"},
    topics.CONFIDENCE: {"prediction", "confidence"},
    topics.OVERLAY: {"prediction", "mask", "picture"},
    topics.DEPTH: {"prediction"},
    topics.UNCERTAINTY: {"prediction"},
    topics.POINTS: {"prediction", "mask", "confidence", "picture", "camera"},
    topics.SEGMENTATION_CAMERA_INFO: {"camera"},
    topics.DEPTH_CAMERA_INFO: {"camera"},
}
"""What of an `Answer` each output needs."""


@pytest.fixture(scope="module")
def node() -> Iterator[LifecycleNode]:
    context = Context()
    with own_domain() as domain:
        rclpy.init(context=context, domain_id=domain)
        node = LifecycleNode("lazy", context=context)
        yield node
        node.destroy_node()
        context.try_shutdown()


def answer() -> Answer:
    """An answer of which nothing has been computed."""
    image = ColourImage(frames.rgb(), "rgb")
    predictor = FakePredictor()
    return Answer(
        header=Header(frame_id=frames.FRAME_ID),
        image=image,
        camera_info=frames.camera_info(),
        label_map=predictor.card.label_map,
        settings=Settings("input", 0.0, "32FC1", 10.0, rectified=False, fallback_fx=0.0),
        size=(image.width, image.height),
        predicted=predictor.predict(image),
    )


@pytest.mark.parametrize("topic", TYPES)
def test_one_subscriber_costs_one_output(node: LifecycleNode, topic: str) -> None:
    outputs = Outputs(node, [DEPTH + LOG_SCALE])
    for publisher in list(node._managed_entities):
        publisher.on_activate(None)
    received: list[object] = []
    reader = node.create_subscription(TYPES[topic], topic, received.append, 5)
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    until(lambda: outputs.wanted() == {topic}, f"{topic} subscribed")
    given = answer()
    outputs.publish(given, outputs.wanted(), Laps("pre", 0.0))
    until(lambda: received, topic, work=lambda: executor.spin_once(timeout_sec=0.05))
    computed = set(vars(given)) - set(vars(answer()))
    assert computed == WORK[topic]
    executor.shutdown()
    node.destroy_subscription(reader)
    outputs.destroy()
    assert not node._managed_entities


def test_what_a_model_does_not_say_is_not_offered(node: LifecycleNode) -> None:
    outputs = Outputs(node, ["segmentation", DEPTH])
    offered = {name for name, _ in node.get_publisher_names_and_types_by_node("lazy", "/")}
    assert f"/{topics.DEPTH}" in offered
    assert f"/{topics.UNCERTAINTY}" not in offered
    outputs.destroy()


def test_images_are_packed_and_own_their_pixels() -> None:
    given = answer()
    message = given.overlay_message()
    np.testing.assert_array_equal(
        frames.pixels(message).shape, (given.image.height, given.image.width, 3)
    )
    assert message.is_bigendian == 0
