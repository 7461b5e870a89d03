"""What the tables of reports share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def row(cells: Sequence[Any]) -> str:
    """A table's row: numbers to three digits, a dash for None."""
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
