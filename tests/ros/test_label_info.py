"""What masks mean is told once and to whoever comes late: `vision_msgs/LabelInfo` over DDS."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lifecycle_msgs.msg import Transition

import frames
import interface_package
import tiny_student
from interface_package import Overlay
from mtl_bags.types import described, project_types
from mtl_core.card import DepthSpec
from mtl_core.labels import LabelMap
from mtl_perception import topics
from mtl_perception.domain import own_domain
from peer import NodeProcess, Peer, student, until

pytestmark = [pytest.mark.ros, pytest.mark.slow]

MIN_CONFIDENCE = 0.25
"""Exact as a float32."""

TESTS = str(Path(interface_package.__file__).parent)


class Reader:
    """A subscriber of label infos in its own process, and what it has got so far."""

    def __init__(self, process: NodeProcess) -> None:
        self._process = process

    @property
    def got(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._process.log.splitlines() if line[:1] == "{"]

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        """Waits for so many messages and returns all."""
        until(lambda: len(self.got) >= count, f"{count} label infos", self._process)
        return self.got


class Stage:
    """Readers beside a node that names classes, all of them in one domain."""

    def __init__(self, folder: Path, domain: int, topic: str, environ: Mapping[str, str]) -> None:
        self._folder, self._domain, self._topic = folder, domain, topic
        self._environ = {**environ, "PYTHONPATH": os.pathsep.join((TESTS, environ["PYTHONPATH"]))}
        self._numbers = itertools.count()

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        with NodeProcess(
            self._folder / f"reader-{next(self._numbers)}",
            self._domain,
            *("-r", f"label_info:={self._topic}"),
            module="label_info_reader",
            environ=self._environ,
        ) as process:
            yield Reader(process)
            assert process.end() == 0

    def latest(self) -> dict[str, Any]:
        """What who comes now is told: the last that was published, whenever that was."""
        with self.reader() as late:
            return late.wait_for(1)[0]


@contextmanager
def told(
    overlay: Overlay, folder: Path, model: Path, *arguments: str
) -> Iterator[tuple[Peer, Stage, Reader]]:
    """An active student, readers to come, and one that hears all that it says."""
    words = ("-p", f"model:={model}", *arguments)
    with student(folder / "log", *words, environ=overlay.environ) as peer:
        stage = Stage(folder, peer.ros.context.get_domain_id(), topics.LABEL_INFO, overlay.environ)
        with stage.reader() as early:
            early.wait_for(1)
            peer.camera = frames.camera_info()
            peer.read(topics.MASK)
            peer.warm_up(frames.image())
            yield peer, stage, early
        assert "Traceback" not in peer.node.log
        assert peer.node.end() == 0


def classes_of(name: str) -> list[list[Any]]:
    return [[number, text] for number, text in enumerate(LabelMap.load(name).classes)]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of other classes."""
    card = replace(tiny_student.card("other"), label_map=LabelMap.load("cityscapes7"))
    return tiny_student.write(tmp_path_factory.mktemp("other") / "other.onnx", card)


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model of the same classes."""
    card = replace(tiny_student.card("alike"), depth=DepthSpec(1.0, 5.0, 200.0))
    return tiny_student.write(tmp_path_factory.mktemp("alike") / "alike.onnx", card)


@pytest.mark.parametrize("name", interface_package.MESSAGES)
def test_recordings_carry_the_hash_of_the_type_that_the_generators_made(
    overlay: Overlay, name: str
) -> None:
    ours = described(interface_package.full_name(name), project_types())
    assert ours.type_hash == overlay.type_hash(name)


def test_the_classes_are_told_once_and_to_whoever_comes_late(
    overlay: Overlay, model: Path, tmp_path: Path
) -> None:
    before_ns = time.time_ns()
    arguments = ("-p", f"min_confidence:={MIN_CONFIDENCE}")
    with told(overlay, tmp_path, model, *arguments) as (peer, stage, early):
        (first,) = early.got
        assert before_ns <= first.pop("stamp_ns") <= time.time_ns()
        assert first == {
            "frame_id": "",
            "classes": classes_of("nyu13"),
            "threshold": MIN_CONFIDENCE,
        }
        for _ in range(3):
            peer.ask(frames.image())
        assert [stage.latest()] == early.got  # to the stamp: nothing else was published
        assert peer.node
        assert "vision_msgs is not installed" not in peer.node.log


def test_another_model_is_told_of_only_when_its_classes_are_others(
    overlay: Overlay, model: Path, alike: Path, other: Path, tmp_path: Path
) -> None:
    with told(overlay, tmp_path, model) as (peer, stage, early):
        (first,) = early.got
        assert peer.set(model=str(alike)) == ""
        peer.ask(frames.image())
        assert peer.report()[1]["model"] == str(alike)
        assert stage.latest() == first
        assert peer.set(model=str(other)) == ""
        peer.ask(frames.image())
        _, second = early.wait_for(2)
        assert second["classes"] == classes_of("cityscapes7")
        assert second["stamp_ns"] > first["stamp_ns"]
        peer.ask(frames.image())
        assert stage.latest() == second
        assert early.got == [first, second]


def test_activation_tells_the_classes_anew(
    overlay: Overlay, model: Path, other: Path, tmp_path: Path
) -> None:
    with told(overlay, tmp_path, model) as (peer, stage, early):
        (first,) = early.got
        assert peer.change(Transition.TRANSITION_DEACTIVATE)
        assert peer.set(model=str(other)) == ""
        assert stage.latest() == first  # no mask has the others yet
        assert peer.change(Transition.TRANSITION_ACTIVATE)
        _, second = early.wait_for(2)
        assert second["classes"] == classes_of("cityscapes7")
        peer.warm_up(frames.image())
        assert stage.latest() == second
        assert early.got == [first, second]


def watch(peer: Peer, sent: list[int]) -> None:
    """Sends a frame, and takes in what a node reports meanwhile."""
    sent.append(peer.send(frames.image()))
    peer.spin()


def answered(peer: Peer) -> int:
    return int(peer.values["answered"]) if peer.statuses else 0


def test_the_live_teacher_tells_them_with_its_first_labels(
    overlay: Overlay, tmp_path: Path
) -> None:
    model = tiny_student.write_teacher(tmp_path / "tiny-teacher.onnx")
    with (
        own_domain() as domain,
        NodeProcess(
            tmp_path / "log",
            domain,
            *("-p", f"model:={model}"),
            module="mtl_perception.teacher_node",
            environ=overlay.environ,
        ) as node,
    ):
        node.wait_for_log("labels on")
        stage = Stage(tmp_path, domain, "/mtl/segmentation/label_info", overlay.environ)
        with stage.reader() as early:
            peer = Peer(domain, node)
            try:
                sent: list[int] = []
                until(lambda: early.got, "label info", node, lambda: watch(peer, sent))
                (first,) = early.got
                assert first["stamp_ns"] in sent
                assert first["frame_id"] == frames.FRAME_ID
                assert first["classes"] == classes_of("nyu13")
                until(lambda: answered(peer) > 1, "more labels", node, lambda: watch(peer, sent))
                assert stage.latest() == first
                assert early.got == [first]
            finally:
                peer.close()
        assert "Traceback" not in node.log
        assert node.end() == 0
