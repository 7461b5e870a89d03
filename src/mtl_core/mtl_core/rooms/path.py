"""A smooth walk of a camera through the free space of a room."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mtl_core.rooms.kit import LABELS
from mtl_core.rooms.shading import looking
from mtl_core.rooms.solids import Doubles, Solid

_BACKGROUND = tuple(LABELS.index(name) for name in ("ceiling", "floor", "wall"))
_APPEAL = np.ones(len(LABELS))
_APPEAL[[LABELS.index(name) for name in ("chair", "table", "tv", "sofa")]] = 8.0, 4.0, 2.5, 1.5
_APPEAL[[LABELS.index(name) for name in ("bed", "picture", "objects")]] = 0.5, 0.6, 0.7
"""How much a class draws the eye; large where its solids are thin or the class is rare."""

_GRID = 0.12
_SAMPLES = 400
_CLEARANCES = (0.55, 0.48, 0.44, 0.42)
"""Distance that the camera keeps from everything, the largest that leaves room to walk."""


def distance_to(solids: Sequence[Solid], points: Doubles) -> Doubles:
    """Distance (N,) in metres from points (N, 3) to the nearest solid's bounding box."""
    nearest = np.full(len(points), np.inf)
    for solid in solids:
        local = np.abs((points - solid.centre) @ solid.rotation) - solid.half
        outside = np.sqrt((np.maximum(local, 0) ** 2).sum(1))
        nearest = np.minimum(nearest, outside)
    return nearest


class Walk:
    """A closed or open curve of positions and viewing angles, sampled finely.

    positions: (S, 3) metres; angles: (S, 3) yaw, pitch, roll in radians.
    """

    def __init__(self, rng: np.random.Generator, solids: Sequence[Solid], size: Doubles) -> None:
        """Find a curve that keeps clear of all solids.

        Args:
            rng: Source of randomness.
            solids: Everything in the room, walls included.
            size: (3,) of the room, whose corner is the origin.
        """
        height, free, clearance = _free_space(rng, solids, size)
        nodes = _stroll(rng, free, size)
        self.positions = _smooth(nodes, height, solids, clearance, rng)
        self.angles = _gaze(rng, self.positions, solids)

    def poses(self, frames: int) -> Doubles:
        """World-from-camera poses (frames, 4, 4), evenly spaced in time."""
        at = np.linspace(0, len(self.positions) - 1, frames)
        base = np.arange(len(self.positions))
        place = np.stack([np.interp(at, base, column) for column in self.positions.T], 1)
        turn = np.stack([np.interp(at, base, column) for column in self.angles.T], 1)
        return np.stack([_pose(p, a) for p, a in zip(place, turn)])


def _pose(position: Doubles, angles: Doubles) -> Doubles:
    heading, lift, roll = angles
    forward = [np.cos(heading) * np.cos(lift), np.sin(heading) * np.cos(lift), np.sin(lift)]
    return looking(position, np.array(forward), float(roll))


def _free_space(
    rng: np.random.Generator, solids: Sequence[Solid], size: Doubles
) -> tuple[float, npt.NDArray[np.bool_], float]:
    """A height, the largest connected set of free grid cells at it, and the distance they keep."""
    heights = rng.uniform(0.8, 1.8, 6)
    best: tuple[float, npt.NDArray[np.bool_], float] | None = None
    for clearance in _CLEARANCES:
        for height in heights:
            cells = _largest(distance_to(solids, _cells(size, height)) > clearance + 0.03, size)
            if best is None or cells.sum() > best[1].sum():
                best = (float(height), cells, clearance)
            if cells.sum() * _GRID**2 > 1.0:
                return best if best[2] == clearance else (float(height), cells, clearance)
    assert best is not None
    return best


def _shape(size: Doubles) -> tuple[int, int]:
    return int(size[0] / _GRID), int(size[1] / _GRID)


def _cells(size: Doubles, height: float) -> Doubles:
    rows, columns = np.indices(_shape(size)).reshape(2, -1)
    place = [(rows + 0.5) * _GRID, (columns + 0.5) * _GRID, np.full(len(rows), height)]
    return np.stack(place, 1)


def _largest(free: npt.NDArray[np.bool_], size: Doubles) -> npt.NDArray[np.bool_]:
    """The largest 4-connected part of the free cells, by spreading the highest cell number."""
    free = free.reshape(_shape(size))
    marks = np.where(free, np.arange(1, free.size + 1).reshape(free.shape), 0)
    while True:
        padded = np.pad(marks, 1)
        spread = np.max(
            [padded[1:-1, 1:-1], padded[2:, 1:-1], padded[:-2, 1:-1], padded[1:-1, 2:], padded[1:-1, :-2]], 0
        )
        spread = np.where(free, spread, 0)
        if (spread == marks).all():
            break
        marks = spread
    counts = np.bincount(marks.ravel())
    counts[0] = 0
    return (marks == counts.argmax()) & free if counts.any() else free


def _stroll(rng: np.random.Generator, free: npt.NDArray[np.bool_], size: Doubles) -> Doubles:
    """Grid positions (N, 2) along shortest ways between a few far-apart free cells."""
    cells = np.argwhere(free)
    stops = [cells[rng.integers(len(cells))]]
    for _ in range(3):
        candidates = cells[rng.integers(len(cells), size=6)]
        gaps = [min(np.abs(c - s).sum() for s in stops) for c in candidates]
        stops.append(candidates[int(np.argmax(gaps))])
    way = [stops[0]]
    for first, second in zip(stops, stops[1:]):
        way += _shortest(free, first, second)
    return (np.array(way) + 0.5) * _GRID


def _shortest(
    free: npt.NDArray[np.bool_], first: npt.NDArray[np.intp], last: npt.NDArray[np.intp]
) -> list[npt.NDArray[np.intp]]:
    """Cells after the first up to the last on a shortest way through free cells."""
    distance = np.full(free.shape, -1)
    distance[tuple(last)] = 0
    border = [tuple(last)]
    steps = ((1, 0), (-1, 0), (0, 1), (0, -1))
    while border and distance[tuple(first)] < 0:
        following = []
        for row, column in border:
            for dr, dc in steps:
                cell = (row + dr, column + dc)
                inside = 0 <= cell[0] < free.shape[0] and 0 <= cell[1] < free.shape[1]
                if inside and free[cell] and distance[cell] < 0:
                    distance[cell] = distance[row, column] + 1
                    following.append(cell)
        border = following
    way, here = [], tuple(first)
    while distance[here] > 0:
        around = [(here[0] + dr, here[1] + dc) for dr, dc in steps]
        here = next(
            c
            for c in around
            if 0 <= c[0] < free.shape[0] and 0 <= c[1] < free.shape[1]
            and distance[c] == distance[here] - 1
        )
        way.append(np.array(here))
    return way


def _smooth(
    nodes: Doubles,
    height: float,
    solids: Sequence[Solid],
    clearance: float,
    rng: np.random.Generator,
) -> Doubles:
    """Positions (S, 3) along the nodes, as smooth as the clearance allows."""
    base = np.linspace(0, 1, max(len(nodes), 2))
    nodes = nodes if len(nodes) > 1 else np.repeat(nodes, 2, 0)
    at = np.linspace(0, 1, _SAMPLES)
    line = np.stack([np.interp(at, base, column) for column in nodes.T], 1)
    bob = 0.03 * np.sin(2 * np.pi * (at * rng.uniform(1, 3) + rng.random()))
    for width in (40.0, 25.0, 15.0, 8.0, 4.0, 1.0):
        smooth = np.stack([_blurred(column, width) for column in line.T], 1)
        positions = np.column_stack([smooth, height + bob])
        if distance_to(solids, positions).min() >= clearance - 0.03:
            return positions
    return np.column_stack([line, np.full(_SAMPLES, height)])


def _blurred(values: Doubles, width: float) -> Doubles:
    """Values (S,) after a Gaussian of the given deviation in samples, ends held."""
    reach = int(3 * width)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    return np.convolve(np.pad(values, reach, mode="edge"), kernel / kernel.sum(), mode="valid")


def _gaze(rng: np.random.Generator, positions: Doubles, solids: Sequence[Solid]) -> Doubles:
    """Viewing angles (S, 3): at changing parts of the room, slightly down."""
    keys = np.linspace(0, len(positions) - 1, 6).astype(int)
    things = [s for s in solids if s.label not in _BACKGROUND]
    headings = [_heading(rng, positions[key], things) for key in keys]
    headings = np.unwrap(headings)
    base = np.arange(len(positions))
    heading = _blurred(np.interp(base, keys, headings), 25.0)
    lifts = np.clip(rng.normal(-0.15, 0.16, len(keys)) - 0.12 * (positions[0, 2] - 1.2), -0.6, 0.25)
    lift = _blurred(np.interp(base, keys, lifts), 25.0)
    roll = _blurred(np.interp(base, keys, rng.normal(0, 0.02, len(keys))), 25.0)
    return np.column_stack([heading, lift, roll])


def _heading(rng: np.random.Generator, position: Doubles, things: Sequence[Solid]) -> float:
    """The direction in which most kinds of things are well in view, more or less."""
    headings = rng.uniform(-np.pi, np.pi) + np.arange(16) * (np.pi / 8)
    worth = np.zeros((len(LABELS), 16))
    for thing in things:
        dx, dy, _ = thing.centre - position
        distance = max(float(np.hypot(dx, dy)), 1.7)
        turn = (headings - np.arctan2(dy, dx) + np.pi) % (2 * np.pi) - np.pi
        area = np.sort(thing.half)[1:].prod() / distance**2
        worth[thing.label] += _APPEAL[thing.label] * np.exp(-((turn / 0.45) ** 2)) * min(area, 0.1)
    score = np.sqrt(worth).sum(0) * rng.uniform(0.5, 1.0, 16)
    return float(headings[int(np.argmax(score))])
