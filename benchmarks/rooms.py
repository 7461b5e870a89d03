"""Measure how fast rooms are made and photographed, on one thread."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from functools import partial

for _pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_pool] = "1"  # read when numpy is imported

import numpy as np  # noqa: E402

from mtl_core.geometry import Intrinsics  # noqa: E402
from mtl_core.rooms import Room  # noqa: E402

CAMERA = Intrinsics(640, 480, 525.0, 525.0, 319.5, 239.5)
SIZES = ((480, 640), (288, 384))


def seconds(function: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and processor seconds of one call; they differ where other work interferes."""
    wall, processor = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - processor


def furnish(rooms: list[Room], seed: int) -> None:
    """Add a room."""
    rooms.append(Room.generate(seed))


def main(argv: Sequence[str] | None = None) -> int:
    """Print rooms and frames per second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rooms", type=int, default=6, help="default: 6")
    parser.add_argument("--frames", type=int, default=4, help="of each room; default: 4")
    options = parser.parse_args(argv)

    rooms: list[Room] = []
    made = [seconds(partial(furnish, rooms, seed)) for seed in range(options.rooms)]
    rows = {"rooms made": np.array(made)}
    for height, width in SIZES:
        camera = CAMERA.resized(width, height)
        shots = [(room, pose) for room in rooms for pose in room.camera_path(options.frames)]
        taken = [seconds(partial(room.render, pose, camera)) for room, pose in shots]
        rows[f"frames {height}x{width}"] = np.array(taken)

    print(f"{'a second':<20}{'wall clock':>12}{'processor':>12}")
    for name, taken_s in rows.items():
        wall, processor = 1 / taken_s.mean(0)
        print(f"{name:<20}{wall:>12.2f}{processor:>12.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
