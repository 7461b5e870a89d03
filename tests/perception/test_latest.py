"""Newest frame only: the laws of the one-slot mailbox and of the thread that empties it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_perception.latest import Worker
from mtl_perception.queue import Queue


@given(st.lists(st.sampled_from(["put", "take", "close"])))
def test_what_is_taken_is_the_newest_and_the_rest_was_dropped(steps: list[str]) -> None:
    slot: Queue[int] = Queue(1)
    put, dropped, closed = 0, 0, False
    newest: int | None = None  # the oracle: all that may be waiting
    taken = 0
    for step in steps:
        if step == "put":
            put += 1
            dropped += slot.put(put)
            newest = None if closed else put
        elif step == "close":
            dropped += slot.close()
            newest, closed = None, True
        elif newest is not None or closed:  # take would wait otherwise
            assert slot.take() == newest
            taken += newest is not None
            newest = None
        assert put == taken + dropped + (newest is not None)


@given(items=st.integers(0, 400), takers=st.integers(1, 3))
def test_threads_take_each_item_at_most_once_and_never_an_older_one(
    items: int, takers: int
) -> None:
    slot: Queue[int] = Queue(1)
    taken: list[list[int]] = [[] for _ in range(takers)]

    def take(mine: list[int]) -> None:
        while (item := slot.take()) is not None:
            mine.append(item)

    threads = [threading.Thread(target=take, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    dropped = sum(slot.put(item) for item in range(1, items + 1)) + slot.close()
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

    def handle(item: int) -> None:
        begun.append(item)
        at_work.release()
        gate.acquire()

    worker = Worker(handle, "test")
    assert worker.offer(1) == 0
    at_work.acquire()
    assert [worker.offer(item) for item in (2, 3, 4)] == [0, 1, 1]
    gate.release()
    at_work.acquire()
    assert begun == [1, 4]
    assert worker.offer(5) == 0
    gate.release()
    at_work.acquire()
    worker.offer(6)
    gate.release()
    at_work.acquire()
    gate.release()
    assert worker.stop() == 0
    assert begun == [1, 4, 5, 6]


def test_stop_finishes_the_item_at_hand_and_drops_the_waiting_one(
    gate: threading.Semaphore,
) -> None:
    done: list[int] = []
    at_work = threading.Event()

    def handle(item: int) -> None:
        at_work.set()
        gate.acquire()
        done.append(item)

    worker = Worker(handle, "stopped")
    worker.offer(1)
    at_work.wait()
    worker.offer(2)
    gate.release()
    # Whether the thread sees item 2 before the end is its own race; nothing is lost uncounted.
    assert worker.stop() + len(done) in (2, 3)
    assert done[0] == 1
    assert worker.offer(3) == 1
    assert "stopped" not in {thread.name for thread in threading.enumerate()}
