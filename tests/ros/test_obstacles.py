"""The cells that the semantic layer marks are those where there is something.

The oracle shares nothing with the ray-caster, the cloud or the grid: it asks the room's solids, in
float64, what a ray hits first (`room_oracle`). A cell is truly occupied if a ray that the camera
can see ends in it on an obstacle; a marked cell is right if the ray towards a point that marked it
ends in it. No neighbour counts; where a wall stands on the line between two cells, both are right.
"""

from __future__ import annotations

import numpy as np
import pytest

import peer  # noqa: F401 - prepares the environment before rclpy is imported
import room_oracle
from mtl_core.geometry import Intrinsics
from mtl_core.images import ColourImage
from mtl_core.labels import LabelMap
from mtl_core.rooms import Room
from mtl_perception.models import find_model
from mtl_perception.nav2.costs import CostTable
from mtl_perception.nav2.occupancy import Reach, cells, found_within, obstacle_points
from mtl_perception.student_predictor import StudentPredictor

from std_msgs.msg import Header  # isort: skip

from mtl_perception.cloud import cloud  # isort: skip

pytestmark = pytest.mark.ros

CAMERA = Intrinsics(640, 480, 525.0, 525.0, 319.5, 239.5)
SEEDS = (3, 8)
HELD_OUT = range(8)
OBSTACLES = CostTable.load(LabelMap.load("nyu13")).ids("lethal")
WITHIN = Reach(far_m=4.0)
RAYS = 1500
LINE_M = 1e-4
"""Above what float32 makes of a point at 4 m, and far below a cell."""


@pytest.fixture(scope="module")
def shots():
    rooms = [Room.generate(seed) for seed in SEEDS]
    return [(room, room.render(room.camera_path(3)[1], CAMERA)) for room in rooms]


def marked(frame, depth, mask, reach):
    message = cloud(Header(), depth, CAMERA, frame.image[..., ::-1], mask, mask)
    return obstacle_points(message, mask, OBSTACLES, frame.world_from_camera, reach)


def hits(room, frame, rays):
    """Where rays (N, 3) in the world end: points (N, 3), and which are obstacles in reach."""
    origin = frame.world_from_camera[:3, 3]
    points, labels = room_oracle.first_hits(room.scene.solids, origin, rays)
    away = np.linalg.norm(points - origin, axis=-1)
    return points, np.isin(labels, OBSTACLES) & (away > WITHIN.near_m) & (away < WITHIN.far_m)


def truly_seen(room, frame):
    """Points (N, 3) of obstacles, anywhere between and on the pixels."""
    rng = np.random.default_rng(room.seed)
    place = rng.uniform(-0.5, (CAMERA.width - 0.5, CAMERA.height - 0.5), (RAYS, 2))
    slopes = (place - (CAMERA.cx, CAMERA.cy)) / (CAMERA.fx, CAMERA.fy)
    rays = np.column_stack([slopes, np.ones(RAYS)]) @ frame.world_from_camera[:3, :3].T
    points, counts = hits(room, frame, rays)
    return points[counts]


def are_right(room, frame, points):
    """Of each cell that points (N, 3) mark: does the ray towards one of them end in it?"""
    _, one = np.unique(np.floor(points[:, :2] / 0.05), axis=0, return_index=True)
    points = points[one]
    ends, counts = hits(room, frame, points - frame.world_from_camera[:3, 3])
    low = np.floor(points[:, :2] / 0.05) * 0.05
    inside = (ends[:, :2] > low - LINE_M) & (ends[:, :2] < low + 0.05 + LINE_M)
    return inside.all(-1) & counts


def test_true_depth_and_labels_mark_what_is_there(shots):
    found, right = [], []
    for room, frame in shots:
        points = marked(frame, frame.depth, frame.labels, WITHIN)
        found.append(found_within(cells(truly_seen(room, frame)), cells(points)))
        right.append(are_right(room, frame, points))
    recall, precision = (np.concatenate(part).mean() for part in (found, right))
    assert sum(map(len, found)) > 200
    assert recall >= 0.99
    assert precision >= 0.99


def test_the_grid_knows_wrong_depth_and_wrong_labels(shots):
    """What the test above would say if the depth were 5 % off, or the floor were an obstacle."""
    room, frame = shots[0]
    true = cells(truly_seen(room, frame))
    far = marked(frame, frame.depth * np.float32(1.05), frame.labels, WITHIN)
    assert found_within(true, cells(far)).mean() < 0.7
    assert are_right(room, frame, far).mean() < 0.7
    floor = LabelMap.load("nyu13").index("floor")
    walled = np.where(frame.labels == floor, OBSTACLES[0], frame.labels).astype(np.uint8)
    assert are_right(room, frame, marked(frame, frame.depth, walled, WITHIN)).mean() < 0.7


def found_by(student, frame):
    """Of each cell that true depth and labels mark within 4 m: does the student mark it?"""
    answer = student.predict(ColourImage(frame.image, "rgb"), CAMERA.fx)
    answer = answer.at(CAMERA.width, CAMERA.height)
    points = marked(frame, answer.depth(), answer.mask(0.0), Reach())
    return found_within(cells(marked(frame, frame.depth, frame.labels, WITHIN)), cells(points))


def test_the_shipped_student_marks_most_of_what_is_there():
    """In rooms that no training has seen, as benchmarks/obstacles.py measures it of more views.

    The truth is what the first test here compares with the oracle.
    """
    student = StudentPredictor(find_model())
    views = [
        room.render(pose, CAMERA)
        for room in map(Room.generate, HELD_OUT)
        for pose in room.camera_path(3)[:1]
    ]
    found = np.concatenate([found_by(student, view) for view in views])
    assert len(found) > 4000
    assert found.mean() >= 0.8
