"""Command lines of programs that `ros2 launch` may start, which are no nodes of their own."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_FOR_NODES = "--ros-args"


def own_words(argv: Sequence[str] | None = None) -> list[str]:
    """Return a program's own arguments, without those that `ros2 launch` adds for a node.

    Args:
        argv: All of them; None for those of `sys`.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    return words[: words.index(_FOR_NODES)] if _FOR_NODES in words else words
