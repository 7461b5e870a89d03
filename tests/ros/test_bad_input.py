"""Whatever a camera sends: the node says what is wrong, counts it and answers the next frame."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

import frames
from mtl_perception import topics
from mtl_perception.domain import own_domain
from peer import PATIENCE_S, NodeProcess, Peer, student
from tiny_student import HEIGHT, WIDTH

pytestmark = pytest.mark.ros

OUTPUTS = (topics.MASK, topics.DEPTH)


def changed(**fields: Any) -> Any:
    """A good raw image but for some fields."""
    message = frames.image()
    for name, value in fields.items():
        setattr(message, name, value)
    return message


RAW: dict[str, tuple[Callable[[], Any], str]] = {
    "unknown encoding": (lambda: changed(encoding="rgb9"), "encoding 'rgb9'.*expected one of rgb8"),
    "no encoding": (lambda: changed(encoding=""), "encoding ''"),
    "depth": (lambda: changed(encoding="16UC1", step=2 * WIDTH), "encoding '16UC1'"),
    "no data": (lambda: changed(data=b""), f"{WIDTH}x{HEIGHT} rgb8 image without data"),
    "step too small": (
        lambda: changed(step=WIDTH),
        f"step is {WIDTH} bytes, expected at least {3 * WIDTH}",
    ),
    "step too large": (
        lambda: changed(step=3 * WIDTH + 8),
        f"data is {3 * WIDTH * HEIGHT} bytes, expected {(3 * WIDTH + 8) * HEIGHT}",
    ),
    "rows missing": (
        lambda: changed(height=HEIGHT + 1),
        f"data is {3 * WIDTH * HEIGHT} bytes, expected {3 * WIDTH * (HEIGHT + 1)}",
    ),
    "no size": (lambda: changed(width=0, height=0, step=0), "0x0"),
    "step of zero": (lambda: changed(step=0), "step is 0"),
}

JPEG_BYTES = len(frames.compressed().data)
COMPRESSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no data": (lambda: frames.compressed(cut=JPEG_BYTES), "expected JPEG or PNG, got no data"),
    "truncated JPEG": (
        lambda: frames.compressed(cut=20),
        f"truncated JPEG: {JPEG_BYTES - 20} bytes",
    ),
    "JPEG without its last byte": (lambda: frames.compressed(cut=1), "truncated JPEG"),
    "truncated PNG": (lambda: frames.compressed(kind="png", cut=16), "truncated PNG"),
    "other file": (lambda: frames.compressed(kind="bmp"), "got .* bytes starting with 42 4d"),
    "depth": (lambda: depth_as_colour(), "format '16UC1; compressedDepth png' is depth"),
}


def depth_as_colour() -> Any:
    message = frames.compressed(kind="png")
    message.format = "16UC1; compressedDepth png"
    return message


@pytest.fixture(scope="module")
def raw(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with student(tmp_path_factory.mktemp("raw") / "log", "-p", f"model:={model}") as peer:
        peer.camera = frames.camera_info()
        peer.read(*OUTPUTS)
        peer.warm_up(frames.image())
        yield peer


@pytest.fixture(scope="module")
def compressed(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    log = tmp_path_factory.mktemp("compressed") / "log"
    arguments = ("-p", f"model:={model}", "-p", "image_transport:=compressed")
    with student(log, *arguments) as peer:
        peer.camera = frames.camera_info()
        peer.read(*OUTPUTS)
        peer.warm_up(frames.compressed())
        yield peer


def check(peer: Peer, bad: Any, good: Any, complaint: str) -> None:
    """Send a bad frame, which is counted, then a good one, which is answered."""
    before = int(peer.values["rejected"])
    stamp = peer.send(bad)
    peer.wait(lambda: int(peer.values["rejected"]) == before + 1, "rejected frame")
    assert re.search(complaint, peer.values["last_error"]), peer.values["last_error"]
    assert set(peer.ask(good)) == set(OUTPUTS)
    assert not any(stamp in peer.got[name] for name in OUTPUTS)
    assert peer.values["state"] == "active"


@pytest.mark.parametrize("case", RAW)
def test_a_bad_raw_image_is_rejected_and_the_next_answered(raw: Peer, case: str) -> None:
    make, complaint = RAW[case]
    check(raw, make(), frames.image(), complaint)


@pytest.mark.parametrize("case", COMPRESSED)
def test_a_bad_compressed_image_is_rejected_and_the_next_answered(
    compressed: Peer, case: str
) -> None:
    make, complaint = COMPRESSED[case]
    check(compressed, make(), frames.compressed(), complaint)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_compressed_frames_are_answered(compressed: Peer, kind: str) -> None:
    answer = compressed.ask(frames.compressed(kind=kind))
    left, _ = frames.halves(frames.pixels(answer[topics.MASK]))
    assert set(left.flat) == {frames.LEFT}


def test_the_log_names_the_fault_once_not_for_every_frame(model: Path, tmp_path: Path) -> None:
    with student(tmp_path / "log", "-p", f"model:={model}") as peer:
        peer.read(topics.MASK)
        peer.warm_up(frames.image())
        for _ in range(20):
            peer.send(changed(encoding="rgb9"))
            peer.ask(frames.image())  # in lock-step, so that no bad frame is replaced unseen
        _, counts = peer.report()
        lines = re.findall(r"/image: frame rejected: encoding 'rgb9'.*", peer.node.log)
        assert 1 <= len(lines) < 20
        assert int(counts["rejected"]) + int(counts["dropped"]) >= 20
        warnings = [s for s in peer.statuses if s.level == DiagnosticStatus.WARN]
        assert {s.name for s in warnings} == {"/student: frames"}
        said = [
            re.match(r"(\d+) frames rejected, last: encoding 'rgb9'", s.message) for s in warnings
        ]
        assert sum(int(match[1]) for match in said if match) == int(counts["rejected"])


def test_a_frame_that_changes_size_and_encoding_on_the_way_is_just_another_frame(
    raw: Peer,
) -> None:
    for picture, encoding in (
        (frames.rgb(), "rgb8"),
        (frames.rgb(2 * WIDTH, HEIGHT), "bgr8"),
        (frames.rgb(50, 70)[..., 0], "mono8"),
        (frames.rgb(), "rgb8"),
    ):
        answer = raw.ask(frames.image(picture, encoding))
        sizes = {(m.height, m.width) for m in answer.values()}
        assert sizes == {picture.shape[:2]}


def test_stamps_may_be_zero_and_go_backwards_as_in_a_loop(raw: Peer) -> None:
    stamps = [9_000_000_000, 8_000_000_000, 0, 9_000_000_000]
    for stamp in stamps:
        raw.got.clear()
        raw.send(frames.image(), stamp)
        raw.wait(lambda s=stamp: all(s in raw.got[name] for name in OUTPUTS), f"answer to {stamp}")
    assert raw.report()[0].level == DiagnosticStatus.OK


@pytest.mark.parametrize("rule", ["image:=/1bad", "image:=a//b", "image:='a b'"])
def test_a_topic_name_that_is_none_ends_the_node_with_the_reason(tmp_path: Path, rule: str) -> None:
    with own_domain() as domain, NodeProcess(tmp_path / "log", domain, "-r", rule) as node:
        assert node.process.wait(PATIENCE_S) == 1
        assert rule in node.log
        assert "Traceback" not in node.log
