"""Start the student node for one camera, or for several that share the model."""

from __future__ import annotations

from launch.actions import OpaqueFunction
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity

from launch import LaunchDescription
from mtl_perception.launching import (
    CAMERA,
    CAMERAS,
    NODE,
    camera_names,
    camera_remappings,
    given,
    node,
    params_file,
    transport,
)

ARGUMENTS = (
    params_file("student"),
    CAMERAS,
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
    names = {"cameras": camera_names(values)} if values["cameras"] else {}
    return [node("student", values, camera_remappings(values), **names)]
