"""Newest frame only: a mailbox with one slot, and a thread that works on what lies in it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """A mailbox with one slot for any number of threads: a newer item replaces the waiting one.

    Every item is taken once, reported as dropped once, or still waits; `take` never returns an item
    that is older than one taken before.
    """

    def __init__(self) -> None:
        """Start empty and open."""
        self._changed = threading.Condition()
        self._waiting: list[T] = []
        self._closed = False

    def put(self, item: T) -> int:
        """Leave an item; returns how many were dropped: the one replaced, or this if closed."""
        with self._changed:
            if self._closed:
                return 1
            dropped, self._waiting = len(self._waiting), [item]
            self._changed.notify()
            return dropped

    def take(self) -> T | None:
        """Wait for an item and removes it; returns None once the mailbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return self._waiting.pop() if self._waiting else None

    def close(self) -> int:
        """Wake all who wait; returns how many waiting items were dropped. May be called twice."""
        with self._changed:
            dropped, self._waiting = len(self._waiting), []
            self._closed = True
            self._changed.notify_all()
            return dropped


class Worker(Generic[T]):
    """One thread that hands the newest item to a function.

    Args:
        handle: What to do with an item; it must not raise.
        name: Name of the thread.
    """

    def __init__(self, handle: Callable[[T], None], name: str) -> None:
        """Start the thread."""
        self._slot: Latest[T] = Latest()
        self._handle = handle
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    def offer(self, item: T) -> int:
        """Leave an item for the thread; returns how many were dropped for it (0 or 1)."""
        return self._slot.put(item)

    def stop(self) -> int:
        """Let the thread finish the item at hand and joins it; returns how many were dropped."""
        dropped = self._slot.close()
        self._thread.join()
        return dropped

    def _run(self) -> None:
        while (item := self._slot.take()) is not None:
            self._handle(item)
