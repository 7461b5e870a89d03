"""Where a frame's time goes: each moment belongs to one stage."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

STAGES = ("wait", "pre", "infer", "post", "publish")
"""Waiting for its turn; decoding and preparing; the network; making messages; sending them."""

POINTS = (50, 95, 99)
"""Percentiles that are shown."""

WINDOW = 300
"""Frames that percentiles are of."""


class Laps:
    """A stopwatch for one frame; it runs in one stage at a time.

    Args:
        stage: The first one.
        since_s: When that began, on `time.perf_counter`.

    Attributes:
        seconds: What each stage took so far, without the one that runs.
    """

    def __init__(self, stage: str, since_s: float) -> None:
        """Start."""
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._stage, self._since_s = stage, since_s

    def switch(self, stage: str) -> str:
        """End the stage that runs and begin another one; returns which one ended."""
        now = time.perf_counter()
        self.seconds[self._stage] += now - self._since_s
        ended, self._stage, self._since_s = self._stage, stage, now
        return ended

    def end(self) -> dict[str, float]:
        """Seconds of each stage until now."""
        self.switch(self._stage)
        return self.seconds

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Be in a stage inside the block; the one around it goes on afterwards."""
        around = self.switch(name)
        try:
            yield
        finally:
            self.switch(around)

    def move(self, source: str, target: str, seconds: float) -> None:
        """Reckon a part of one stage's time to another one."""
        self.seconds[source] -= seconds
        self.seconds[target] += seconds


class Latencies:
    """What the last frames took, by stage; one thread adds, any may look."""

    def __init__(self) -> None:
        """Begin without any frame."""
        self._frames: deque[Mapping[str, float]] = deque(maxlen=WINDOW)

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add a frame."""
        self._frames.append(seconds)

    def percentiles_ms(self) -> dict[str, float]:
        """`POINTS` of each stage and of their sum, such as `infer_p50_ms`; none of none."""
        frames = list(self._frames.copy())
        if not frames:
            return {}
        table = {stage: [frame[stage] for frame in frames] for stage in STAGES}
        table = {"latency": [sum(frame.values()) for frame in frames], **table}
        return {
            f"{name}_p{point}_ms": 1000 * float(np.percentile(values, point))
            for name, values in table.items()
            for point in POINTS
        }
