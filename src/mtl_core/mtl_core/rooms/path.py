"""A smooth walk of a camera through the free space of a room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

from mtl_core.rooms.kit import LABELS
from mtl_core.rooms.light import looking
from mtl_core.rooms.solids import Doubles, Solid
from mtl_core.rooms.textures import Rng

Cells = npt.NDArray[np.bool_]
Cell = tuple[int, int]

_BACKGROUND = tuple(LABELS.index(name) for name in ("ceiling", "floor", "wall"))
_APPEAL = np.ones(len(LABELS))
_APPEAL[[LABELS.index(name) for name in ("chair", "table", "tv", "sofa")]] = 8.0, 4.0, 2.5, 1.5
_APPEAL[[LABELS.index(name) for name in ("bed", "picture", "objects")]] = 0.5, 0.6, 0.7
"""How much a class draws the eye; large where its solids are thin or the class is rare."""

_GRID = 0.12
_SAMPLES = 400
_CLEARANCES = (0.55, 0.48, 0.44, 0.42)
"""Metres that the camera keeps from everything: the first that leaves room to walk counts."""

_ENOUGH = 1.0
"""Square metres of free floor that are room to walk."""

_SLACK = 0.03
"""Metres of clearance that smoothing may use up."""


def distance_to(solids: Sequence[Solid], points: Doubles) -> Doubles:
    """Distance (N,) in metres from points (N, 3) to the nearest solid's bounding box."""
    nearest = np.full(len(points), np.inf)
    for solid in solids:
        local = np.abs((points - solid.centre) @ solid.rotation) - solid.half
        outside = np.sqrt((np.maximum(local, 0) ** 2).sum(1))
        nearest = np.minimum(nearest, outside)
    return nearest


class Walk:
    """A walk, sampled finely: positions (S, 3) metres; angles (S, 3) yaw, pitch, roll, radians."""

    def __init__(self, rng: Rng, solids: Sequence[Solid], size: Doubles) -> None:
        """Find a walk that keeps clear of all solids.

        Args:
            rng: Source of randomness.
            solids: Everything in the room, walls included.
            size: (3,) of the room, whose corner is the origin.
        """
        ground = _ground(rng, solids, size)
        self.positions = _smooth(rng, _stroll(rng, ground.free), ground, solids)
        self.angles = _gaze(rng, self.positions, solids)

    def poses(self, frames: int) -> Doubles:
        """World-from-camera poses (frames, 4, 4), evenly spaced in time."""
        at = np.linspace(0, _SAMPLES - 1, frames)
        place, turn = _resampled(self.positions, at), _resampled(self.angles, at)
        return np.stack([_pose(p, a) for p, a in zip(place, turn, strict=True)])


def _resampled(curve: Doubles, at: Doubles) -> Doubles:
    """Values (N, D) of a curve (S, D) at fractional indices (N,)."""
    base = np.arange(len(curve))
    return np.stack([np.interp(at, base, column) for column in curve.T], 1)


def _pose(position: Doubles, angles: Doubles) -> Doubles:
    heading, lift, roll = angles
    forward = [np.cos(heading) * np.cos(lift), np.sin(heading) * np.cos(lift), np.sin(lift)]
    return looking(position, np.array(forward), float(roll))


@dataclass(frozen=True, eq=False)
class _Ground:
    """Connected cells of a grid over the floor where a camera at a height keeps its clearance."""

    height: float
    clearance: float
    free: Cells


def _ground(rng: Rng, solids: Sequence[Solid], size: Doubles) -> _Ground:
    """The first free ground that is large enough, or the largest of all."""
    heights = rng.uniform(0.8, 1.8, 6).tolist()
    found = []
    for clearance, height in product(_CLEARANCES, heights):
        distance = distance_to(solids, _centres(size, height))
        free = _largest_part(distance.reshape(_shape(size)) > clearance + _SLACK)
        found.append(_Ground(height, clearance, free))
        if free.sum() * _GRID**2 > _ENOUGH:
            return found[-1]
    return max(found, key=lambda ground: int(ground.free.sum()))


def _shape(size: Doubles) -> tuple[int, int]:
    return int(size[0] / _GRID), int(size[1] / _GRID)


def _centres(size: Doubles, height: float) -> Doubles:
    """Middles (N, 3) of the grid's cells at a height."""
    rows, columns = np.indices(_shape(size)).reshape(2, -1)
    return np.column_stack(
        [(rows + 0.5) * _GRID, (columns + 0.5) * _GRID, np.full(len(rows), height)]
    )


def _steps_from(free: Cells, start: Cell) -> npt.NDArray[np.int32]:
    """Number of steps from a cell to each free one, -1 where there is no way.

    The grid's rim is never free, the walls stand there; so rolling over it does no harm.
    """
    steps = np.full(free.shape, -1, np.int32)
    front = np.zeros_like(free)
    front[start] = True
    while front.any():
        steps[front] = steps.max() + 1
        spread = [np.roll(front, shift, axis) for shift in (-1, 1) for axis in (0, 1)]
        front = np.logical_or.reduce(spread) & free & (steps < 0)
    return steps


def _largest_part(free: Cells) -> Cells:
    """The largest connected part of the free cells."""
    largest, rest = np.zeros_like(free), free
    while rest.sum() > largest.sum():
        part = _steps_from(rest, _cell(np.argwhere(rest)[0])) >= 0
        largest, rest = max(largest, part, key=np.count_nonzero), rest & ~part
    return largest


def _cell(place: npt.NDArray[np.intp]) -> Cell:
    return int(place[0]), int(place[1])


def _stroll(rng: Rng, free: Cells) -> Doubles:
    """Positions (N, 2) along shortest ways between four free cells that lie far apart."""
    cells = np.argwhere(free)
    stops = [cells[rng.integers(len(cells))]]
    for _ in range(3):
        candidates = cells[rng.integers(len(cells), size=6)]
        gaps = [min(np.abs(c - s).sum() for s in stops) for c in candidates]
        stops.append(candidates[int(np.argmax(gaps))])
    way = [_cell(stops[0])]
    for _, last in pairwise(stops):
        way += _way(_steps_from(free, _cell(last)), way[-1])
    return (np.array(way) + 0.5) * _GRID


def _way(steps: npt.NDArray[np.int32], start: Cell) -> list[Cell]:
    """Cells after the start down to the one of 0 steps."""
    way, (row, column) = [], start
    while steps[row, column] > 0:
        around = ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1))
        row, column = next(c for c in around if steps[c] == steps[row, column] - 1)
        way.append((row, column))
    return way


def _smooth(rng: Rng, nodes: Doubles, ground: _Ground, solids: Sequence[Solid]) -> Doubles:
    """Positions (S, 3) along the nodes (N, 2), as smooth as the clearance allows."""
    line = _resampled(nodes, np.linspace(0, len(nodes) - 1, _SAMPLES))
    at = np.linspace(0, 1, _SAMPLES)
    bob = 0.03 * np.sin(2 * np.pi * (at * rng.uniform(1, 3) + rng.random()))
    for width in (40.0, 25.0, 15.0, 8.0, 4.0, 1.0):
        smooth = np.stack([_blurred(column, width) for column in line.T], 1)
        positions = np.column_stack([smooth, ground.height + bob])
        if distance_to(solids, positions).min() >= ground.clearance - _SLACK:
            break
    return positions


def _blurred(values: Doubles, width: float) -> Doubles:
    """Values (S,) after a Gaussian of the given deviation in samples, ends held."""
    reach = int(3 * width)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    return np.convolve(np.pad(values, reach, mode="edge"), kernel / kernel.sum(), mode="valid")


def _gaze(rng: Rng, positions: Doubles, solids: Sequence[Solid]) -> Doubles:
    """Viewing angles (S, 3): at changing parts of the room, slightly down, nearly level."""
    things = [solid for solid in solids if solid.label not in _BACKGROUND]
    keys = np.linspace(0, _SAMPLES - 1, 6).astype(int)
    headings = np.unwrap([_heading(rng, positions[key], things) for key in keys])
    down = 0.15 + 0.12 * (positions[0, 2] - 1.2)
    lifts = np.clip(rng.normal(0, 0.16, len(keys)) - down, -0.6, 0.25)
    rolls = rng.normal(0, 0.02, len(keys))
    curves = [np.interp(np.arange(_SAMPLES), keys, v) for v in (headings, lifts, rolls)]
    return np.column_stack([_blurred(curve, 25.0) for curve in curves])


def _heading(rng: Rng, position: Doubles, things: Sequence[Solid]) -> float:
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
