"""What `/diagnostics` says, and what an operator can do: pause, and refuse old frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import SetBool

import frames
from mtl_perception import topics
from mtl_perception.laps import STAGES
from peer import Peer, student

pytestmark = pytest.mark.ros


@pytest.fixture
def fresh(model: Path, tmp_path: Path) -> Iterator[Peer]:
    """A student that has seen no frame, and complains soon."""
    with student(tmp_path / "log", "-p", f"model:={model}", "-p", "stale_after:=0.5") as peer:
        yield peer


def wait_for(peer: Peer, level: bytes, *words: str) -> DiagnosticStatus:
    def said() -> bool:
        last = peer.statuses[-1] if peer.statuses else None
        return bool(last and last.level == level and all(word in last.message for word in words))

    peer.wait(said, f"{level!r} with {words}")
    return peer.statuses[-1]


def test_silence_names_the_topic_and_who_publishes_it_how(fresh: Peer) -> None:
    wait_for(fresh, DiagnosticStatus.STALE, "no image on /image", "nobody publishes it")
    other = fresh.ros.create_publisher(CompressedImage, topics.IMAGE, 1)
    named = "1 publishers (/peer: sensor_msgs/msg/CompressedImage, reliable, volatile)"
    wait_for(fresh, DiagnosticStatus.STALE, named, "sensor_msgs/msg/Image, best_effort, volatile")
    fresh.ros.destroy_publisher(other)
    assert fresh.set(stale_after=0.0) == ""
    wait_for(fresh, DiagnosticStatus.OK, "active")


def test_times_of_all_stages_add_up(peer: Peer) -> None:
    for _ in range(3):
        peer.ask(frames.image())
    status, values = peer.report()
    assert status.level == DiagnosticStatus.OK
    for point in ("p50", "p95"):
        whole = float(values[f"latency_{point}_ms"])
        parts = [float(values[f"{stage}_{point}_ms"]) for stage in STAGES]
        assert all(0 <= part <= whole for part in parts)
        assert float(values[f"infer_{point}_ms"]) > 0
    assert float(values["rate_in_hz"]) > 0
    assert float(values["rate_out_hz"]) > 0


def test_a_camera_that_nothing_is_known_of_is_a_warning_while_it_matters(fresh: Peer) -> None:
    assert fresh.set(stale_after=0.0) == ""
    fresh.read(topics.MASK)
    fresh.warm_up(frames.image())
    wait_for(fresh, DiagnosticStatus.OK, "active")
    fresh.read(topics.DEPTH)
    fresh.warm_up(frames.image())
    wait_for(fresh, DiagnosticStatus.WARN, "no camera_info received", "the model's own")
    fresh.camera = frames.camera_info()

    def calm() -> bool:
        fresh.send(frames.image())  # until one comes after its camera_info: topics have no order
        return fresh.statuses[-1].level == DiagnosticStatus.OK

    fresh.wait(calm, "no more warning")


def enable(peer: Peer, on: bool) -> tuple[bool, str]:
    response = peer.call(SetBool, "enable", SetBool.Request(data=on))
    return response.success, response.message


def test_a_paused_node_takes_no_frame_until_it_goes_on(peer: Peer) -> None:
    peer.ask(frames.image())
    assert enable(peer, False) == (True, "active, paused")
    _, before = peer.report()
    peer.send(frames.image())
    _, after = peer.report()
    assert after["state"] == "active, paused"
    assert after["received"] == before["received"]
    assert enable(peer, True) == (True, "active")
    peer.warm_up(frames.image())
    assert peer.ask(frames.image())


def test_there_is_nothing_to_pause_before_configuration(model: Path, tmp_path: Path) -> None:
    with student(tmp_path / "log", "-p", f"model:={model}", "-p", "autostart:=false") as peer:
        assert enable(peer, False) == (False, "there is nothing to pause: not configured")


def test_an_old_frame_is_counted_and_not_answered(peer: Peer) -> None:
    peer.ask(frames.image())
    _, before = peer.report()
    assert peer.set(max_age=3600.0) == ""  # the peer's stamps are of 2023
    peer.got.clear()
    peer.send(frames.image())
    peer.wait(lambda: int(peer.values["outdated"]) > int(before["outdated"]), "outdated frame")
    _, after = peer.report()
    assert after["answered"] == before["answered"]
    assert not any(peer.got.values())
    assert peer.set(max_age=0.0) == ""
    peer.ask(frames.image())


def test_a_camera_that_is_not_rectified_is_a_warning_unless_it_is_known_to_be(fresh: Peer) -> None:
    assert fresh.set(stale_after=0.0) == ""
    fresh.camera = frames.camera_info()
    fresh.camera.d = [0.1, -0.05, 0.0, 0.0, 0.0]
    fresh.read(topics.DEPTH)
    fresh.warm_up(frames.image())
    wait_for(fresh, DiagnosticStatus.WARN, "distortion 0.1, -0.05", "expected none")
    assert fresh.set(rectified=True) == ""
    fresh.warm_up(frames.image())
    wait_for(fresh, DiagnosticStatus.OK, "active")
