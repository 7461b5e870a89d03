"""Label a recording offline, as `mtl-bags label` does, and end."""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity
from launch_ros.actions import Node

from launch import LaunchDescription
from mtl_perception.launching import given
from mtl_perception.models import find_model

ARGUMENTS = (
    DeclareLaunchArgument("bag", description="The recording: rosbag2, or a ROS 1 bag."),
    DeclareLaunchArgument("out", description="Folder for the labelled recording."),
    DeclareLaunchArgument(
        "model",
        default_value="",
        description="The teacher's ONNX file: a path, or the name of one that ships; empty: ours.",
    ),
    DeclareLaunchArgument(
        "colour_topic",
        default_value="",
        description="Colour images; empty: found by type and name.",
    ),
    DeclareLaunchArgument(
        "depth_topic",
        default_value="",
        description="The sensor's depth, or none; empty: found by type and name.",
    ),
)


def generate_launch_description() -> LaunchDescription:
    """Describe the arguments and the command."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=label)])


def label(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Make the command from the arguments."""
    values = given(context, ARGUMENTS)
    arguments = ["label", values["bag"], "--out", values["out"]]
    arguments += ["--model", str(find_model(values["model"], "teacher"))]
    for option, name in (("--colour", "colour_topic"), ("--depth", "depth_topic")):
        arguments += [option, values[name]] if values[name] else []
    command = Node(package="mtl_bags", executable="mtl-bags", arguments=arguments, output="screen")
    return [command]
