"""Say whether a node works, for a container's health check: `mtl-health /student`.

The node says so itself, once a second, on `/diagnostics`; one that hangs or is gone says nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mtl_perception import environment, topics

if TYPE_CHECKING:
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

NODE = "mtl_health"
ENCLAVE_VARIABLE = "ROS_SECURITY_ENCLAVE_OVERRIDE"

AT_WORK = ("active", "running")
"""States in which a node does its work, the student's and the teacher's."""

PATIENCE_S = 10.0
"""Finding each other takes up to 3 s, and a report comes each second."""


def fault_of(reports: Sequence[DiagnosticStatus], needs_images: bool = False) -> str:
    """Return why a node does not work; empty if it does.

    A node that was paused works. So does one that gets no images, as far as itself is concerned:
    starting it anew would not help.

    Args:
        reports: The newest of the node, one for each of its cameras.
        needs_images: A camera that brings no images is a fault, too.
    """
    from diagnostic_msgs.msg import DiagnosticStatus

    faulty = {DiagnosticStatus.ERROR} | ({DiagnosticStatus.STALE} if needs_images else set())
    for report in reports:
        state = next((value.value for value in report.values if value.key == "state"), "silent")
        if report.level in faulty:
            return f"{report.name}: {report.message}"
        if state.partition(",")[0] not in AT_WORK:
            return f"{report.name}: {state}, expected {' or '.join(AT_WORK)}"
    return "" if reports else "no report"


def newest_reports(node: str, patience_s: float) -> list[DiagnosticStatus]:
    """Wait for what a node reports next; nothing if it does not, within so many seconds."""
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray

    reports: list[DiagnosticStatus] = []

    def take(message: DiagnosticArray) -> None:
        mine = [status for status in message.status if status.hardware_id == node]
        reports[:] = mine or reports

    rclpy.init(args=["--ros-args", "--enclave", f"/{NODE}"])
    try:
        # As little as a node can be: it comes and goes twice a minute.
        observer = rclpy.create_node(NODE, enable_rosout=False, start_parameter_services=False)
        observer.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, take, 10)
        deadline = time.monotonic() + patience_s
        while rclpy.ok() and not reports and (left := deadline - time.monotonic()) > 0:
            rclpy.spin_once(observer, timeout_sec=left)
        observer.destroy_node()
    finally:
        rclpy.try_shutdown()  # a signal may have done so
    return reports


def main(argv: Sequence[str] | None = None) -> int:
    """Print what is wrong with a node, and return 1; return 0 if nothing is."""
    options = _parser().parse_args(argv)
    os.environ.pop(ENCLAVE_VARIABLE, None)  # in a container it names the node's enclave
    environment.prepare()  # rclpy reads the environment when it is imported
    try:
        fault = fault_of(newest_reports(options.node, options.timeout), options.images)
    except RuntimeError as err:  # what rclpy calls keys that are missing, for one
        fault = str(err)
    print(f"{options.node}: {fault or 'works'}", file=sys.stderr if fault else sys.stdout)
    return 1 if fault else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mtl-health", description="Say whether a node works: 0 if it does, 1 if not."
    )
    parser.add_argument("node", nargs="?", default="/student", help="full name (default: /student)")
    parser.add_argument("--images", action="store_true", help="no images is a fault, too")
    parser.add_argument(
        "--timeout",
        type=float,
        default=PATIENCE_S,
        metavar="S",
        help=f"longest wait for a report, seconds (default: {PATIENCE_S:g})",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
