"""Plays a recording to the node in real time and records its answers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from mtl_bags.compose import cdr_stamp_ns
from mtl_bags.frames import RecordedFrame, recorded_frames
from mtl_bags.reader import BagReader
from mtl_bags.records import CAMERA_INFO, IMAGE, Record
from mtl_bags.synthetic import Progress
from mtl_bags.topics import Camera
from mtl_bags.writer import BagWriter
from mtl_perception import topics
from mtl_perception.demo.process import NodeProcess
from mtl_perception.errors import PerceptionError
from mtl_perception.ledger import Ledger
from mtl_perception.player import CAMERA_QOS, Station

MASK = f"/{topics.MASK}"
DEPTH = f"/{topics.DEPTH}"
ANSWER = (MASK, DEPTH)
PICTURES = {MASK: IMAGE, f"/{topics.CONFIDENCE}": IMAGE, f"/{topics.OVERLAY}": IMAGE, DEPTH: IMAGE}
INFOS = {
    f"/{topics.SEGMENTATION_CAMERA_INFO}": CAMERA_INFO,
    f"/{topics.DEPTH_CAMERA_INFO}": CAMERA_INFO,
}

# Patience in seconds: what ends a wait for something that does not come.
_START_S = 60.0  # for a node that loads its libraries and its model on a busy machine
_GREETING_S = 60.0
_GREETING_REPEAT_S = 2.0
_ANSWER_S = 30.0
_GRACE_S = 10.0  # when frames were dropped, their answers never come
_QUIET_S = 1.0  # without results, after which no more are on their way

_GREETING_FRAMES = 5  # so that one damaged frame does not keep the node silent


class _Results:
    """Takes in results: into the ledger always, into a recording once there is one."""

    def __init__(self, ledger: Ledger) -> None:
        self._last_s = time.monotonic()
        self.ledger = ledger
        self._writer: BagWriter | None = None

    def __call__(self, record: Record, time_s: float) -> None:
        self._last_s = time_s
        self.ledger.came(record.topic, cdr_stamp_ns(record.data), time_s)
        if self._writer:
            self._writer.write(record.topic, record.msgtype, record.time_ns, record.data)

    def begin(self, writer: BagWriter) -> None:
        """Forget what came so far, and record from now on."""
        self.ledger, self._writer = Ledger(ANSWER), writer

    def is_quiet_for(self, seconds: float) -> bool:
        return time.monotonic() - self._last_s > seconds


class Replay:
    """One recording, one node, one recording of its answers.

    Args:
        reader: The recording to play.
        camera: Its topics.
        node: The running node.
        hz: Frames a second; None for lock-step, where a frame waits for the answer to the last.
    """

    def __init__(
        self, reader: BagReader, camera: Camera, node: NodeProcess, hz: float | None
    ) -> None:
        """Keep what to play to whom."""
        self._reader, self._camera, self._node, self._hz = reader, camera, node, hz
        # Not the camera_infos: the node withholds one that does not fit its image.
        self._results = _Results(Ledger(PICTURES))

    def run(self, answers: Path, progress: Progress = iter) -> Ledger:
        """Play all frames and return when each was answered.

        Args:
            answers: The rosbag2 folder to make, or to replace.
            progress: Wraps the frames as they are sent, such as in a progress bar.

        Raises:
            PerceptionError: The node ended, or never answered.
            BagError: The recording is damaged, or the answers cannot be written.
        """
        topic_types = {**PICTURES, **INFOS}
        station = Station("mtl_demo", topic_types, self._results)
        with station, BagWriter(answers, overwrite=True) as writer:
            station.advertise(self._image_topic, self._camera.colour.msgtype, CAMERA_QOS)
            station.advertise(topics.CAMERA_INFO, CAMERA_INFO, CAMERA_QOS)
            self._greet(station)
            self._results.begin(writer)
            self._play(station, progress)
            self._wait_for_the_last(station)
        return self._results.ledger

    @property
    def _image_topic(self) -> str:
        """Where images go, in the root namespace, whatever they were called when recorded."""
        packed = self._camera.transport == "compressed"
        return topics.compressed(topics.IMAGE) if packed else topics.IMAGE

    def _send(self, station: Station, frame: RecordedFrame) -> None:
        """Publish a frame, camera_info first, and note when."""
        if frame.camera_info:
            station.publish(topics.CAMERA_INFO, frame.camera_info.data)
        self._results.ledger.sent(frame.stamp_ns, time.monotonic())
        station.publish(self._image_topic, frame.image.data)

    def _frames(self) -> Iterator[RecordedFrame]:
        return recorded_frames(self._reader, self._camera)

    def _greet(self, station: Station) -> None:
        """Wait for a frame's results on all topics: the node is up, and matched both ways."""
        if not self._spin(station, lambda: station.listeners(self._image_topic) > 0, _START_S):
            raise PerceptionError(
                self._node.describe(f"the node did not subscribe to images within {_START_S:g} s")
            )
        frames = itertools.cycle(list(itertools.islice(self._frames(), _GREETING_FRAMES)))
        ledger = self._results.ledger
        deadline = time.monotonic() + _GREETING_S
        while not ledger.frames_answered:
            if time.monotonic() > deadline:
                raise PerceptionError(
                    self._node.describe(f"no frame had all its results within {_GREETING_S:g} s")
                )
            self._send(station, next(frames))
            self._spin(station, lambda: ledger.frames_answered > 0, _GREETING_REPEAT_S)
        self._spin(station, partial(self._results.is_quiet_for, _QUIET_S), _GREETING_S)

    def _play(self, station: Station, progress: Progress) -> None:
        start = time.monotonic()
        for number, frame in enumerate(progress(self._frames())):
            if self._hz:
                self._spin(station, lambda: False, start + number / self._hz - time.monotonic())
            self._send(station, frame)
            if not self._hz:
                self._wait_for_one_more(station)

    def _wait_for_one_more(self, station: Station) -> None:
        ledger = self._results.ledger
        before = ledger.frames_answered
        self._spin(station, lambda: ledger.frames_answered > before, _ANSWER_S)

    def _wait_for_the_last(self, station: Station) -> None:
        """Wait for the answers that may still come, then for the results beside them."""
        ledger, results = self._results.ledger, self._results
        self._spin(station, lambda: ledger.frames_answered == ledger.frames_sent, _GRACE_S)
        self._spin(station, partial(results.is_quiet_for, _QUIET_S), _ANSWER_S)

    def _spin(self, station: Station, done: Callable[[], bool], timeout_s: float) -> bool:
        def checked() -> bool:
            self._node.check()
            return done()

        return station.spin_until(checked, timeout_s)
