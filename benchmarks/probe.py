"""A node under measurement: its process, what feeds it and reads from it, and what it uses."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mtl_bags.compose import cdr_header
from mtl_bags.messages import to_colour_image
from mtl_bags.reader import BagReader
from mtl_bags.records import CAMERA_INFO, IMAGE, Record
from mtl_bags.synthetic import CAMERA_INFO_TOPIC, IMAGE_TOPIC, write_room_bag
from mtl_perception import environment, topics
from mtl_perception.demo.process import NodeProcess, running
from mtl_perception.domain import own_domain

environment.prepare()  # before rclpy is imported
from mtl_perception.player import CAMERA_QOS, Station  # noqa: E402

NODE = "mtl_perception.student_node"
SEED, ROOM_FRAMES = 7, 20
DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"
PATIENCE_S = 60.0


@dataclass
class Recording:
    """Frames that are played: CDR bytes and inputs of the network."""

    frames: list[tuple[bytes, bytes]]
    images: list[Any]

    @classmethod
    def render(cls, folder: Path) -> Recording:
        """Render a room."""
        write_room_bag(folder, SEED, ROOM_FRAMES, 10.0, progress=partial(tqdm, unit="frame"))
        with BagReader(folder) as bag:
            data: dict[str, list[bytes]] = {CAMERA_INFO_TOPIC: [], IMAGE_TOPIC: []}
            for record in bag.messages(list(data)):
                data[record.topic].append(record.data)
            images = [
                to_colour_image(bag.deserialize(Record(IMAGE_TOPIC, IMAGE, 0, one)))
                for one in data[IMAGE_TOPIC]
            ]
        return cls(list(zip(data[CAMERA_INFO_TOPIC], data[IMAGE_TOPIC], strict=True)), images)


@dataclass
class Probe:
    """A node under measurement, and the one that feeds it.

    Attributes:
        station: Publishes frames and receives results.
        process: The node's.
        came: Stamp and arrival (`time.time`) of each mask, and so on, by topic.
        sent: When each stamp was sent, by topic of the camera.
        reports: What diagnostics said last, by camera.
    """

    process: NodeProcess
    cameras: Sequence[str]
    outputs: Mapping[str, str]
    station: Station = field(init=False)
    came: dict[str, dict[int, float]] = field(default_factory=dict)
    sent: dict[str, dict[int, float]] = field(default_factory=dict)
    reports: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Join, and wait for the node."""
        wanted = {
            topics.of_camera(name, topic): kind
            for name in self.cameras
            for topic, kind in self.outputs.items()
        }
        self.came = {topic: {} for topic in wanted}
        self.sent = {name: {} for name in self.cameras}
        results = {f"/{topic}": kind for topic, kind in wanted.items()}
        self.station = Station("bench", {**results, "/diagnostics": DIAGNOSTICS}, self._on_result)
        for name in self.cameras:
            for topic, kind in ((topics.IMAGE, IMAGE), (topics.CAMERA_INFO, CAMERA_INFO)):
                self.station.advertise(f"/{topics.of_camera(name, topic)}", kind, CAMERA_QOS)
        self._wait(lambda: all(self._matched(name) for name in self.cameras), "a match")

    def _matched(self, camera: str) -> bool:
        image = self.station.listeners(f"/{topics.of_camera(camera, topics.IMAGE)}")
        answers = (
            self.station.answerers(f"/{topics.of_camera(camera, topic)}") for topic in self.outputs
        )
        return all(answers) and (bool(image) or not self.outputs)

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        if not self.station.spin_until(done, PATIENCE_S):
            raise SystemExit(self.process.describe(f"no {what} within {PATIENCE_S:.0f} s"))

    def _on_result(self, record: Record, _: float) -> None:
        if record.topic == "/diagnostics":
            self._on_report(record.data)
            return
        self.came[record.topic[1:]][cdr_header(record.data).stamp_ns] = time.time()

    def _on_report(self, data: bytes) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.serialization import deserialize_message

        for status in deserialize_message(data, DiagnosticArray).status:
            camera = status.name.rpartition(": ")[2].replace("frames", "")
            self.reports[camera] = {pair.key: pair.value for pair in status.values}

    def send(self, camera: str, frame: tuple[bytes, bytes]) -> int:
        """Send a frame stamped now; returns the stamp."""
        now = time.time_ns()
        for topic, data in zip((topics.CAMERA_INFO, topics.IMAGE), frame, strict=True):
            self.station.publish(f"/{topics.of_camera(camera, topic)}", stamped(data, now))
        self.sent[camera][now] = now / 1e9
        return now

    def play(self, frames: Sequence[tuple[bytes, bytes]], seconds: float, period: float) -> None:
        """Send frames to all cameras, one each so many seconds."""
        start = time.monotonic()
        for number, frame in enumerate(cycle(frames)):
            due = start + number * period
            self.station.spin_until(lambda due=due: time.monotonic() >= due, period)  # type: ignore[misc]
            if time.monotonic() - start > seconds:
                return
            for camera in self.cameras:
                self.send(camera, frame)

    def settle(self) -> dict[str, str]:
        """Wait until all frames are dealt with and reported; returns the first camera's report."""
        self.station.spin_until(lambda: False, 0.5)
        self.reports.clear()
        self._wait(lambda: set(self.reports) == set(self.cameras), "report")
        return self.reports[self.cameras[0]]

    def forget(self) -> None:
        """Begin anew: what came before was to warm up."""
        for kept in (*self.came.values(), *self.sent.values()):
            kept.clear()

    def latencies_ms(self) -> list[float]:
        """From a frame's stamp until the last of its results had come."""
        found = []
        for camera, sent in self.sent.items():
            needed = [self.came[topics.of_camera(camera, topic)] for topic in self.outputs]
            for stamp, at in sent.items():
                if all(stamp in came for came in needed):
                    found.append(1000 * (max(came[stamp] for came in needed) - at))
        return found


def stamped(data: bytes, now_ns: int) -> bytes:
    """A serialised message that begins with a header, with another stamp."""
    stamp = np.array([now_ns // 10**9, now_ns % 10**9], "<u4").tobytes()
    return data[:4] + stamp + data[12:]


class Usage:
    """What a process has used: `seconds` of CPU and `rss_mb` of memory."""

    def __init__(self, pid: int) -> None:
        """Look at a process."""
        self._folder = Path(f"/proc/{pid}")

    @property
    def seconds(self) -> float:
        """CPU time of all its threads so far."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def rss_mb(self) -> float:
        """Resident memory, with what is shared, in MB."""
        lines = (self._folder / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000


@contextmanager
def probe(
    folder: Path, outputs: Mapping[str, str], cameras: Sequence[str] = ("",), **parameters: object
) -> Iterator[Probe]:
    """A node with these parameters, in a domain of its own."""
    given = {"threads": 1, "stale_after": 0.0, **parameters}
    if list(cameras) != [""]:
        given["cameras"] = f"[{','.join(cameras)}]"
    arguments = [word for name, value in given.items() for word in ("-p", f"{name}:={value}")]
    with own_domain() as domain:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        with running(NODE, ["--ros-args", *arguments], folder / "node.log") as process:
            found = Probe(process, cameras, outputs)
            with found.station:
                yield found
