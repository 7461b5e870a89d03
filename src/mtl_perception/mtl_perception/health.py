"""What a node did with its frames, for `/diagnostics`."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from mtl_perception.laps import Latencies

OUTCOMES = ("answered", "dropped", "outdated", "rejected", "unwatched")
COUNTS = ("received", *OUTCOMES)

RATE_REPORTS = 5
"""Reports over which rates are taken."""


@dataclass(frozen=True)
class Complaint:
    """What is wrong beside frames.

    Attributes:
        level: A level of `DiagnosticStatus`.
        message: In words.
    """

    level: bytes
    message: str


@dataclass
class Health:
    """Counts since the node's start: received = all outcomes + what waits or is at hand.

    Each count is written by one thread only, so that none needs a lock, but `dropped`: see `drop`.

    Attributes:
        received: Frames that arrived while the node was active.
        answered: Frames of which every wanted output was published.
        dropped: Frames that a newer one replaced before their turn.
        outdated: Frames that were too old when it was their turn.
        rejected: Frames that could not be used.
        unwatched: Frames that were left alone, since nobody subscribed an output.
        last_error: Why the last frame was rejected, or the last configuration failed.
        unusable: The last configuration failed.
        latencies: What answered frames took.
    """

    received: int = 0
    answered: int = 0
    dropped: int = 0
    outdated: int = 0
    rejected: int = 0
    unwatched: int = 0
    last_error: str = ""
    unusable: bool = False
    latencies: Latencies = field(default_factory=Latencies)
    _reported: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _history: deque[tuple[float, int, int]] = field(
        default_factory=lambda: deque(maxlen=RATE_REPORTS + 1)
    )

    def drop(self, count: int) -> None:
        """Count dropped frames; those who leave frames and those who stop the worker both do."""
        with self._lock:
            self.dropped += count

    def reject(self, reason: str) -> None:
        """Count a frame that could not be used."""
        self.rejected += 1
        self.last_error = reason

    def configured(self, error: str = "") -> None:
        """Note how a configuration ended."""
        self.unusable = bool(error)
        self.last_error = error

    def status(
        self,
        name: str,
        camera: str,
        state: str,
        facts: Mapping[str, str],
        complaint: Complaint | None = None,
    ) -> DiagnosticStatus:
        """Return the state of things; WARN if frames were rejected since the last call.

        Args:
            name: The node's full name.
            camera: Of whose frames this speaks.
            state: Its lifecycle state.
            facts: What else to show, such as the model.
            complaint: What is wrong beside frames.
        """
        verdict = self._verdict(state, complaint)
        counts = {count: str(getattr(self, count)) for count in COUNTS}
        numbers = {**self._rates(), **self.latencies.percentiles_ms()}
        measured = {key: f"{value:.2f}" for key, value in numbers.items()}
        shown = {"state": state, **counts, **measured, **facts, "last_error": self.last_error}
        return DiagnosticStatus(
            level=verdict.level,
            name=f"{name}: {camera}",
            message=verdict.message,
            hardware_id=name,
            values=[KeyValue(key=key, value=value) for key, value in shown.items()],
        )

    def _rates(self) -> dict[str, float]:
        """Frames a second over the last reports."""
        self._history.append((time.monotonic(), self.received, self.answered))
        (since_s, received, answered), (now_s, *_) = self._history[0], self._history[-1]
        seconds = max(now_s - since_s, 1e-9)
        return {
            "rate_in_hz": (self.received - received) / seconds,
            "rate_out_hz": (self.answered - answered) / seconds,
        }

    def _verdict(self, state: str, complaint: Complaint | None) -> Complaint:
        rejected = self.rejected
        fresh, self._reported = rejected - self._reported, rejected
        if self.unusable:
            return Complaint(DiagnosticStatus.ERROR, self.last_error)
        if fresh:
            text = f"{fresh} frames rejected, last: {self.last_error}"
            return Complaint(DiagnosticStatus.WARN, text)
        return complaint or Complaint(DiagnosticStatus.OK, state)
