"""What a node did with its frames, for `/diagnostics`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

COUNTS = ("received", "answered", "dropped", "rejected", "unwatched")


@dataclass
class Health:
    """Counts since the node's start: received = the other four + what waits or is at hand.

    Each count is written by one thread only, so that none needs a lock.

    Attributes:
        received: Frames that arrived while the node was active.
        answered: Frames of which every wanted output was published.
        dropped: Frames that a newer one replaced before their turn.
        rejected: Frames that could not be used.
        unwatched: Frames that were left alone, since nobody subscribed an output.
        last_error: Why the last frame was rejected, or the last configuration failed.
        unusable: The last configuration failed.
    """

    received: int = 0
    answered: int = 0
    dropped: int = 0
    rejected: int = 0
    unwatched: int = 0
    last_error: str = ""
    unusable: bool = False
    _reported: int = 0

    def reject(self, reason: str) -> None:
        """Count a frame that could not be used."""
        self.rejected += 1
        self.last_error = reason

    def configured(self, error: str = "") -> None:
        """Note how a configuration ended."""
        self.unusable = bool(error)
        self.last_error = error

    def status(self, name: str, state: str, facts: Mapping[str, str]) -> DiagnosticStatus:
        """Return the state of things; WARN if frames were rejected since the last call.

        Args:
            name: The node's full name.
            state: Its lifecycle state.
            facts: What else to show, such as the model.
        """
        level, message = self._verdict(state)
        counts = {count: str(getattr(self, count)) for count in COUNTS}
        shown = {"state": state, **counts, **facts, "last_error": self.last_error}
        return DiagnosticStatus(
            level=level,
            name=f"{name}: frames",
            message=message,
            hardware_id=name,
            values=[KeyValue(key=key, value=value) for key, value in shown.items()],
        )

    def _verdict(self, state: str) -> tuple[bytes, str]:
        rejected = self.rejected
        fresh, self._reported = rejected - self._reported, rejected
        if self.unusable:
            return DiagnosticStatus.ERROR, self.last_error
        if fresh:
            return DiagnosticStatus.WARN, f"{fresh} frames rejected, last: {self.last_error}"
        return DiagnosticStatus.OK, state
