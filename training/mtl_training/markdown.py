"""Lines of Markdown tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def head(*titles: str) -> Iterator[str]:
    """The first two lines of a table."""
    yield row(*titles)
    yield "|---" * len(titles) + "|"


def row(*cells: Any) -> str:
    """One line of a table: floats to three digits, a dash for None."""
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
