"""Newest item only, of each source: a thread that works on the newest ones, and on no older one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)
T = TypeVar("T")


class Slots(Generic[S, T]):
    """One waiting place for each source; sources are served in turn.

    Args:
        sources: What items are left for.
    """

    def __init__(self, sources: Iterable[S]) -> None:
        """Start empty and open."""
        self._changed = threading.Condition()
        self._waiting: dict[S, T] = {}
        self._turns, self._closed = deque(sources), False

    def put(self, source: S, item: T) -> int:
        """Leave an item; returns how many were dropped for it: an older one, or this if closed."""
        with self._changed:
            if self._closed:
                return 1
            dropped = int(source in self._waiting)
            self._waiting[source] = item
            self._changed.notify()
            return dropped

    def take(self, most: int = 1) -> list[T]:
        """Wait for items and remove so many at most; who was served last comes last.

        Returns:
            At least one; none once this is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            served = [source for source in self._turns if source in self._waiting][:most]
            for source in served:
                self._turns.remove(source)
            self._turns.extend(served)
            return [self._waiting.pop(source) for source in served]

    def newer(self, source: S) -> T | None:
        """Remove what came meanwhile from a source that is being served; None if nothing did."""
        with self._changed:
            return self._waiting.pop(source, None)

    def close(self) -> list[S]:
        """Wake all who wait; returns whose items were dropped. May be called twice."""
        with self._changed:
            dropped = list(self._waiting)
            self._waiting.clear()
            self._closed = True
            self._changed.notify_all()
            return dropped


class Worker(Generic[S, T]):
    """One thread that hands the newest items to a function.

    Args:
        handle: What to do with items; it must not raise.
        name: Name of the thread.
        sources: Where items come from.
        most: How many are handed over at once, asked anew each time.
    """

    def __init__(
        self,
        handle: Callable[[list[T]], None],
        name: str,
        sources: Iterable[S],
        most: Callable[[], int] = lambda: 1,
    ) -> None:
        """Start the thread."""
        self._slots: Slots[S, T] = Slots(sources)
        self._handle, self._most = handle, most
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    def offer(self, source: S, item: T) -> int:
        """Leave an item for the thread; returns how many were dropped for it (0 or 1)."""
        return self._slots.put(source, item)

    def newer(self, source: S) -> T | None:
        """See `Slots.newer`; for the function that items are handed to."""
        return self._slots.newer(source)

    def stop(self) -> list[S]:
        """Let the thread finish the items at hand and join it; returns whose items were dropped."""
        dropped = self._slots.close()
        self._thread.join()
        return dropped

    def _run(self) -> None:
        while items := self._slots.take(self._most()):
            self._handle(items)
