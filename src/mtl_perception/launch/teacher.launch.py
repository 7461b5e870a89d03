"""Start the teacher node: labels for what a camera sees, or a player replays."""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity

from launch import LaunchDescription
from mtl_perception import topics
from mtl_perception.launching import (
    CAMERA,
    NODE,
    camera_remappings,
    given,
    node,
    params_file,
    transport,
)

ARGUMENTS = (
    params_file("teacher"),
    *CAMERA,
    DeclareLaunchArgument(
        "depth_topic",
        default_value=topics.DEPTH_IMAGE,
        description="Topic of the sensor's depth, registered to the colour image, raw or "
        "compressed as the parameter depth_transport says, which is none by default.",
    ),
    *NODE,
)


def generate_launch_description() -> LaunchDescription:
    """Describe the arguments and the node."""
    return LaunchDescription(
        [*ARGUMENTS, OpaqueFunction(function=transport), OpaqueFunction(function=teacher)]
    )


def teacher(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Make the node from the arguments."""
    values = given(context, ARGUMENTS)
    depth = values["depth_topic"]
    remappings = [
        *camera_remappings(values),
        (topics.DEPTH_IMAGE, depth),
        (topics.compressed_depth(topics.DEPTH_IMAGE), topics.compressed_depth(depth)),
    ]
    return [node("teacher", values, remappings)]
