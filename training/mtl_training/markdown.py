"""Lines of Markdown tables."""

from __future__ import annotations

from collections.abc import Iterator


def head(*titles: str) -> Iterator[str]:
    """The first two lines of a table."""
    yield row(*titles)
    yield "|---" * len(titles) + "|"


def row(*cells: str) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"
