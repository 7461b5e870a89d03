"""Parameters of Nav2's costmaps, with a layer that reads what the student node publishes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mtl_perception import topics
from mtl_perception.errors import PerceptionError
from mtl_perception.nav2.costs import LEVELS, CostTable

Parameters = dict[str, Any]

SEMANTIC = "semantic_segmentation_layer::SemanticSegmentationLayer"

TOPICS: Mapping[str, str] = {
    "segmentation_topic": topics.MASK,
    "confidence_topic": topics.CONFIDENCE,
    "labels_topic": topics.LABEL_INFO,
    "pointcloud_topic": topics.POINTS,
}
"""The semantic layer's parameters that name topics, and ours."""

NEAR_M, FAR_M = 0.3, 5.0
"""Points beyond are not looked at."""

LOW_M, HIGH_M = 0.2, 2.0
"""Heights above the floor between which a point is an obstacle, where nothing says what it is: the
lower one is above what the floor's predicted depth errs by, the upper one below door frames."""

CLEARING = "_clear"
"""What the source that clears for a camera is called, after the one that marks."""

DECAY_S = 5.0

Z_VOXELS = 16
"""All that a voxel grid can hold."""


@dataclass(frozen=True)
class Robot:
    """Where things are, and who publishes.

    Attributes:
        cameras: Names of the student's cameras; one empty name for a single camera without.
        namespace: Of the student node.
        odom_frame: In which the local costmap rolls.
        map_frame: Of the global costmap.
        base_frame: Of the robot.
        use_sim_time: Time comes from `/clock`.

    Raises:
        PerceptionError: Two cameras would be one source.
    """

    cameras: Sequence[str] = ("",)
    namespace: str = ""
    odom_frame: str = "odom"
    map_frame: str = "map"
    base_frame: str = "base_link"
    use_sim_time: bool = False

    def __post_init__(self) -> None:
        """Refuse cameras of one name."""
        if not self.cameras or len(self.sources()) < len(self.cameras):
            raise PerceptionError(
                f"cameras: expected one name or more, each once, got {list(self.cameras)}"
            )

    def sources(self) -> dict[str, str]:
        """Observation sources, and the camera behind each: sources are parts of parameter names."""
        return {camera.strip("/").replace("/", "_") or "camera": camera for camera in self.cameras}

    def topic(self, camera: str, topic: str) -> str:
        """A topic's full name: a costmap would look for a relative one in its own namespace."""
        parts = (self.namespace, topics.of_camera(camera, topic))
        return "/" + "/".join(part.strip("/") for part in parts if part.strip("/"))


def semantic_layer(robot: Robot, costs: CostTable) -> Parameters:
    """Return the layer that knows what a point is part of."""
    return {
        "plugin": SEMANTIC,
        "enabled": True,
        "combination_method": 1,
        "observation_sources": " ".join(robot.sources()),
        "publish_debug_topics": False,
        "use_approximate_time_sync": False,
        **{name: _seen(robot, camera, costs) for name, camera in robot.sources().items()},
    }


def _seen(robot: Robot, camera: str, costs: CostTable) -> Parameters:
    groups = {
        name: {"classes": list(classes), **asdict(LEVELS[name])}
        for name, classes in costs.groups.items()
    }
    return {
        **{name: robot.topic(camera, topic) for name, topic in TOPICS.items()},
        "observation_persistence": 0.0,
        "expected_update_rate": 0.0,
        "max_obstacle_distance": FAR_M,
        "min_obstacle_distance": NEAR_M,
        "tile_map_decay_time": DECAY_S,
        "visualize_tile_map": False,
        "use_cost_selection": True,
        "class_types": list(groups),
        **groups,
    }


def obstacle_layer(robot: Robot, costs: CostTable) -> Parameters:
    """Return Nav2's own layer, to which a point is an obstacle if its height is one's.

    Raises:
        PerceptionError: A camera has the name of the source that clears for another.
    """
    del costs
    sources = _measured(robot)
    return {
        "plugin": "nav2_costmap_2d::ObstacleLayer",
        "enabled": True,
        "combination_method": 1,
        "max_obstacle_height": HIGH_M,
        "observation_sources": " ".join(sources),
        **sources,
    }


def _measured(robot: Robot) -> dict[str, Parameters]:
    """Two sources of each camera, one that marks and one that clears.

    Nav2 drops points below a source's least height before it uses them: with one source, the floor
    would clear nothing, and what has gone from it would stay in the costmap.
    """
    cameras = robot.sources()
    if clash := [name for name in cameras if name + CLEARING in cameras]:
        raise PerceptionError(
            f"cameras: expected no name with {CLEARING} beside one without, got {clash[0]} and "
            f"{clash[0]}{CLEARING}"
        )
    found = {}
    for name, camera in cameras.items():
        topic = robot.topic(camera, topics.POINTS)
        found[name] = _points(topic, LOW_M, marking=True)
        found[name + CLEARING] = _points(topic, -HIGH_M, marking=False)
    return found


def _points(topic: str, low_m: float, *, marking: bool) -> Parameters:
    return {
        "topic": topic,
        "data_type": "PointCloud2",
        "marking": marking,
        "clearing": not marking,
        "min_obstacle_height": low_m,
        "max_obstacle_height": HIGH_M,
        "obstacle_min_range": NEAR_M,
        "obstacle_max_range": FAR_M,
        "raytrace_min_range": NEAR_M,
        "raytrace_max_range": FAR_M + 0.5,
    }


def voxel_layer(robot: Robot, costs: CostTable) -> Parameters:
    """Return the obstacle layer in three dimensions: it clears only what a ray passes through."""
    return {
        **obstacle_layer(robot, costs),
        "plugin": "nav2_costmap_2d::VoxelLayer",
        "origin_z": 0.0,
        "z_resolution": HIGH_M / Z_VOXELS,
        "z_voxels": Z_VOXELS,
        "mark_threshold": 0,
        "publish_voxel_map": False,
    }


LAYERS: Mapping[str, Callable[[Robot, CostTable], Parameters]] = {
    "semantic": semantic_layer,
    "obstacle": obstacle_layer,
    "voxel": voxel_layer,
}
"""Kinds of layers; each stands in the costmap as `KIND_layer`."""


def costmaps(kind: str, robot: Robot, costs: CostTable) -> Parameters:
    """Return a local and a global costmap with a layer, as a ROS parameter file.

    Args:
        kind: One of `LAYERS`.
        robot: Topics and frames.
        costs: Of the model's label map.
    """
    layer = {f"{kind}_layer": LAYERS[kind](robot, costs)}
    inflation = {
        "inflation_layer": {
            "plugin": "nav2_costmap_2d::InflationLayer",
            "cost_scaling_factor": 3.0,
            "inflation_radius": 0.6,
        }
    }
    static = {
        "static_layer": {
            "plugin": "nav2_costmap_2d::StaticLayer",
            "map_subscribe_transient_local": True,
        }
    }
    around = {
        "global_frame": robot.odom_frame,
        "rolling_window": True,
        "width": 6,
        "height": 6,
        "update_frequency": 5.0,
        "publish_frequency": 2.0,
    }
    everywhere = {
        "global_frame": robot.map_frame,
        "track_unknown_space": True,
        "update_frequency": 1.0,
        "publish_frequency": 1.0,
    }
    return {
        **_costmap("local_costmap", robot, around, {**layer, **inflation}),
        **_costmap("global_costmap", robot, everywhere, {**static, **layer, **inflation}),
    }


def _costmap(name: str, robot: Robot, own: Parameters, layers: Parameters) -> Parameters:
    parameters = {
        "use_sim_time": robot.use_sim_time,
        "robot_base_frame": robot.base_frame,
        "robot_radius": 0.22,
        "resolution": 0.05,
        "always_send_full_costmap": True,
        **own,
        "plugins": list(layers),
        **layers,
    }
    return {name: {name: {"ros__parameters": parameters}}}
