"""Another model takes over while frames come: no frame is of both, and each is answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

import frames
import tiny_student
from mtl_core.card import DepthSpec
from mtl_core.labels import LabelMap
from mtl_perception import topics
from peer import Peer, student

pytestmark = pytest.mark.ros

RATIO = 2.0
"""How much nearer the other model sees everything."""

CHANGES = 10


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of other classes, by which all is nearer."""
    card = replace(
        tiny_student.card("other"),
        label_map=LabelMap.load("cityscapes7"),
        depth=DepthSpec(1.0, 9.0, RATIO * tiny_student.CANONICAL_FX),
    )
    return tiny_student.write(tmp_path_factory.mktemp("other") / "other.onnx", card)


@pytest.fixture(scope="module")
def running(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    log = tmp_path_factory.mktemp("node") / "log"
    with student(log, "-p", f"model:={model}") as peer:
        peer.camera = frames.camera_info()
        peer.read(topics.MASK, topics.DEPTH)
        peer.warm_up(frames.image())
        yield peer
        assert "Traceback" not in peer.node.log
        assert peer.node.end() == 0


def said(answer: dict[str, Any]) -> tuple[int, float]:
    """Class of the right half, and how near the left one is: of which model each of them is."""
    near, _ = frames.halves(frames.pixels(answer[topics.DEPTH]))
    _, far = frames.halves(frames.pixels(answer[topics.MASK]))
    ratio = tiny_student.metres(frames.NEAR) / float(np.median(near))
    return int(far.flat[-1]), round(ratio, 3)


def test_ten_changes_while_frames_come(running: Peer, model: Path, other: Path) -> None:
    picture = frames.image(frames.rgb())
    first = said(running.ask(picture))
    client = running.ros.create_client(SetParameters, "/student/set_parameters")
    running.wait(client.service_is_ready, "service")
    seen = {first}
    for turn in range(CHANGES):
        path = (other, model)[turn % 2]
        value = Parameter("model", value=str(path)).to_parameter_msg()
        future = client.call_async(SetParameters.Request(parameters=[value]))
        while not future.done():
            seen.add(said(running.ask(picture)))  # each is answered, whatever the node is at
        assert future.result().results[0].successful
        seen.add(said(running.ask(picture)))
        assert running.report()[1]["model"] == str(path)
    assert len(seen) == 2, "a frame was of both"
    assert {ratio for _, ratio in seen} == {1.0, RATIO}
    assert said(running.ask(picture)) == first


def test_a_model_that_no_frame_has_come_for_is_there_after_a_pause(
    running: Peer, model: Path, other: Path
) -> None:
    assert running.set(model=str(other)) == ""
    assert running.change(Transition.TRANSITION_DEACTIVATE)
    assert running.change(Transition.TRANSITION_ACTIVATE)
    assert running.report()[1]["model"] == str(other)
    assert running.set(model=str(model)) == ""
    running.warm_up(frames.image())


def test_a_bad_model_leaves_the_old_one_at_work(running: Peer, tmp_path: Path) -> None:
    before = said(running.ask(frames.image()))
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"not a model")
    reason = running.set(model=str(bad))
    assert "expected an ONNX model" in reason
    assert "the old one stays" in reason
    assert said(running.ask(frames.image())) == before
    assert running.report()[1]["model"] != str(bad)


def test_a_model_that_cannot_make_what_is_offered_is_refused(running: Peer, tmp_path: Path) -> None:
    import onnx

    poor = onnx.load(tiny_student.write(tmp_path / "poor.onnx"))
    outputs = [output for output in poor.graph.output if output.name != "depth_log_scale"]
    del poor.graph.output[:]
    poor.graph.output.extend(outputs)
    onnx.save(poor, tmp_path / "poor.onnx")
    reason = running.set(model=str(tmp_path / "poor.onnx"))
    assert "no output depth_log_scale, of which depth/uncertainty is made" in reason
