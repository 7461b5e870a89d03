"""Pairs of two streams: against a definition that looks at all stamps at once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_bags.pairing import Pairer

SLOP, PATIENCE = 20, 100
Event = tuple[int, str]

stamps = st.lists(st.integers(0, 400), max_size=25, unique=True).map(sorted)


def run(events: list[Event], slop: int = SLOP) -> tuple[list[tuple[int, int | None]], Pairer]:
    """Pairs of stamps, from events in the order in which they come."""
    pairer: Pairer[int, int] = Pairer(slop, PATIENCE)
    pairs = []
    for stamp, stream in events:
        take = pairer.first if stream == "first" else pairer.second
        pairs += take(stamp, stamp)
    pairs += pairer.flush()
    return [(pair.first, pair.second) for pair in pairs], pairer


def in_time(first: list[int], second: list[int]) -> list[Event]:
    return sorted([*((s, "first") for s in first), *((s, "second") for s in second)])


def expected(first: list[int], second: list[int]) -> list[tuple[int, int | None]]:
    """The nearest within the slop that is not nearer to the next one; each used once, in order."""
    pairs: list[tuple[int, int | None]] = []
    free = list(second)
    for stamp, following in pairwise([*first, 10**9]):
        near = [
            (abs(s - stamp), s)
            for s in free
            if abs(s - stamp) <= SLOP and abs(s - stamp) <= abs(s - following)
        ]
        match = min(near)[1] if near else None
        if match is not None:
            free = [s for s in free if s > match]
        pairs.append((stamp, match))
    return pairs


@given(stamps, stamps)
def test_pairs_are_those_of_the_definition(first: list[int], second: list[int]) -> None:
    pairs, pairer = run(in_time(first, second))
    assert pairs == expected(first, second)
    used = [s for _, s in pairs if s is not None]
    assert pairer.unused == len(second) - len(used)
    assert pairer.backwards == 0


@given(stamps, stamps, st.integers(0, PATIENCE - 2 * SLOP))
def test_a_stream_that_comes_late_gives_the_same_pairs(
    first: list[int], second: list[int], late: int
) -> None:
    events = sorted(
        (s + late * (stream == "second"), stream, s) for s, stream in in_time(first, second)
    )
    assert run([(s, stream) for _, stream, s in events])[0] == expected(first, second)


@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from(["first", "second"])), max_size=40))
def test_whatever_the_stamps_nothing_is_lost_or_used_twice(events: list[Event]) -> None:
    pairs, pairer = run(events)
    assert [first for first, _ in pairs] == [s for s, stream in events if stream == "first"]
    used = [s for _, s in pairs if s is not None]
    assert len(used) + pairer.unused == sum(stream == "second" for _, stream in events)
    assert all(abs(first - s) <= SLOP for first, s in pairs if s is not None)


def test_each_second_goes_to_the_nearer_first() -> None:
    """Colour at three times the rate of depth."""
    pairs, _ = run(in_time([0, 33, 66, 99], [31, 98]), slop=40)
    assert pairs == [(0, None), (33, 31), (66, None), (99, 98)]


def test_an_equal_stamp_is_known_at_once() -> None:
    """A player in lock-step waits for the answer before it sends more."""
    pairer: Pairer[str, str] = Pairer(SLOP, PATIENCE)
    assert list(pairer.first(5, "colour")) == []
    assert [(p.first, p.second) for p in pairer.second(5, "depth")] == [("colour", "depth")]
    assert list(pairer.second(9, "depth")) == []
    assert [(p.first, p.second) for p in pairer.first(9, "colour")] == [("colour", "depth")]


def test_without_a_second_stream_the_first_goes_on_after_a_while() -> None:
    pairer: Pairer[int, int] = Pairer(SLOP, PATIENCE)
    known = [len(list(pairer.first(10 * n, n))) for n in range(50)]
    assert sum(known) == 50 - PATIENCE // 10 - 1


@pytest.mark.parametrize("stream", ["first", "second"])
def test_what_waits_stays_bounded(stream: str) -> None:
    """Stamps that all are 0, or one stream alone."""
    pairer: Pairer[int, int] = Pairer(SLOP, PATIENCE)
    for n in range(2000):
        list(pairer.first(0, n) if stream == "first" else pairer.second(n, n))
    assert len(list(pairer.flush())) < 300
    if stream == "second":
        assert pairer.unused == 2000


def test_a_first_that_stopped_does_not_hold_what_goes_on() -> None:
    """One image and depth within the slop, and then depth alone, or depth that stands still."""
    for step in (1, 0):
        pairer: Pairer[int, int] = Pairer(SLOP, PATIENCE)
        pairs = list(pairer.first(0, 0))
        for n in range(1, 2000):
            pairs += pairer.second(5 + step * n, n)
        assert len(pairs) == 1
        left = pairer.unused
        list(pairer.flush())
        assert pairer.unused - left < 300


def test_stamps_that_go_backwards_begin_anew() -> None:
    events: list[Event] = [
        (100, "first"),
        (200, "first"),
        (3, "first"),
        (3, "second"),
        (200, "second"),
    ]
    pairs, pairer = run(events)
    assert pairs == [(100, None), (200, None), (3, 3)]
    assert pairer.backwards == 1
