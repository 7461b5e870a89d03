"""Which cells of a costmap the semantic layer marks for one frame, without Nav2."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mtl_bags.clouds import organised
from mtl_perception.nav2.costmap import FAR_M, NEAR_M

Cells = npt.NDArray[np.int64]
"""(N, 2) indices of cells, each once: x and y over the resolution, rounded down."""

RESOLUTION_M = 0.05


@dataclass(frozen=True)
class Reach:
    """What the layer looks at: points nearer and farther than so many metres do not count."""

    near_m: float = NEAR_M
    far_m: float = FAR_M


def obstacle_points(
    cloud: Any,
    mask: npt.NDArray[np.uint8],
    ids: Collection[int],
    world_from_camera: npt.NDArray[np.float64],
    reach: Reach = Reach(),
) -> npt.NDArray[np.float64]:
    """Return the points of some classes.

    Args:
        cloud: `sensor_msgs/PointCloud2`, one point for each pixel of the mask, in the camera's
            optical frame.
        mask: (H, W) uint8 class ids.
        ids: Of the classes that are obstacles.
        world_from_camera: (4, 4) pose, as tf gives it.
        reach: What counts.

    Returns:
        (N, 3) float64, metres in the world.

    Raises:
        CloudError: The cloud has no coordinates, or is damaged.
    """
    axes = organised(cloud)
    points = np.stack([axes[axis] for axis in "xyz"], axis=-1).astype(np.float64)
    points = points[np.isin(mask, list(ids))]
    distance = np.linalg.norm(points, axis=-1)
    points = points[(distance > reach.near_m) & (distance < reach.far_m)]
    placed: npt.NDArray[np.float64] = (
        points @ world_from_camera[:3, :3].T + world_from_camera[:3, 3]
    )
    return placed


def cells(points: npt.NDArray[np.float64], resolution_m: float = RESOLUTION_M) -> Cells:
    """Return the cells that points (N, 3) lie in."""
    found: Cells = np.unique(np.floor(points[:, :2] / resolution_m).astype(np.int64), axis=0)
    return found


def found_within(wanted: Cells, found: Cells, tolerance: int = 0) -> npt.NDArray[np.bool_]:
    """Say of each wanted cell (N,) whether one that is at most so many cells away was found."""
    known = set(map(tuple, found.tolist()))
    steps = range(-tolerance, tolerance + 1)
    near = [(dx, dy) for dx in steps for dy in steps]
    return np.array(
        [any((x + dx, y + dy) in known for dx, dy in near) for x, y in wanted.tolist()], bool
    )
