"""What the launch files share: arguments, the transport of camera images, nodes and viewers."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence

from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.substitutions import ExecutableInPackage

from mtl_perception import environment, topics
from mtl_perception.errors import PerceptionError
from mtl_perception.resources import PACKAGE, share_path

PARAMS_FILE = "params_file"

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

CAMERAS = DeclareLaunchArgument(
    "cameras",
    default_value="",
    description="Names of several cameras, such as front,left: one model answers them in turn, "
    "each below its name (front/segmentation/mask). image_topic and camera_info_topic are then "
    "below each name, too, unless they list a topic for each, also with commas. Empty: "
    "params_file's, which is one camera without a name.",
)

OWN = (
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
        "log_level",
        default_value="info",
        choices=["debug", "info", "warn", "error", "fatal"],
        description="Least severity of what the node logs.",
    ),
    DeclareLaunchArgument(
        "enclave",
        default_value="",
        description="Path of the node's SROS 2 enclave, such as /student; empty: none of its own.",
    ),
)
"""How a node runs, whatever clock it has."""

NODE = (
    *OWN,
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="false",
        choices=["true", "false"],
        description="true: time comes from /clock, as in a simulation or a replay.",
    ),
)
"""How a node runs."""


def params_file(node: str) -> DeclareLaunchArgument:
    """The argument that names a node's parameters; by default those that ship."""
    return DeclareLaunchArgument(
        PARAMS_FILE,
        default_value=str(share_path("config", f"{node}.yaml")),
        description="YAML file with the node's parameters.",
    )


def given(context: LaunchContext, arguments: Sequence[DeclareLaunchArgument]) -> dict[str, str]:
    """Return the arguments' values by name."""
    return {a.name: LaunchConfiguration(a.name).perform(context) for a in arguments}


def camera_of(context: LaunchContext, bag: str, colour_topic: str) -> dict[str, str]:
    """Return a recording's camera, as `mtl-bags camera` says it.

    Asked of a process, since `ros2 launch` is run by the system's Python, which need not have what
    reads recordings.

    Raises:
        PerceptionError: There is none, or the recording cannot be read.
    """
    program = ExecutableInPackage("mtl-bags", "mtl_bags").perform(context)
    words = [program, "camera", bag, *(["--colour", colour_topic] if colour_topic else [])]
    run = subprocess.run(words, check=False, capture_output=True, text=True)
    if run.returncode:
        raise PerceptionError(run.stderr.strip())
    found: dict[str, str] = json.loads(run.stdout)
    return found


def transport(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Name the Fast DDS profile for camera images, unless the user chose a transport."""
    prepared = dict(os.environ)
    environment.prepare(prepared)
    return [
        SetEnvironmentVariable(name, value)
        for name, value in prepared.items()
        if os.environ.get(name) != value
    ]


def camera_names(values: Mapping[str, str]) -> list[str]:
    """Return the cameras' names; one without a name if none is given."""
    return [name.strip() for name in values.get("cameras", "").strip("[] ").split(",")]


def camera_remappings(values: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what leads a node's cameras to the topics that `CAMERA` and `CAMERAS` name.

    Raises:
        PerceptionError: There are not as many topics as cameras.
    """
    names = camera_names(values)
    images = _of_each("image_topic", values, names)
    infos = _of_each("camera_info_topic", values, names)
    rules = []
    for name, image, info in zip(names, images, infos, strict=True):
        for topic, leads_to in (
            (topics.IMAGE, image),
            (topics.compressed(topics.IMAGE), topics.compressed(image)),
            (topics.CAMERA_INFO, info or topics.camera_info_beside(image)),
        ):
            rules.append((topics.of_camera(name, topic), leads_to))
    return rules


def recorded_remappings(camera: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what leads a node to a recording's camera, as `camera_of` tells it."""
    image = camera["image"]
    beside = topics.camera_info_beside(topics.uncompressed(image))
    return [
        (topics.IMAGES[camera["transport"]], image),
        (topics.CAMERA_INFO, camera["camera_info"] or beside),
    ]


def _of_each(argument: str, values: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """The topic of each camera that an argument speaks of."""
    given = [topic.strip() for topic in values[argument].split(",")]
    if len(given) == len(names) > 1:
        return given
    (topic, *more) = given
    if more or (topic.startswith("/") and len(names) > 1):
        raise PerceptionError(
            f"{argument}: expected a topic below each camera's name or one for each of "
            f"{', '.join(names)}, got {values[argument]}"
        )
    return [topics.of_camera(name, topic) if topic else "" for name in names]


def node(
    name: str,
    values: Mapping[str, str],
    remappings: list[tuple[str, str]],
    **parameters: str | bool | list[str],
) -> Node:
    """Make one of this package's nodes; what is not given is left to params_file.

    Args:
        name: Of the node; its executable is called `NAME_node`.
        values: Of `NODE`, and `params_file`.
        remappings: Of its topics.
        parameters: That hold whatever params_file says.
    """
    if values["model"]:
        parameters["model"] = values["model"]
    if values["use_sim_time"] == "true":
        parameters["use_sim_time"] = True
    enclave = ["--enclave", values["enclave"]] if values["enclave"] else []
    return Node(
        package=PACKAGE,
        executable=f"{name}_node",
        name=name,
        namespace=values["namespace"],
        parameters=[values[PARAMS_FILE], parameters],
        remappings=remappings,
        arguments=["--ros-args", "--log-level", values["log_level"], *enclave],
        output="screen",
    )
