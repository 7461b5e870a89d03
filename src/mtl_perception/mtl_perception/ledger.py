"""Which frame was answered when."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator


class Ledger:
    """Times of sending and of the results, matched by stamp.

    A frame is answered when a result has come on every needed topic. Where stamps repeat, the first
    result on a topic belongs to the first frame of that stamp.

    Args:
        needed: The topics that together are an answer.
    """

    def __init__(self, needed: Collection[str]) -> None:
        """Begin with nothing sent."""
        self._needed = tuple(needed)
        self._sent: list[tuple[int, float]] = []
        self._came: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
        self._frames_of: Counter[int] = Counter()
        self._answers_of: Counter[int] = Counter()
        self._answered = 0

    def sent(self, stamp_ns: int, time_s: float) -> None:
        """Note that a frame with this stamp left at `time_s`, of any monotonic clock."""
        self._sent.append((stamp_ns, time_s))
        self._frames_of[stamp_ns] += 1
        self._count(stamp_ns)

    def came(self, topic: str, stamp_ns: int, time_s: float) -> None:
        """Note a result; those on other topics than the needed ones do not count."""
        self._came[topic, stamp_ns].append(time_s)
        self._count(stamp_ns)

    @property
    def frames_sent(self) -> int:
        """Number of frames sent."""
        return len(self._sent)

    @property
    def frames_answered(self) -> int:
        """Number of frames with a result on every needed topic."""
        return self._answered

    def latencies_s(self) -> list[float | None]:
        """Return for each frame, as sent, seconds until its last needed result; None without."""
        return list(self._latencies())

    def _count(self, stamp_ns: int) -> None:
        results = (len(self._came.get((topic, stamp_ns), ())) for topic in self._needed)
        answers = min(self._frames_of[stamp_ns], *results)
        self._answered += answers - self._answers_of[stamp_ns]
        self._answers_of[stamp_ns] = answers

    def _latencies(self) -> Iterator[float | None]:
        seen: Counter[int] = Counter()
        for stamp_ns, sent_s in self._sent:
            number = seen[stamp_ns]
            seen[stamp_ns] += 1
            if number < self._answers_of[stamp_ns]:
                times = (self._came[topic, stamp_ns][number] for topic in self._needed)
                yield max(times) - sent_s
            else:
                yield None
