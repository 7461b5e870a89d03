"""Replay a recording to the student, on the recording's clock, and look at what it sees."""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity
from launch_ros.actions import Node

from launch import LaunchDescription
from mtl_perception import topics
from mtl_perception.launching import (
    OWN,
    camera_of,
    given,
    node,
    params_file,
    recorded_remappings,
    transport,
)
from mtl_perception.viewers import VIEWERS, Stage

ARGUMENTS = (
    DeclareLaunchArgument("bag", description="The recording: rosbag2, or a ROS 1 bag."),
    DeclareLaunchArgument(
        "colour_topic",
        default_value="",
        description="Colour images, raw or compressed; empty: found by type and name.",
    ),
    DeclareLaunchArgument(
        "viewer",
        default_value="none",
        choices=list(VIEWERS),
        description="What shows it: RViz, Foxglove (through foxglove_bridge) or Rerun (mtl-view). "
        "With a viewer all ends when its program does, which is RViz's at its window's closing and "
        "otherwise Ctrl-C; with none, at the recording's end.",
    ),
    DeclareLaunchArgument("rate", default_value="1.0", description="Speed, times real time."),
    DeclareLaunchArgument(
        "loop",
        default_value="false",
        choices=["true", "false"],
        description="true: again and again.",
    ),
    DeclareLaunchArgument(
        "lock_step",
        default_value="false",
        choices=["true", "false"],
        description="true: as fast as the student answers, so that every image is answered, "
        "whatever rate says.",
    ),
    params_file("student"),
    *OWN,
)


def generate_launch_description() -> LaunchDescription:
    """Describe the arguments, the player, the student and the viewer."""
    return LaunchDescription(
        [*ARGUMENTS, OpaqueFunction(function=transport), OpaqueFunction(function=replay)]
    )


def replay(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Make them from the arguments and what the recording holds."""
    values = given(context, ARGUMENTS)
    camera = camera_of(context, values["bag"], values["colour_topic"])
    namespace = values["namespace"].strip("/")
    stage = Stage(
        camera["image"],
        camera["transport"],
        f"/{namespace}" if namespace else "",
        camera["frame_id"],
    )
    at_end = {"on_exit": Shutdown(reason="the replay is over")}
    viewer = VIEWERS[values["viewer"]](stage, **at_end)
    student = node(
        "student",
        {**values, "use_sim_time": "true"},
        recorded_remappings(camera),
        image_transport=camera["transport"],
    )
    player = Node(
        package="mtl_perception",
        executable="mtl-play",
        arguments=_playing(values, stage),
        output="screen",
        **({} if viewer else at_end),
    )
    return [student, *viewer, player]


def _playing(values: dict[str, str], stage: Stage) -> list[str]:
    """The player's command line; one image ahead at most, since the student takes the newest."""
    answers = f"{stage.namespace}/{topics.MASK}"
    words = [values["bag"], "--clock", "--rate", values["rate"], "--wait-for", answers]
    words += ["--student", stage.namespace or "/"]
    words += (
        ["--lock-step", answers, "--images", stage.image, "--ahead", "1"]
        if values["lock_step"] == "true"
        else []
    )
    return [*words, *(["--loop"] if values["loop"] == "true" else [])]
