"""Start the student node, and Nav2 with a costmap that reads what it publishes."""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity
from launch_ros.actions import Node

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
from mtl_perception.resources import share_path

MANAGER = ("nav2_lifecycle_manager", "lifecycle_manager")

NAV2 = {
    "none": (),
    "costmap": (
        ("nav2_costmap_2d", "nav2_costmap_2d", "local_costmap", "local_costmap"),
        (*MANAGER, "lifecycle_manager_costmap", ""),
    ),
    "navigation": (
        ("nav2_controller", "controller_server", "controller_server", ""),
        ("nav2_planner", "planner_server", "planner_server", ""),
        ("nav2_behaviors", "behavior_server", "behavior_server", ""),
        ("nav2_bt_navigator", "bt_navigator", "bt_navigator", ""),
        (*MANAGER, "lifecycle_manager_navigation", ""),
    ),
}
"""What of Nav2 is started: package, executable, name and namespace of each node."""

ARGUMENTS = (
    params_file("student"),
    CAMERAS,
    DeclareLaunchArgument(
        "nav2",
        default_value="costmap",
        choices=list(NAV2),
        description="What of Nav2 to start: a local costmap by itself, to look at (costmap; Jazzy "
        "and later), what drives to a goal (navigation), or none.",
    ),
    DeclareLaunchArgument(
        "nav2_params_file",
        default_value=str(share_path("config", "nav2", "nav2_params.yaml")),
        description="YAML file with the parameters of Nav2's nodes; mtl-costmap-config writes the "
        "costmaps for another model, namespace, camera or frame.",
    ),
    *CAMERA,
    *NODE,
)


def generate_launch_description() -> LaunchDescription:
    """Describe the arguments and the nodes."""
    return LaunchDescription(
        [
            *ARGUMENTS,
            OpaqueFunction(function=transport),
            OpaqueFunction(function=student),
            OpaqueFunction(function=nav2),
        ]
    )


def student(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Make the student node from the arguments."""
    values = given(context, ARGUMENTS)
    names = {"cameras": camera_names(values)} if values["cameras"] else {}
    return [node("student", values, camera_remappings(values), **names)]


def nav2(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Make the nodes of Nav2 from the arguments."""
    values = given(context, ARGUMENTS)
    time = [{"use_sim_time": True}] if values["use_sim_time"] == "true" else []
    return [
        Node(
            package=package,
            executable=executable,
            name=name,
            namespace=namespace,
            parameters=[values["nav2_params_file"], *time],
            arguments=["--ros-args", "--log-level", values["log_level"]],
            output="screen",
        )
        for package, executable, name, namespace in NAV2[values["nav2"]]
    ]
