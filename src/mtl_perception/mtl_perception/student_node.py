"""Run the student node as a process: `ros2 run mtl_perception student_node`, or without ros2."""

from __future__ import annotations

from collections.abc import Sequence

from mtl_perception.process import OwnNode, run_node


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; see `run_node`."""
    return run_node("student_node", _make, argv)


def _make() -> OwnNode:
    from mtl_perception.student import StudentNode

    return StudentNode()


if __name__ == "__main__":
    raise SystemExit(main())
