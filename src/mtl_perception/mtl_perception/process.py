"""A node's life as a process: it ends cleanly on SIGINT and SIGTERM, whenever they come."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from mtl_core.errors import MtlError
from mtl_perception import environment
from mtl_perception.errors import PerceptionError

if TYPE_CHECKING:
    from rclpy.node import Node

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class OwnNode(Protocol):
    """A node that has more to begin and to end than rclpy knows of."""

    def autostart(self) -> int | None:
        """Begin to work, if its parameters say so; the exit status if there is nothing more."""

    def close(self) -> None:
        """End its threads and free what it holds."""


def run_node(
    name: str, make: Callable[[], OwnNode], argv: Sequence[str] | None = None, threads: int = 1
) -> int:
    """Run a node until SIGINT or SIGTERM.

    Args:
        name: Of the executable, for messages.
        make: Makes the node; it imports rclpy itself, after the environment is prepared.
        argv: The process's arguments, ROS's own after `--ros-args`; None for those of `sys`.
        threads: That run callbacks.

    Returns:
        0, or 1 if a parameter was refused at start or the node cannot be made; or what `autostart`
        returns.
    """
    hold_signals()
    environment.prepare()  # rclpy reads the environment when it is imported
    import rclpy
    from rclpy.exceptions import ParameterException
    from rclpy.signals import SignalHandlerOptions

    rclpy.init(
        args=None if argv is None else list(argv), signal_handler_options=SignalHandlerOptions.NO
    )
    try:
        node = make()
    except (ParameterException, MtlError, PerceptionError) as err:
        rclpy.try_shutdown()
        print(f"{name}: {err}", file=sys.stderr)
        return 1
    try:
        status = node.autostart()
        if status is None:
            spin_until_signal(node, threads)  # type: ignore[arg-type]
    finally:
        node.close()
        node.destroy_node()  # type: ignore[attr-defined]
        rclpy.try_shutdown()
    return status or 0


def hold_signals() -> None:
    """Let SIGINT and SIGTERM wait for `spin_until_signal`, for this and all later threads.

    Called before rclpy is imported, so that a signal during start-up also ends the process cleanly.
    Context must be initialised with `SignalHandlerOptions.NO`: rclpy's own handlers invalidate the
    context at once, and a worker thread in the middle of publishing would fail.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def spin_until_signal(node: Node, threads: int = 1) -> None:
    """Run a node's callbacks until a signal that `hold_signals` holds arrives.

    Args:
        node: Whose; those of one callback group never run at once.
        threads: That run them.
    """
    from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
    from rclpy.task import Future

    executor = SingleThreadedExecutor() if threads == 1 else MultiThreadedExecutor(threads)
    executor.add_node(node)
    stop: Future[None] = Future()

    def watch() -> None:
        signal.sigwait(SIGNALS)
        stop.set_result(None)

    threading.Thread(target=watch, name="signals", daemon=True).start()
    try:
        executor.spin_until_future_complete(stop)
    finally:
        executor.shutdown()
