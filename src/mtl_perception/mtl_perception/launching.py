"""What the launch files share: arguments, the transport of camera images, and our nodes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from mtl_perception import environment, topics

CAMERA = (
    DeclareLaunchArgument(
        "image_topic",
        default_value=topics.IMAGE,
        description="Topic of the rectified colour images, raw or compressed as the parameter "
        "image_transport says; without a leading / it lies in the namespace.",
    ),
    DeclareLaunchArgument(
        "camera_info_topic",
        default_value="",
        description=f"Topic of the camera's intrinsics; empty: {topics.CAMERA_INFO} beside "
        "image_topic.",
    ),
)
"""Which camera."""

NODE = (
    DeclareLaunchArgument(
        "namespace",
        default_value="",
        description="Namespace of the node and of its output topics.",
    ),
    DeclareLaunchArgument(
        "model",
        default_value="",
        description="ONNX file: a path, or the name of a model that ships; empty: params_file's.",
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="false",
        choices=["true", "false"],
        description="true: time comes from /clock, as in a simulation or a replay.",
    ),
    DeclareLaunchArgument(
        "log_level",
        default_value="info",
        choices=["debug", "info", "warn", "error", "fatal"],
        description="Least severity of what the node logs.",
    ),
)
"""How a node runs."""


def given(context: LaunchContext, arguments: Sequence[DeclareLaunchArgument]) -> dict[str, str]:
    """Return the arguments' values by name."""
    return {a.name: LaunchConfiguration(a.name).perform(context) for a in arguments}


def transport(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Name the Fast DDS profile for camera images, unless the user chose a transport."""
    prepared = dict(os.environ)
    environment.prepare(prepared)
    return [
        SetEnvironmentVariable(name, value)
        for name, value in prepared.items()
        if os.environ.get(name) != value
    ]


def camera_remappings(values: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what leads a node's camera to the topics that `CAMERA` names."""
    image = values["image_topic"]
    return [
        (topics.IMAGE, image),
        (topics.compressed(topics.IMAGE), topics.compressed(image)),
        (topics.CAMERA_INFO, values["camera_info_topic"] or topics.camera_info_beside(image)),
    ]


def node(name: str, values: Mapping[str, str], remappings: list[tuple[str, str]]) -> Node:
    """Make one of this package's nodes; what is not given is left to params_file.

    Args:
        name: Of the node; its executable is called `NAME_node`.
        values: Of `NODE`, and `params_file`.
        remappings: Of its topics.
    """
    parameters: dict[str, str | bool] = {"model": values["model"]} if values["model"] else {}
    if values["use_sim_time"] == "true":
        parameters["use_sim_time"] = True
    return Node(
        package="mtl_perception",
        executable=f"{name}_node",
        name=name,
        namespace=values["namespace"],
        parameters=[values["params_file"], parameters],
        remappings=remappings,
        arguments=["--ros-args", "--log-level", values["log_level"]],
        output="screen",
    )
