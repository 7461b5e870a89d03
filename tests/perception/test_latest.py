"""Newest frame only: the laws of a waiting place for each source, and of the thread they serve."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_perception.latest import Slots, Worker

SOURCES = ("front", "left", "right")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(SOURCES)),
        st.tuples(st.just("take"), st.integers(1, 3)),
        st.just(("close", None)),
    )
)


@given(STEPS)
def test_what_is_taken_is_the_newest_of_each_and_the_rest_was_dropped(
    steps: list[tuple[str, Any]],
) -> None:
    slots: Slots[str, tuple[str, int]] = Slots(SOURCES)
    waiting: dict[str, tuple[str, int]] = {}  # the oracle
    put = dropped = taken = 0
    closed = False
    for step, what in steps:
        if step == "put":
            put += 1
            dropped += slots.put(what, (what, put))
            if not closed:
                waiting[what] = (what, put)
        elif step == "close":
            assert sorted(slots.close()) == sorted(waiting)
            dropped += len(waiting)
            waiting, closed = {}, True
        elif waiting or closed:  # take would wait otherwise
            items = slots.take(what)
            assert len(items) == min(what, len(waiting))
            assert all(waiting.pop(source) == (source, number) for source, number in items)
            taken += len(items)
        assert put == taken + dropped + len(waiting)


@given(st.lists(st.sampled_from(SOURCES), min_size=1), st.integers(1, 3))
def test_nobody_who_waits_is_passed_over_twice(arrivals: list[str], most: int) -> None:
    """However often the others come, each source that waits is among the next three."""
    slots: Slots[str, str] = Slots(SOURCES)
    since: dict[str, int] = {}
    served = 0
    for source in arrivals:
        slots.put(source, source)
        since.setdefault(source, served)
        for item in slots.take(most) if len(since) > 1 else []:
            served += 1
            assert served - since.pop(item) <= len(SOURCES)


def test_what_comes_while_a_source_is_served_can_be_taken_instead() -> None:
    slots: Slots[str, int] = Slots(SOURCES)
    slots.put("front", 1)
    assert slots.take() == [1]
    assert slots.newer("front") is None
    slots.put("left", 2)
    slots.put("front", 3)
    assert slots.newer("front") == 3
    assert slots.newer("front") is None
    assert slots.take(3) == [2]


def test_sources_that_always_wait_are_served_in_turn() -> None:
    slots: Slots[str, str] = Slots(SOURCES)
    turns: list[str] = []
    for _ in range(6):
        for source in SOURCES:
            slots.put(source, source)
        turns += slots.take()
    assert turns == [*SOURCES, *SOURCES]


@given(items=st.integers(0, 400), takers=st.integers(1, 3))
def test_threads_take_each_item_at_most_once_and_never_an_older_one(
    items: int, takers: int
) -> None:
    slots: Slots[str, int] = Slots(["camera"])
    taken: list[list[int]] = [[] for _ in range(takers)]

    def take(mine: list[int]) -> None:
        while found := slots.take():
            mine += found

    threads = [threading.Thread(target=take, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    dropped = sum(slots.put("camera", item) for item in range(1, items + 1)) + len(slots.close())
    for thread in threads:
        thread.join()
    for mine in taken:
        assert all(older < newer for older, newer in pairwise(mine))
    everything = [item for mine in taken for item in mine]
    assert len(set(everything)) == len(everything) == items - dropped


@pytest.fixture
def gate() -> Iterator[threading.Semaphore]:
    """Lets a worker's handler pass once for each release; opens for good at the end."""
    gate = threading.Semaphore(0)
    yield gate
    gate.release(100)


def test_a_busy_worker_goes_on_with_the_newest_item(gate: threading.Semaphore) -> None:
    begun: list[int] = []
    at_work = threading.Semaphore(0)

    def handle(items: list[int]) -> None:
        begun.extend(items)
        at_work.release()
        gate.acquire()

    worker = Worker(handle, "test", ["camera"])
    assert worker.offer("camera", 1) == 0
    at_work.acquire()
    assert [worker.offer("camera", item) for item in (2, 3, 4)] == [0, 1, 1]
    gate.release()
    at_work.acquire()
    assert begun == [1, 4]
    assert worker.offer("camera", 5) == 0
    gate.release()
    at_work.acquire()
    worker.offer("camera", 6)
    gate.release()
    at_work.acquire()
    gate.release()
    assert worker.stop() == []
    assert begun == [1, 4, 5, 6]


def test_stop_finishes_the_item_at_hand_and_drops_the_waiting_one(
    gate: threading.Semaphore,
) -> None:
    done: list[int] = []
    at_work = threading.Event()

    def handle(items: list[int]) -> None:
        at_work.set()
        gate.acquire()
        done.extend(items)

    worker = Worker(handle, "stopped", ["camera"])
    worker.offer("camera", 1)
    at_work.wait()
    worker.offer("camera", 2)
    gate.release()
    # Whether the thread sees item 2 before the end is its own race; nothing is lost uncounted.
    assert len(worker.stop()) + len(done) in (2, 3)
    assert done[0] == 1
    assert worker.offer("camera", 3) == 1
    assert "stopped" not in {thread.name for thread in threading.enumerate()}
