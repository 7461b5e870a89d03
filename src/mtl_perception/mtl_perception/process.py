"""A node's life as a process: it ends cleanly on SIGINT and SIGTERM, whenever they come."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rclpy.node import Node

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def hold_signals() -> None:
    """Let SIGINT and SIGTERM wait for `spin_until_signal`, for this and all later threads.

    Called before rclpy is imported, so that a signal during start-up also ends the process cleanly.
    Context must be initialised with `SignalHandlerOptions.NO`: rclpy's own handlers invalidate the
    context at once, and a worker thread in the middle of publishing would fail.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def spin_until_signal(node: Node) -> None:
    """Run a node's callbacks in this thread until a signal that `hold_signals` holds arrives."""
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.task import Future

    executor = SingleThreadedExecutor()
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
