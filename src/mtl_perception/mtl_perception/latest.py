"""Newest frame only: a thread that works on the newest item, and on no older one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from mtl_perception.queue import Queue

T = TypeVar("T")


class Worker(Generic[T]):
    """One thread that hands the newest item to a function.

    Args:
        handle: What to do with an item; it must not raise.
        name: Name of the thread.
    """

    def __init__(self, handle: Callable[[T], None], name: str) -> None:
        """Start the thread."""
        self._slot: Queue[T] = Queue(1)
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
