"""Run the teacher node as a process: `ros2 run mtl_perception teacher_node`, or without ros2."""

from __future__ import annotations

from collections.abc import Sequence

from mtl_perception.process import OwnNode, run_node


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; see `run_node`."""
    return run_node("teacher_node", _make, argv)


def _make() -> OwnNode:
    from mtl_perception.teacher import TeacherNode

    return TeacherNode()


if __name__ == "__main__":
    raise SystemExit(main())
