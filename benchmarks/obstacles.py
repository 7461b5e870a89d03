"""Measure how well the cells that the student marks as obstacles agree with the true ones.

In synthetic rooms that no training has seen. A true cell is one in which a pixel's true point is
part of an obstacle, a marked one that of a predicted point and class; cells are 5 cm wide. Recall
is the share of the true cells within 4 m that are marked, precision that of the marked cells which
are true, both of all frames together. `off` says how many cells beside it still count as the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from mtl_core.geometry import Intrinsics
from mtl_core.images import ColourImage
from mtl_core.labels import UNLABELLED, LabelMap
from mtl_core.rooms import Frame, Room
from mtl_perception import environment

environment.prepare()  # before rclpy is imported

from std_msgs.msg import Header  # noqa: E402

from mtl_perception.cloud import cloud  # noqa: E402
from mtl_perception.models import find_model  # noqa: E402
from mtl_perception.nav2.costs import CostTable  # noqa: E402
from mtl_perception.nav2.occupancy import (  # noqa: E402
    Cells,
    Reach,
    cells,
    found_within,
    obstacle_points,
)
from mtl_perception.student_predictor import StudentPredictor  # noqa: E402

CAMERA = Intrinsics(640, 480, 525.0, 525.0, 319.5, 239.5)
WITHIN_M = 4.0
OFF = (0, 1, 2, 4)


def main(argv: Sequence[str] | None = None) -> int:
    """Print recall and precision."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="", help="default: the package's student")
    parser.add_argument("--rooms", type=int, default=20, help="default: 20")
    parser.add_argument("--frames", type=int, default=6, help="of each room; default: 6")
    parser.add_argument("--min-confidence", type=float, default=0.0, help="as the node's")
    options = parser.parse_args(argv)

    student = StudentPredictor(find_model(options.model))
    obstacles = CostTable.load(student.label_map).ids("lethal")
    scores = [
        score(student, frame, obstacles, options.min_confidence)
        for frame in tqdm(walk(options.rooms, options.frames), total=options.rooms * options.frames)
    ]
    totals = np.sum(scores, axis=0)
    print(f"{len(scores)} frames, {totals[0, 1]} true cells, {totals[0, 3]} marked")
    for off, (hit, true, right, marked) in zip(OFF, totals, strict=True):
        print(f"off {off} ({5 * off} cm)  recall {hit / true:.3f}  precision {right / marked:.3f}")
    return 0


def walk(rooms: int, frames: int) -> Iterator[Frame]:
    """Photograph the first rooms."""
    for seed in range(rooms):
        room = Room.generate(seed)
        for pose in room.camera_path(frames):
            yield room.render(pose, CAMERA)


def score(
    student: StudentPredictor, frame: Frame, obstacles: Sequence[int], min_confidence: float
) -> list[tuple[int, int, int, int]]:
    """Count true cells that are marked, true ones, marked ones that are true, and marked ones."""
    answer = student.predict(ColourImage(frame.image, "rgb"), CAMERA.fx).at(640, 480)
    mask = answer.mask(min_confidence)
    depth = np.where(mask == UNLABELLED, np.float32(np.nan), answer.depth())
    true_ids = [LabelMap.load("nyu13").index(student.label_map.classes[i]) for i in obstacles]
    near, far = Reach(far_m=WITHIN_M), Reach()
    true, all_true = (marked(frame, frame.depth, frame.labels, true_ids, r) for r in (near, far))
    seen, all_seen = (marked(frame, depth, mask, obstacles, reach) for reach in (near, far))
    return [
        (
            int(found_within(true, all_seen, off).sum()),
            len(true),
            int(found_within(seen, all_true, off).sum()),
            len(seen),
        )
        for off in OFF
    ]


def marked(
    frame: Frame, depth: np.ndarray, mask: np.ndarray, ids: Sequence[int], reach: Reach
) -> Cells:
    """Return the cells that a depth and a mask mark, by way of the node's cloud."""
    message = cloud(Header(), depth, CAMERA, frame.image[..., ::-1], mask, mask)
    return cells(obstacle_points(message, mask, ids, frame.world_from_camera, reach))


if __name__ == "__main__":
    raise SystemExit(main())
