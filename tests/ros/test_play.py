"""`mtl-play`: what arrives is what was recorded, in its time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import peer  # noqa: F401 - prepares the environment before rclpy is imported
import tiny_student
from mtl_bags.compose import clock, serialize
from mtl_bags.labelling.job import Labeller
from mtl_bags.labelling.summary import Settings
from mtl_bags.reader import BagReader
from mtl_bags.records import CAMERA_INFO, CLOCK, IMAGE, Record
from mtl_perception.domain import own_domain
from mtl_perception.errors import PerceptionError
from mtl_perception.play import Manner, Player
from mtl_perception.player import Station
from recordings import COLOUR, FRAMES, INFO, PREFIX, records, write

pytestmark = pytest.mark.ros

OUTPUTS = ("/front/segmentation/mask", "/front/depth/image")
"""Of a student that was recorded, too."""


@contextmanager
def heard(
    topics: dict[str, str], path: Path, *words: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[dict[str, list[bytes]], subprocess.Popen[str], Station]]:
    """A player in a domain of its own, and what it has been heard to say."""
    said: dict[str, list[bytes]] = {name: [] for name in topics}
    with own_domain() as domain:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
        with Station("listener", topics, lambda r, _: said[r.topic].append(r.data)) as station:
            player = subprocess.Popen(
                [sys.executable, "-m", "mtl_perception.play", str(path), *words],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ),
            )  # fmt: skip
            try:
                yield said, player, station
            finally:
                player.kill()
                player.communicate()


def padded(data: bytes) -> bytes:
    """On its way, a message is padded to a multiple of four bytes."""
    return data + bytes(-len(data) % 4)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("source") / "walk", records())


def test_what_arrives_is_what_was_recorded(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topics = {COLOUR: IMAGE, INFO: CAMERA_INFO}
    with heard(topics, source, "--rate", "10", monkeypatch=monkeypatch) as (said, player, station):
        assert station.spin_until(lambda: player.poll() is not None, 60)
        assert player.returncode == 0
        station.spin_until(lambda: all(len(v) == FRAMES for v in said.values()), 5)
    with BagReader(source) as reader:
        for topic, messages in said.items():
            sent = [padded(one.data) for one in reader.messages([topic])]
            assert [padded(one) for one in messages] == sent


def test_the_clock_tells_the_recording_s_time(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--clock", "200", "--rate", "2")
    with heard({"/clock": CLOCK, COLOUR: IMAGE}, source, *words, monkeypatch=monkeypatch) as stage:
        said, player, station = stage
        assert station.spin_until(lambda: player.poll() is not None, 60)
    times = [seconds_in(data) for data in said["/clock"]]
    with BagReader(source) as reader:
        recorded = [one.time_ns / 1e9 for one in reader.messages()]
    assert times == sorted(times)
    assert len(times) > FRAMES  # also between two frames, which are 0.1 s apart
    assert recorded[0] - 0.1 <= times[0] <= times[-1] <= recorded[-1]


def seconds_in(clock: bytes) -> float:
    return int.from_bytes(clock[4:8], "little") + int.from_bytes(clock[8:12], "little") / 1e9


def test_a_loop_begins_again(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--loop", "--rate", "100", "--topics", INFO)
    with heard({INFO: CAMERA_INFO}, source, *words, monkeypatch=monkeypatch) as stage:
        said, player, station = stage
        assert station.spin_until(lambda: len(said[INFO]) > 2 * FRAMES, 60)
        assert player.poll() is None


def test_who_answers_publishes_the_answers(source: Path, tmp_path: Path) -> None:
    model = tiny_student.write_teacher(tmp_path / "tiny-teacher.onnx")
    Labeller(model, Settings()).label(source, tmp_path / "labelled")
    mask = f"{PREFIX}/segmentation/mask"
    with BagReader(tmp_path / "labelled") as reader:
        played = {topic.name for topic in Player(reader, Manner(answers=mask)).topics}
    assert mask not in played
    assert COLOUR in played


@pytest.mark.parametrize(
    ("manner", "left_out"),
    [
        (Manner(), set()),
        (Manner(awaited="/front/segmentation/mask"), {"/front/segmentation/mask"}),
        (Manner(answers="/front/segmentation/mask"), {"/front/segmentation/mask"}),
        (Manner(others=frozenset({"/front/depth/image"})), {"/front/depth/image"}),
        (Manner(clock_hz=40.0), {"/clock"}),
    ],
)
def test_what_others_publish_is_left_to_them(
    whole: Path, manner: Manner, left_out: set[str]
) -> None:
    with BagReader(whole) as reader:
        recorded = {topic.name for topic in reader.topics}
        assert {*OUTPUTS, "/clock"} < recorded
        assert {topic.name for topic in Player(reader, manner).topics} == recorded - left_out


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `ros2 bag record -a` leaves it: with outputs of a student, and a clock."""
    again = [
        replace(one, topic=name) for name in OUTPUTS for one in records() if one.topic == COLOUR
    ]
    times = [
        Record("/clock", CLOCK, one.time_ns, serialize(clock(one.time_ns)))
        for one in records()
        if one.topic == INFO
    ]
    messages = sorted([*records(), *again, *times], key=lambda one: one.time_ns)
    return write(tmp_path_factory.mktemp("whole") / "walk", messages)


def test_what_a_student_publishes_is_left_to_it(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--rate", "20", "--student", "front")
    heard_of = dict.fromkeys([COLOUR, *OUTPUTS], IMAGE)
    with heard(heard_of, whole, *words, monkeypatch=monkeypatch) as (said, player, station):
        assert station.spin_until(lambda: player.poll() is not None, 60)
        station.spin_until(lambda: len(said[COLOUR]) == FRAMES, 5)
        assert player.stdout
        told = player.stdout.read()
    assert {topic for topic, messages in said.items() if messages} == {COLOUR}
    for name in OUTPUTS:
        assert f"{name} left out: somebody else publishes it" in told


@pytest.mark.parametrize(
    ("manner", "topics", "said"),
    [
        (Manner(rate=0.0), None, "a rate above 0"),
        (Manner(ahead=0), None, "1 image ahead at least"),
        (Manner(answers="/mask", images="/typo"), None, "the images /typo among what is played"),
        (Manner(answers="/mask"), [INFO], f"the images {COLOUR} among what is played, got {INFO}"),
    ],
)
def test_what_cannot_be_played_is_refused(
    source: Path, manner: Manner, topics: list[str] | None, said: str
) -> None:
    with BagReader(source) as reader, pytest.raises(PerceptionError, match=said):
        Player(reader, manner, topics)
