"""Depth follows what a sensor measures here and there, and says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header

import frames
from mtl_bags.camera_info import intrinsics
from mtl_core.images import ColourImage
from mtl_perception import topics
from mtl_perception.cloud import cloud
from mtl_perception.outputs import image_message
from peer import Peer, student

pytestmark = pytest.mark.ros

TRUE_RATIO = 1.4
Metres = npt.NDArray[np.float32]


def depth_image(header: Header, metres: Metres) -> Image:
    return image_message(header, metres, "32FC1")


def scan(header: Header, metres: Metres) -> PointCloud2:
    camera = intrinsics(frames.camera_info(), ColourImage(frames.rgb(), "rgb"))
    assert camera is not None
    none = np.zeros(metres.shape, np.uint8)
    black = np.zeros((*metres.shape, 3), np.uint8)
    return cloud(header, metres, camera, black, none, none)


SOURCES: dict[str, tuple[type, str, Callable[[Header, Metres], Any]]] = {
    "depth": (Image, topics.SCALE_DEPTH, depth_image),
    "points": (PointCloud2, topics.SCALE_POINTS, scan),
}


class Sensor:
    """Measures what the node's first answer said, times a ratio."""

    def __init__(self, peer: Peer, source: str) -> None:
        kind, topic, self._make = SOURCES[source]
        self._peer = peer
        self._sender = peer.ros.create_publisher(kind, topic, 10)
        peer.wait(self._sender.get_subscription_count, f"reader of {topic}")
        self._metres = self.answered()[1]

    def answered(self) -> tuple[Header, Metres]:
        answer = self._peer.ask(frames.image())[topics.DEPTH]
        return answer.header, frames.pixels(answer).copy()

    def measure(self, ratio: float, frame_id: str = frames.FRAME_ID) -> float:
        """How far the depth of the next answers stands from the first one, after a measurement."""
        header, _ = self.answered()
        seen = Header(stamp=header.stamp, frame_id=frame_id)
        before = int(self._peer.report()[1]["scale_received"])
        self._sender.publish(self._make(seen, self._metres * np.float32(ratio)))
        self._peer.wait(lambda: int(self._peer.values["scale_received"]) > before, "measurement")
        return float(np.median(self.answered()[1] / self._metres))


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def corrected(model: Path, source: str, tmp_path: Path) -> Iterator[Peer]:
    settings = {"model": model, "scale_source": source, "scale_time": 0.0, "stale_after": 0.0}
    arguments = [text for key, value in settings.items() for text in ("-p", f"{key}:={value}")]
    with student(tmp_path / "log", *arguments) as peer:
        peer.camera = frames.camera_info()
        peer.read(topics.DEPTH, topics.OVERLAY, topics.DEPTH_CAMERA_INFO)
        peer.warm_up(frames.image())
        peer.see_through(frames.camera_info(), frames.image())
        peer.got.clear()
        yield peer
        assert "Traceback" not in peer.node.log
        assert peer.node.end() == 0


def test_depth_takes_the_scale_of_what_is_measured(corrected: Peer, source: str) -> None:
    sensor = Sensor(corrected, source)
    assert corrected.values["scale"] == "1.0000"
    assert sensor.measure(TRUE_RATIO) == pytest.approx(TRUE_RATIO, rel=0.02)
    _, values = corrected.report()
    assert float(values["scale"]) == pytest.approx(TRUE_RATIO, rel=0.02)
    assert int(values["scale_accepted"]) == 1
    assert values["scale_limited"] == "false"
    # The same again: it is the uncorrected depth that is compared.
    assert sensor.measure(TRUE_RATIO) == pytest.approx(TRUE_RATIO, rel=0.02)


def test_the_correction_is_bounded_and_says_so(corrected: Peer, source: str) -> None:
    sensor = Sensor(corrected, source)
    assert sensor.measure(2.5) == pytest.approx(2.0, rel=0.02)

    def warned() -> bool:
        status = corrected.statuses[-1]
        return status.level == DiagnosticStatus.WARN and "limited to 2" in status.message

    corrected.wait(warned, "a warning of the limit")
    assert corrected.values["scale_limited"] == "true"


def test_a_measurement_from_elsewhere_changes_nothing(corrected: Peer, source: str) -> None:
    sensor = Sensor(corrected, source)
    assert sensor.measure(TRUE_RATIO, "lidar") == pytest.approx(1.0)
    values = corrected.report()[1]
    assert values["scale_refused"] == "frame 1"
    assert "measured in frame 'lidar', expected 'camera_optical'" in values["scale_last_refusal"]


def test_another_configuration_begins_anew(corrected: Peer, source: str) -> None:
    sensor = Sensor(corrected, source)
    assert sensor.measure(TRUE_RATIO) != pytest.approx(1.0, abs=0.1)
    for step in ("DEACTIVATE", "CLEANUP", "CONFIGURE", "ACTIVATE"):
        assert corrected.change(getattr(Transition, f"TRANSITION_{step}"))
    corrected.warm_up(frames.image())
    assert corrected.report()[1]["scale"] == "1.0000"
