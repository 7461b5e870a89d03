"""Start the student node for one camera."""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity

from launch import LaunchDescription
from mtl_perception.launching import CAMERA, NODE, camera_remappings, given, node, transport
from mtl_perception.resources import share_path

ARGUMENTS = (
    DeclareLaunchArgument(
        "params_file",
        default_value=str(share_path("config", "student.yaml")),
        description="YAML file with the node's parameters.",
    ),
    *CAMERA,
    *NODE,
)


def generate_launch_description() -> LaunchDescription:
    """Describe the arguments and the node."""
    return LaunchDescription(
        [*ARGUMENTS, OpaqueFunction(function=transport), OpaqueFunction(function=student)]
    )


def student(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Make the node from the arguments."""
    values = given(context, ARGUMENTS)
    return [node("student", values, camera_remappings(values))]
