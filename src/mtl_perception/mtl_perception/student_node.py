"""Run the student node as a process: `ros2 run mtl_perception student_node`, or without ros2."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mtl_perception import environment
from mtl_perception.process import hold_signals, spin_until_signal


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM.

    Args:
        argv: The process's arguments, ROS's own after `--ros-args`; None for those of `sys`.

    Returns:
        0, or 1 if a parameter was refused at start.
    """
    hold_signals()
    environment.prepare()  # rclpy reads the environment when it is imported
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    rclpy.init(
        args=None if argv is None else list(argv), signal_handler_options=SignalHandlerOptions.NO
    )
    try:
        return _run()
    finally:
        rclpy.try_shutdown()


def _run() -> int:
    from rclpy.exceptions import ParameterException

    from mtl_perception.student import StudentNode

    try:
        node = StudentNode()
    except ParameterException as err:
        print(f"student_node: {err}", file=sys.stderr)
        return 1
    try:
        node.autostart()
        spin_until_signal(node)
    finally:
        node.close()
        node.destroy_node()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
