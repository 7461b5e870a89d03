"""The viewers that a launch file can start, each on the topics of one camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from launch.actions import LogInfo
from launch.launch_description_entity import LaunchDescriptionEntity
from launch_ros.actions import Node

from mtl_perception import topics
from mtl_perception.resources import PACKAGE, share_path

FOXGLOVE_PORT = 8765
"""What foxglove_bridge listens on unless told otherwise."""

SHOWN = (
    topics.MASK,
    topics.CONFIDENCE,
    topics.OVERLAY,
    topics.LABEL_INFO,
    topics.DEPTH,
    topics.POINTS,
)
"""The student's outputs that viewers may show."""


@dataclass(frozen=True)
class Stage:
    """What there is to look at.

    Attributes:
        image: Full name of the topic with colour images.
        transport: Their kind, raw or compressed.
        namespace: Of the student's outputs: empty, or with a leading slash.
        frame: That its points are in.
    """

    image: str
    transport: str
    namespace: str
    frame: str


Parts = list[LaunchDescriptionEntity]


def _none(stage: Stage, **options: Any) -> Parts:
    return []


def _rviz(stage: Stage, **options: Any) -> Parts:
    outputs = {topic: f"{stage.namespace}/{topic}" for topic in SHOWN}
    names = {topics.IMAGES[stage.transport]: stage.image, **outputs}
    configuration = share_path("rviz", "student.rviz")
    return [
        Node(
            package="rviz2",
            executable="rviz2",
            arguments=["-d", str(configuration), "-f", stage.frame],
            remappings=[(f"/{shown}", name) for shown, name in names.items()],
            parameters=[{"use_sim_time": True}],
            **options,
        )
    ]


def _foxglove(stage: Stage, **options: Any) -> Parts:
    layout = share_path("foxglove", "student.json")
    return [
        LogInfo(msg=f"Foxglove: open ws://localhost:{FOXGLOVE_PORT}, import the layout {layout}"),
        Node(
            package="foxglove_bridge",
            executable="foxglove_bridge",
            parameters=[{"port": FOXGLOVE_PORT, "use_sim_time": True}],
            **options,
        ),
    ]


def _rerun(stage: Stage, **options: Any) -> Parts:
    return [
        Node(
            package=PACKAGE,
            executable="mtl-view",
            arguments=[
                *("--image", stage.image, "--transport", stage.transport),
                *("--namespace", stage.namespace),
            ],
            **options,
        )
    ]


VIEWERS: dict[str, Callable[..., Parts]] = {
    "none": _none,
    "rviz": _rviz,
    "foxglove": _foxglove,
    "rerun": _rerun,
}
"""What to start for each choice, given a `Stage` and options for its process."""
