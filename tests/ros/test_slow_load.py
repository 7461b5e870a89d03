"""While a service loads a model, however long that takes, frames and reports go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.parameter import Parameter

import frames
from mtl_perception import pipeline, topics
from mtl_perception.domain import own_domain
from mtl_perception.process import executor_of
from mtl_perception.student import StudentNode
from peer import Peer

pytestmark = pytest.mark.ros


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Until it is set, no model but the first one finishes loading."""
    gate, first = threading.Event(), pipeline.load_student
    loads: list[str] = []

    def slow(node: Any, model: str) -> Any:
        loads.append(model)
        if len(loads) > 1:
            gate.wait()
        return first(node, model)

    monkeypatch.setattr(pipeline, "load_student", slow)
    yield gate
    gate.set()


@pytest.fixture
def beside(model: Path, gate: threading.Event) -> Iterator[Peer]:
    """A peer of a student that runs in this process, as `student_node` runs it."""
    with own_domain() as domain:
        settings = ["--ros-args", "-p", f"model:={model}", "--disable-rosout-logs"]
        rclpy.init(args=settings, domain_id=domain)
        node = StudentNode()
        node.autostart()
        peer = Peer(domain)
        with executor_of(node, node.live) as executor:
            spinning = threading.Thread(target=executor.spin)
            spinning.start()
            yield peer
            gate.set()
            peer.close()
        spinning.join()
        node.close()
        node.destroy_node()
        rclpy.try_shutdown()


def test_frames_and_reports_go_on_while_a_model_is_loaded(
    beside: Peer, gate: threading.Event, model: Path
) -> None:
    from rcl_interfaces.srv import SetParameters

    beside.camera = frames.camera_info()
    beside.read(topics.MASK, topics.DEPTH)
    beside.warm_up(frames.image())
    client = beside.ros.create_client(SetParameters, "/student/set_parameters")
    beside.wait(client.service_is_ready, "service")
    value = Parameter("model", value=str(model)).to_parameter_msg()
    future = client.call_async(SetParameters.Request(parameters=[value]))
    for _ in range(3):
        beside.ask(frames.image())
        beside.report()
    assert not future.done()
    gate.set()
    beside.wait(future.done, "answer")
    assert future.result().results[0].successful
    beside.ask(frames.image())
