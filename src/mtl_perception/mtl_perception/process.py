"""A node's life as a process: it ends cleanly on SIGINT and SIGTERM, whenever they come."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from mtl_core.errors import MtlError
from mtl_perception import environment
from mtl_perception.errors import PerceptionError

if TYPE_CHECKING:
    from rclpy.callback_groups import CallbackGroup
    from rclpy.executors import Executor
    from rclpy.node import Node

SIGNALS = (signal.SIGINT, signal.SIGTERM)

SWITCH_S = 0.0005
"""How long one Python thread may keep others waiting; a tenth of Python's own, since a frame that
came waits for its worker meanwhile."""


class OwnNode(Protocol):
    """A node that has more to begin and to end than rclpy knows of."""

    @property
    def live(self) -> CallbackGroup | None:
        """Callbacks that go on, in a thread of their own, whatever the others are at."""

    def autostart(self) -> int | None:
        """Begin to work, if its parameters say so; the exit status if there is nothing more."""

    def close(self) -> None:
        """End its threads and free what it holds."""


def run_node(name: str, make: Callable[[], OwnNode], argv: Sequence[str] | None = None) -> int:
    """Run a node until SIGINT or SIGTERM.

    Args:
        name: Of the executable, for messages.
        make: Makes the node; it imports rclpy itself, after the environment is prepared.
        argv: The process's arguments, ROS's own after `--ros-args`; None for those of `sys`.

    Returns:
        0, or 1 if an argument was refused at start or the node cannot be made; or what `autostart`
        returns.
    """
    hold_signals()
    sys.setswitchinterval(SWITCH_S)
    environment.prepare()  # rclpy reads the environment when it is imported
    import rclpy
    from rclpy.exceptions import ParameterException
    from rclpy.signals import SignalHandlerOptions

    try:
        rclpy.init(
            args=None if argv is None else list(argv),
            signal_handler_options=SignalHandlerOptions.NO,
        )
    except RuntimeError as err:  # what rclpy calls a remapping that is none, for one
        print(f"{name}: {err}", file=sys.stderr)
        return 1
    try:
        node = make()
    except (ParameterException, MtlError, PerceptionError) as err:
        rclpy.try_shutdown()
        print(f"{name}: {err}", file=sys.stderr)
        return 1
    try:
        status = node.autostart()
        if status is None:
            spin_until_signal(node, node.live)  # type: ignore[arg-type]
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


def release_signals() -> None:
    """Let SIGINT and SIGTERM end the process as they do where nobody holds them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def spin_until_signal(node: Node, live: CallbackGroup | None = None) -> None:
    """Run a node's callbacks until a signal that `hold_signals` holds arrives.

    Args:
        node: Whose.
        live: Those that a thread of their own runs.
    """
    from rclpy.task import Future

    stop: Future[None] = Future()

    def watch() -> None:
        signal.sigwait(SIGNALS)
        stop.set_result(None)

    threading.Thread(target=watch, name="signals", daemon=True).start()
    with executor_of(node, live) as executor:
        executor.spin_until_future_complete(stop)


@contextmanager
def executor_of(node: Node, live: CallbackGroup | None = None) -> Iterator[Executor]:
    """Return what runs a node's callbacks, those of a group aside, which run meanwhile.

    Two executors of one thread each: rclpy's MultiThreadedExecutor takes twice the CPU for each
    message, which an inference beside it pays for.

    Args:
        node: Whose.
        live: Those that a thread of their own runs, while this is open.
    """
    from rclpy.executors import SingleThreadedExecutor

    class Part(SingleThreadedExecutor):
        """Runs what a condition says."""

        def __init__(self, takes: Callable[[Any], bool]) -> None:
            super().__init__(context=node.context)
            self._takes = takes

        def can_execute(self, entity: Any) -> bool:
            return self._takes(entity.callback_group) and super().can_execute(entity)

        def get_nodes(self) -> list[Node]:
            """The node, which belongs to one executor only as far as rclpy knows."""
            return [node]

    rest = Part(lambda group: group is not live)
    rest.add_node(node)
    try:
        with _beside(Part(lambda group: group is live)) if live else nullcontext():
            yield rest
    finally:
        rest.shutdown()


@contextmanager
def _beside(executor: Executor) -> Iterator[None]:
    """Let a thread run an executor; what goes wrong there ends the process, and is raised here."""
    from rclpy.task import Future

    stop: Future[None] = Future()
    faults: list[Exception] = []

    def spin() -> None:
        try:
            executor.spin_until_future_complete(stop)
        except Exception as err:
            faults.append(err)
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=spin, name="live")
    thread.start()
    try:
        yield
    finally:
        stop.set_result(None)
        executor.wake()
        thread.join()  # an executor that is shut down at work fails there
        executor.shutdown()
    for fault in faults:
        raise fault
