"""A queue between threads that drops the oldest when it is full."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Queue(Generic[T]):
    """First in, first out; every item is taken once, dropped once, or still waits.

    Args:
        length: How many may wait.
    """

    def __init__(self, length: int) -> None:
        """Start empty and open."""
        self._changed = threading.Condition()
        self._waiting: deque[T] = deque()
        self._length, self._closed = length, False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def put(self, item: T) -> int:
        """Leave an item; returns how many were dropped for it: the oldest, or this if closed."""
        with self._changed:
            if self._closed:
                return 1
            self._waiting.append(item)
            self._changed.notify()
            if len(self._waiting) <= self._length:
                return 0
            self._waiting.popleft()
            return 1

    def take(self) -> T | None:
        """Wait for an item and remove it; returns None once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return self._waiting.popleft() if self._waiting else None

    def close(self) -> int:
        """Wake all who wait; returns how many waiting items were dropped. May be called twice."""
        with self._changed:
            dropped = len(self._waiting)
            self._waiting.clear()
            self._closed = True
            self._changed.notify_all()
            return dropped
