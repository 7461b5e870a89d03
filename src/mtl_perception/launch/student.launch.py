"""Start the student node for one camera."""

from __future__ import annotations

import os

from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from mtl_perception import environment, topics
from mtl_perception.resources import share_path

ARGUMENTS = (
    DeclareLaunchArgument(
        "params_file",
        default_value=str(share_path("config", "student.yaml")),
        description="YAML file with the node's parameters.",
    ),
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


def generate_launch_description() -> LaunchDescription:
    """Describe the arguments and the node."""
    return LaunchDescription(
        [*ARGUMENTS, OpaqueFunction(function=transport), OpaqueFunction(function=student)]
    )


def transport(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Name the Fast DDS profile for camera images, unless the user chose a transport."""
    prepared = dict(os.environ)
    environment.prepare(prepared)
    return [
        SetEnvironmentVariable(name, value)
        for name, value in prepared.items()
        if os.environ.get(name) != value
    ]


def student(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Make the node from the arguments; what is not given is left to params_file."""
    given = {a.name: LaunchConfiguration(a.name).perform(context) for a in ARGUMENTS}
    image = given["image_topic"]
    camera_info = given["camera_info_topic"] or topics.camera_info_beside(image)
    parameters: dict[str, str | bool] = {"model": given["model"]} if given["model"] else {}
    if given["use_sim_time"] == "true":
        parameters["use_sim_time"] = True
    return [
        Node(
            package="mtl_perception",
            executable="student_node",
            name="student",
            namespace=given["namespace"],
            parameters=[given["params_file"], parameters],
            remappings=[
                (topics.IMAGE, image),
                (topics.compressed(topics.IMAGE), topics.compressed(image)),
                (topics.CAMERA_INFO, camera_info),
            ],
            arguments=["--ros-args", "--log-level", given["log_level"]],
            output="screen",
        )
    ]
