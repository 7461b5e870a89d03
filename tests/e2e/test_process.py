"""The node's process is watched while the demo runs, and gone when it ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mtl_perception.demo.process import running
from mtl_perception.errors import PerceptionError


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_node_that_ends_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    with running("this", [], tmp_path / "log") as node:
        node.process.wait(60.0)
        with pytest.raises(PerceptionError, match=r"(?s)ended with exit status 0.*Namespaces are"):
            node.check()


def test_a_running_node_is_no_problem_and_is_stopped_at_the_end(tmp_path: Path) -> None:
    server = ["--bind", "127.0.0.1", "0"]
    with running("http.server", server, tmp_path / "log") as node:
        node.check()
    assert not is_alive(node.process.pid)


def test_a_node_is_also_stopped_after_an_error(tmp_path: Path) -> None:
    started = []

    def failing() -> None:
        with running("http.server", ["--bind", "127.0.0.1", "0"], tmp_path / "log") as node:
            started.append(node.process.pid)
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert not is_alive(started[0])
