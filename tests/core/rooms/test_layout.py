"""How rooms are furnished."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_core.rooms.kit import LABELS
from mtl_core.rooms.plan import Footprint
from mtl_core.rooms.solids import yaw


@st.composite
def footprints(draw):
    numbers = st.floats(-2, 2)
    half = st.floats(0.05, 1.5)
    return Footprint(
        np.array([draw(numbers), draw(numbers)]),
        np.array([draw(half), draw(half)]),
        yaw(draw(numbers))[:2, :2],
    )


@given(footprints(), footprints())
def test_overlap_is_symmetric_and_agrees_with_sampled_points(one, other):
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 60)] * 2), -1).reshape(-1, 2)
    points = one.middle + (grid * one.half) @ one.axes.T
    local = (points - other.middle) @ other.axes
    assert one.overlaps(other) == other.overlaps(one)
    if (np.abs(local) < other.half).all(1).any():
        assert one.overlaps(other)
    if one.overlaps(other):  # then the sampled points come as near as the grid is fine
        gap = np.linalg.norm(np.maximum(np.abs(local) - other.half, 0), axis=1).min()
        assert gap <= np.linalg.norm(2 * one.half / 59)


def bounds(solids):
    """Axis-aligned bounds (N, 3), (N, 3)."""
    centres = np.array([solid.centre for solid in solids])
    reach = np.array([np.abs(solid.rotation) @ solid.half for solid in solids])
    return centres - reach, centres + reach


def test_nothing_floats(rooms):
    """Each solid's bounds touch another solid's, within 3 cm."""
    for room in rooms:
        low, high = bounds(room.scene.solids)
        touches = ((low[:, None] <= high + 0.03) & (high[:, None] >= low - 0.03)).all(-1)
        np.fill_diagonal(touches, False)
        assert touches.any(1).all()


def test_furniture_stays_in_the_room(rooms):
    """Only leaf tips and rugs may reach into a wall, where nobody sees them."""
    for room in rooms:
        inner = room.scene.solids[6:]  # after floor, ceiling and four walls
        strict = [
            s for s in inner if s.label not in {LABELS.index("floor"), LABELS.index("objects")}
        ]
        for solids, slack in ((inner, 0.3), (strict, 0.08)):
            low, high = bounds(solids)
            assert (low > -slack).all()
            assert (high < room.size + slack).all()


def test_rooms_have_the_promised_size(rooms):
    for room in rooms:
        assert ((room.size >= (3, 3, 2.4)) & (room.size <= (7, 7, 3))).all()


@pytest.mark.parametrize("name", ["wall", "floor", "ceiling", "window", "objects", "furniture"])
def test_most_rooms_have_what_rooms_have(rooms, name):
    having = [LABELS.index(name) in room.scene.labels for room in rooms]
    assert sum(having) > len(rooms) / 2
