"""The node under demonstration, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mtl_perception.errors import PerceptionError

_STOP = ((signal.SIGINT, 15.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
"""What ends the node, and how many seconds it is given before the next, harder one."""
_LOG_LINES = 25


class NodeProcess:
    """A running node whose output goes to a file; see `running`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """Watch a process that writes to this log."""
        self.process, self._log = process, log

    def check(self) -> None:
        """Raise PerceptionError, with the end of the log, when the node has ended."""
        status = self.process.poll()
        if status is not None:
            raise PerceptionError(self.describe(f"the node ended with exit status {status}"))

    def describe(self, problem: str) -> str:
        """Return a message about the node that ends with the last lines of its log."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        tail = "\n".join(f"    {line}" for line in lines[-_LOG_LINES:]) or "    (empty)"
        return f"{problem}; the end of its log, {self._log}:\n{tail}"


@contextmanager
def running(module: str, arguments: Sequence[str], log: Path) -> Iterator[NodeProcess]:
    """Run `python -m MODULE ARGUMENTS` for the length of a `with` block.

    The terminal's Ctrl-C does not reach the node: it is stopped in order when the block ends.

    Args:
        module: Of the node, such as `mtl_perception.student_node`.
        arguments: Of its command line.
        log: File that takes standard output and error.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield NodeProcess(process, log)
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number, patience_s in _STOP:
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue
