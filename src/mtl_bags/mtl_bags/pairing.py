"""Pairs the stamps of two streams, such as colour and depth: offline and live by the same rule."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Primary = TypeVar("Primary")
Secondary = TypeVar("Secondary")


_MOST = 256
"""Items that wait at most, whatever their stamps say."""


@dataclass(frozen=True)
class Pair(Generic[Primary, Secondary]):
    """An item of the first stream, and what of the second one belongs to it.

    Attributes:
        stamp_ns: Of the first.
        first: The item.
        second: The other item; None = there is none within the slop.
    """

    stamp_ns: int
    first: Primary
    second: Secondary | None = None


class Pairer(Generic[Primary, Secondary]):
    """Finds for each item of one stream the nearest of another, within a slop, each used once.

    An item that is nearer to the next of the first stream is left to that. An equal stamp is known
    at once to be the nearest; otherwise pairs are known as soon as both streams have gone past
    them, or with `flush`. Pairs come in the order of the first stream. Where the stamps of a stream
    go backwards, as when a recording starts again, what is waiting is flushed first.

    Args:
        slop_ns: The largest difference of a pair.
        patience_ns: How far the first stream may run ahead while the second is silent.

    Attributes:
        unused: How many items of the second stream went to none of the first.
        backwards: How often stamps went backwards.
    """

    def __init__(self, slop_ns: int, patience_ns: int) -> None:
        """Begin with nothing waiting."""
        self._slop, self._patience = slop_ns, max(patience_ns, 2 * slop_ns)
        self._first: deque[tuple[int, Primary]] = deque()
        self._second: deque[tuple[int, Secondary]] = deque()
        self._latest = {"first": -1, "second": -1}
        self.unused = self.backwards = 0

    def first(self, stamp_ns: int, item: Primary) -> Iterator[Pair[Primary, Secondary]]:
        """Take an item of the first stream; yield the pairs that are known now."""
        yield from self._in_order("first", stamp_ns)
        self._first.append((stamp_ns, item))
        yield from self._known(closed=False)

    def second(self, stamp_ns: int, item: Secondary) -> Iterator[Pair[Primary, Secondary]]:
        """Take an item of the second stream; yield the pairs that are known now."""
        yield from self._in_order("second", stamp_ns)
        self._second.append((stamp_ns, item))
        yield from self._known(closed=False)
        while not self._first and self._is_late(stamp_ns):
            self._second.popleft()
            self.unused += 1

    def flush(self) -> Iterator[Pair[Primary, Secondary]]:
        """Yield all that is waiting, as if nothing more came."""
        yield from self._known(closed=True)
        self.unused += len(self._second)
        self._second.clear()
        self._latest = dict.fromkeys(self._latest, -1)

    def _is_late(self, stamp_ns: int) -> bool:
        """Whether the oldest of the second stream waits for too long."""
        old = bool(self._second) and self._second[0][0] < stamp_ns - self._patience
        return old or len(self._second) > _MOST

    def _in_order(self, stream: str, stamp_ns: int) -> Iterator[Pair[Primary, Secondary]]:
        if stamp_ns < self._latest[stream]:
            self.backwards += 1
            yield from self.flush()
        self._latest[stream] = stamp_ns

    def _known(self, closed: bool) -> Iterator[Pair[Primary, Secondary]]:
        while self._first and (closed or self._decided()):
            stamp_ns, item = self._first.popleft()
            place = self._nearest(stamp_ns)
            if place is None:
                yield Pair(stamp_ns, item)
                continue
            self.unused += place
            for _ in range(place):
                self._second.popleft()
            yield Pair(stamp_ns, item, self._second.popleft()[1])

    def _decided(self) -> bool:
        """Whether what is still to come can change nothing for the first in line."""
        stamp_ns = self._first[0][0]
        after = next((ns for ns, _ in self._second if ns >= stamp_ns), None)
        newest = max(self._first[-1][0], self._second[-1][0] if self._second else 0)
        if newest - stamp_ns > self._patience or max(len(self._first), len(self._second)) > _MOST:
            return True
        if after is None:
            return False
        # Without a successor, it is not known yet whose neighbour a later item is.
        return after == stamp_ns or after > stamp_ns + self._slop or len(self._first) > 1

    def _nearest(self, stamp_ns: int) -> int | None:
        """Place of the nearest item that is not nearer to the next in line."""
        while self._second and self._second[0][0] < stamp_ns - self._slop:
            self._second.popleft()
            self.unused += 1
        following = self._first[0][0] if self._first else None
        candidates = [
            (abs(ns - stamp_ns), place)
            for place, (ns, _) in enumerate(self._second)
            if abs(ns - stamp_ns) <= self._slop
            and (following is None or abs(ns - stamp_ns) <= abs(ns - following))
        ]
        return min(candidates)[1] if candidates else None
