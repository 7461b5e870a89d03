"""Many cameras in one process: each has its namespace, its camera_info and its counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus

import frames
import tiny_student
from mtl_perception import topics
from mtl_perception.domain import own_domain
from mtl_perception.health import OUTCOMES
from peer import NodeProcess, Peer, student

pytestmark = pytest.mark.ros

NAMES = ("front", "left", "right")
Rig = dict[str, Peer]


@pytest.fixture(scope="module", params=[1, 3], ids=["one by one", "in batches"])
def rig(
    request: pytest.FixtureRequest, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    """A peer for each of three cameras of one node."""
    log = tmp_path_factory.mktemp("node") / "log"
    settings = {"model": model, "cameras": f"[{','.join(NAMES)}]", "max_batch": request.param}
    arguments = [text for key, value in settings.items() for text in ("-p", f"{key}:={value}")]
    with own_domain() as domain, NodeProcess(log, domain, *arguments) as node, ExitStack() as stack:
        rig = {name: Peer(domain, node, namespace=f"/{name}") for name in NAMES}
        for turn, peer in enumerate(rig.values(), start=1):
            stack.callback(peer.close)
            peer.camera = frames.camera_info()
            peer.camera.k[0] *= turn
            peer.camera.p[0] *= turn
            peer.read(topics.MASK, topics.DEPTH, topics.DEPTH_CAMERA_INFO)
        for peer in rig.values():
            peer.warm_up(frames.image())
        yield rig
        assert "Traceback" not in node.log
        assert node.end() == 0


def status_of(peer: Peer, name: str) -> DiagnosticStatus:
    """The newest that the node says of a camera, once all of its frames are dealt with."""

    def settled() -> DiagnosticStatus | None:
        said = [status for status in peer.statuses if status.name == f"/student: {name}"]
        newest = {v.key: v.value for v in said[-1].values} if said else {}
        done = newest and int(newest["received"]) == sum(int(newest[key]) for key in OUTCOMES)
        return said[-1] if done and peer.reported_ns > asked_ns else None

    asked_ns = peer.ros.get_clock().now().nanoseconds  # older ones may still be under way
    return peer.wait(settled, f"settled report on {name}")


def counts(peer: Peer, name: str) -> dict[str, int]:
    values = {v.key: v.value for v in status_of(peer, name).values}
    return {key: int(values[key]) for key in ("received", *OUTCOMES)}


def test_each_camera_is_answered_in_its_own_namespace_with_its_own_focal_length(rig: Rig) -> None:
    first = rig["front"]
    for turn, (name, peer) in enumerate(rig.items(), start=1):
        answer = peer.ask(frames.image())
        near, _ = frames.halves(frames.pixels(answer[topics.DEPTH]))
        expected = tiny_student.metres(frames.NEAR) * turn
        np.testing.assert_allclose(np.median(near), expected, rtol=1e-3)
        assert answer[topics.DEPTH_CAMERA_INFO].k[0] == first.camera.k[0] * turn, name
    assert not any(other for peer in rig.values() for other in peer.got.values())


def test_each_camera_has_its_own_counts(rig: Rig) -> None:
    before = {name: counts(peer, name) for name, peer in rig.items()}
    for turn, peer in enumerate(rig.values()):
        for _ in range(turn):
            peer.ask(frames.image())
    for turn, (name, peer) in enumerate(rig.items()):
        after = counts(peer, name)
        assert after["answered"] - before[name]["answered"] == turn


def test_frames_that_come_together_are_all_answered(rig: Rig) -> None:
    for _ in range(10):
        stamps = {name: peer.send(frames.image()) for name, peer in rig.items()}
        for name, peer in rig.items():
            peer.wait(lambda p=peer, s=stamps[name]: s in p.got[topics.DEPTH], f"answer to {name}")
    for peer in rig.values():
        peer.got.clear()


def test_a_bad_frame_of_one_spoils_none_of_another(rig: Rig) -> None:
    before = {name: counts(peer, name) for name, peer in rig.items()}
    bad = frames.image()
    bad.step += 1
    for _ in range(5):
        rig["left"].send(bad)
        rig["front"].ask(frames.image())
        rig["right"].ask(frames.image())
    after = {name: counts(peer, name) for name, peer in rig.items()}
    for name in ("front", "right"):
        assert after[name]["rejected"] == before[name]["rejected"]
    assert after["left"]["rejected"] > before["left"]["rejected"]
    assert after["left"]["answered"] == before["left"]["answered"]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ("[a,a]", "each once"),
        ("['1st']", "expected the beginning of a topic"),
        ("['a b']", "expected the beginning of a topic"),
        ("['', b]", "expected the beginning of a topic"),
    ],
)
def test_names_that_cannot_be_names_are_refused_at_start(
    tmp_path: Path, names: str, reason: str
) -> None:
    log = tmp_path / "log"
    with own_domain() as domain, NodeProcess(log, domain, "-p", f"cameras:={names}") as node:
        assert node.process.wait(60) == 1
        assert reason in node.log


def test_cameras_are_named_anew_between_configurations(model: Path, tmp_path: Path) -> None:
    from lifecycle_msgs.msg import Transition

    with student(tmp_path / "log", "-p", f"model:={model}") as peer:
        peer.report()
        assert "while the node is unconfigured" in peer.set(cameras=["one", "two"])
        assert peer.change(Transition.TRANSITION_DEACTIVATE)
        assert peer.change(Transition.TRANSITION_CLEANUP)
        assert peer.set(cameras=["one", "two"]) == ""
        assert peer.change(Transition.TRANSITION_CONFIGURE)
        assert peer.change(Transition.TRANSITION_ACTIVATE)
        for name in ("one", "two"):
            status_of(peer, name)
        assert peer.ros.count_publishers("one/segmentation/mask") == 1
