"""The live teacher, fed by the player over real DDS: it says what the offline labeller writes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import tiny_student
from mtl_bags.labelling.job import Labeller
from mtl_bags.labelling.summary import Settings
from mtl_bags.reader import BagReader
from mtl_bags.records import CAMERA_INFO, IMAGE, Record
from mtl_perception.domain import own_domain
from mtl_perception.player import Station
from peer import NodeProcess
from recordings import COLOUR, DEPTH, FRAMES, INFO, PREFIX, records, write

pytestmark = pytest.mark.ros

RESULTS = {
    f"{PREFIX}/segmentation/mask": IMAGE,
    f"{PREFIX}/segmentation/confidence": IMAGE,
    f"{PREFIX}/depth/image": IMAGE,
    f"{PREFIX}/depth/confidence": IMAGE,
    f"{PREFIX}/segmentation/camera_info": CAMERA_INFO,
    f"{PREFIX}/depth/camera_info": CAMERA_INFO,
}
REMAP = (
    *("-r", f"image:={COLOUR}", "-r", f"camera_info:={INFO}", "-r", f"depth_image:={DEPTH}"),
    *("-p", "depth_transport:=raw"),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_student.write_teacher(tmp_path_factory.mktemp("model") / "tiny-teacher.onnx")


@dataclass
class Stage:
    """A running teacher, its domain, and what it has said on each topic."""

    node: NodeProcess
    domain: int
    station: Station
    said: dict[str, list[bytes]]

    def play(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Play to the end, taking in what the teacher says."""
        player = subprocess.Popen(
            [sys.executable, "-m", "mtl_perception.play", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "ROS_DOMAIN_ID": str(self.domain)},
        )
        try:
            assert self.station.spin_until(lambda: player.poll() is not None, 60)
        finally:
            player.kill()
            said, _ = player.communicate()
        return subprocess.CompletedProcess(arguments, player.returncode, said)

    def greet(self, folder: Path) -> None:
        """Play a frame until its labels are heard: DDS matches endpoints in its own time."""
        path = write(folder / "greeting", records(range(1)))
        for _ in range(10):
            assert self.play(str(path), "--rate", "100").returncode == 0
            if self.station.spin_until(lambda: all(self.said.values()), 5):
                break
        self.station.spin_until(lambda: False, 1)
        for messages in self.said.values():
            messages.clear()

    def wait_for(self, count: int, topic: str = f"{PREFIX}/segmentation/mask") -> None:
        done = self.station.spin_until(lambda: len(self.said[topic]) >= count, 30)
        assert done, f"{len(self.said[topic])} of {count} on {topic}:\n{self.node.log}"


@contextmanager
def stage(
    log: Path, model: Path, *arguments: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    said: dict[str, list[bytes]] = {name: [] for name in RESULTS}

    def note(record: Record, time_s: float) -> None:
        said[record.topic].append(record.data)

    with own_domain() as domain:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
        words = ("-p", f"model:={model}", *arguments)
        with (
            NodeProcess(log, domain, *words, module="mtl_perception.teacher_node") as node,
            Station("listener", RESULTS, note) as station,
        ):
            node.wait_for_log("labels on")
            yield Stage(node, domain, station, said)
            assert "Traceback" not in node.log
            assert node.end() == 0


def labels_of(path: Path) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {name: [] for name in RESULTS}
    with BagReader(path) as reader:
        for one in reader.messages():
            if one.topic in found:
                found[one.topic].append(one.data)
    return found


def late(records: Iterator[Record]) -> list[Record]:
    """Depth that was recorded two and a half images after its own."""
    moved = [
        replace(one, time_ns=one.time_ns + 250_000_000 * (one.topic == DEPTH)) for one in records
    ]
    return sorted(moved, key=lambda one: one.time_ns)


@pytest.mark.parametrize("lag", [False, True])
def test_in_lock_step_it_says_byte_for_byte_what_is_written_offline(
    model: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lag: bool
) -> None:
    if lag:
        source = write(tmp_path / "late", late(records()))
    Labeller(model, Settings()).label(source, tmp_path / "labelled")
    expected = labels_of(tmp_path / "labelled")
    with stage(tmp_path / "log", model, *REMAP, monkeypatch=monkeypatch) as live:
        live.greet(tmp_path)
        done = live.play(str(source), "--lock-step", f"{PREFIX}/segmentation/mask")
        assert done.returncode == 0, done.stdout
        live.wait_for(FRAMES)
        live.station.spin_until(lambda: all(len(v) == FRAMES for v in live.said.values()), 10)
        for topic, messages in expected.items():
            # On its way, a message is padded to a multiple of four bytes.
            padded = [one + bytes(-len(one) % 4) for one in messages]
            assert [one + bytes(-len(one) % 4) for one in live.said[topic]] == padded, topic
        assert "dropped" not in live.node.log


def test_too_fast_a_player_is_told_the_rate_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small images for a model whose input is 256 times as large."""
    card = replace(tiny_student.card("large"), role="teacher")
    card = replace(card, input=replace(card.input, height=1024, width=1536))
    model = tiny_student.write_teacher(tmp_path / "large.onnx", card)
    path = write(tmp_path / "walk", records(range(60)))
    arguments = ("-r", f"image:={COLOUR}", "-r", f"camera_info:={INFO}", "-p", "queue:=1")
    with stage(tmp_path / "log", model, *arguments, monkeypatch=monkeypatch) as live:
        done = live.play(str(path), "--rate", "1000")
        assert done.returncode == 0, done.stdout
        live.node.wait_for_log(r"of 60 frames dropped: at 0\.\d\d times this rate")


def test_depth_that_never_comes_is_not_waited_for(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "walk", (one for one in records(range(3)) if one.topic != DEPTH))
    with stage(tmp_path / "log", model, *REMAP, monkeypatch=monkeypatch) as live:
        live.greet(tmp_path)
        assert live.play(str(path), "--rate", "100").returncode == 0
        live.wait_for(3)


def test_a_model_that_is_no_teacher_is_refused(tmp_path: Path) -> None:
    student = tiny_student.write(tmp_path / "tiny.onnx")
    done = subprocess.run(
        [sys.executable, "-m", "mtl_perception.teacher_node", "--ros-args", "-p",
         f"model:={student}"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert re.search("expected a teacher with outputs .* got a student", done.stderr)
    assert "Traceback" not in done.stderr
