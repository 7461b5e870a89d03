"""Play a recording to DDS from pip alone: `mtl-play BAG`.

In real time, or in lock-step with a node that answers: then nothing is sent faster than it is
answered, so that nothing is lost.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from mtl_bags.arguments import own_words
from mtl_bags.compose import clock, serialize
from mtl_bags.errors import BagError
from mtl_bags.frames import stamp_of
from mtl_bags.reader import BagReader
from mtl_bags.records import CLOCK as CLOCK_TYPE
from mtl_bags.records import IMAGE, Record
from mtl_bags.topics import find_colour_topic
from mtl_core.errors import MtlError
from mtl_perception import environment
from mtl_perception.errors import PerceptionError
from mtl_perception.policy import Place, published

if TYPE_CHECKING:
    from mtl_perception.player import Station

QUEUE = 100
CLOCK = "/clock"

_STEP_S = 0.1

AHEAD = 8
"""Enough for depth that is recorded some images later than the image that it belongs to."""

START_S = 60.0
"""The longest wait for the other side."""

LISTENER_S = 5.0
"""The longest wait for a listener in real time, where there may be none."""

MATCHING_S = 0.5
"""For the other topics of a listener that has been found, and for its own side of the match."""

DELIVERY_S = 10.0
"""The longest wait for the last messages to arrive."""

ANSWER_S = 30.0
"""The longest wait for one answer; a frame that cannot be read never gets one."""


@dataclass(frozen=True)
class Manner:
    """How a recording is played.

    Attributes:
        rate: Times real time.
        answers: In lock-step with this topic, whose messages bear the stamps of the images.
        images: The topic that is answered; "" = the colour images.
        ahead: How many images may be unanswered.
        loop: Again and again.
        clock_hz: How often `/clock` is published; 0 = never.
        awaited: A topic that somebody has to publish before anything is played; "" = none.
        others: Topics that others publish.
    """

    rate: float = 1.0
    answers: str = ""
    images: str = ""
    ahead: int = AHEAD
    loop: bool = False
    clock_hz: float = 0.0
    awaited: str = ""
    others: frozenset[str] = frozenset()

    @property
    def left_out(self) -> frozenset[str]:
        """What is not played, though it may be recorded: what somebody else publishes now."""
        clock = {CLOCK} if self.clock_hz else set()
        return self.others | clock | {self.answers, self.awaited}


def main(argv: Sequence[str] | None = None) -> int:
    """Play a recording; returns 0, or 1 if it cannot be played."""
    options = _parser().parse_args(own_words(argv))
    try:
        environment.prepare()  # rclpy reads the environment when it is imported
        with BagReader(options.bag) as reader:
            Player(reader, _manner(options), options.topics).run()
    except (BagError, MtlError, PerceptionError) as err:
        print(f"mtl-play: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _manner(options: argparse.Namespace) -> Manner:
    students = [Place("student", f"/{name.strip('/')}") for name in options.student]
    return Manner(
        options.rate,
        options.lock_step or "",
        options.images or "",
        options.ahead,
        options.loop,
        options.clock or 0.0,
        options.wait_for or "",
        frozenset().union(*map(published, students)),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mtl-play", description=__doc__)
    parser.add_argument("bag", type=Path, help="rosbag2 folder or file, or a ROS 1 bag")
    parser.add_argument("--rate", type=float, default=1.0, help="times real time (default: 1)")
    parser.add_argument(
        "--lock-step", metavar="TOPIC", help="wait for the answers that come on this topic"
    )
    parser.add_argument("--images", metavar="TOPIC", help="what is answered (default: colour)")
    parser.add_argument(
        "--ahead", type=int, default=AHEAD, help=f"images that may be unanswered (default: {AHEAD})"
    )
    parser.add_argument("--loop", action="store_true", help="again and again")
    parser.add_argument(
        "--clock", type=float, nargs="?", const=40.0, metavar="HZ", help="publish /clock"
    )
    parser.add_argument(
        "--wait-for", metavar="TOPIC", help="begin when somebody publishes this topic"
    )
    parser.add_argument("--topics", nargs="+", metavar="TOPIC", help="these alone")
    parser.add_argument(
        "--student",
        nargs="+",
        default=[],
        metavar="NAMESPACE",
        help="leave out what a student in each of these publishes; / = the root",
    )
    return parser


class Player:
    """One recording on its way to DDS.

    Args:
        reader: The recording.
        manner: How it is played.
        topics: Which of its topics; None = all whose types are installed.

    Raises:
        BagError: A topic is not in the recording.
        PerceptionError: A rate or number makes no sense, or the images are not played.

    Attributes:
        topics: What is played.
    """

    def __init__(
        self, reader: BagReader, manner: Manner, topics: Sequence[str] | None = None
    ) -> None:
        """Check what was asked for; nothing is published yet."""
        if not manner.rate > 0 or manner.ahead < 1 or not manner.clock_hz >= 0:
            raise PerceptionError(
                "expected a rate above 0, 1 image ahead at least and a clock of at least 0 Hz, got "
                f"{manner.rate}, {manner.ahead} and {manner.clock_hz}"
            )
        self._reader, self._manner = reader, manner
        wanted = [reader.topic(n) for n in topics] if topics else list(reader.topics)
        self.topics = [topic for topic in wanted if topic.name not in manner.left_out]
        self._left_out = [topic.name for topic in wanted if topic.name in manner.left_out]
        self._images = manner.images or (find_colour_topic(reader).name if manner.answers else "")
        if self._images and self._images not in {topic.name for topic in self.topics}:
            raise PerceptionError(
                f"expected the images {self._images} among what is played, got "
                + ", ".join(topic.name for topic in self.topics)
            )
        self._period_s = 1 / manner.clock_hz if manner.clock_hz else _STEP_S
        self._clock_ns = -1
        self._waiting: Counter[int] = Counter()
        self._unanswered = 0

    def run(self) -> None:
        """Play to the end, or for ever.

        Raises:
            PerceptionError: Nobody answers.
            BagError: The recording is damaged.
        """
        from mtl_perception.player import Station

        answers = {self._manner.answers: IMAGE} if self._manner.answers else {}
        with Station("mtl_play", answers, self._answered) as station:
            names = self._advertise(station)
            self._wait_for_the_other_side(station, names)
            while True:
                self._play(station, names)
                if not self._manner.loop:
                    break
            self._wait(station, 0)
            station.wait_for_delivery(DELIVERY_S)

    def _advertise(self, station: Station) -> list[str]:
        """Publishers for what can be published; returns the topics."""
        from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

        if self._manner.clock_hz:
            station.advertise(CLOCK, CLOCK_TYPE, QoSProfile(depth=1))
        for name in self._left_out:
            print(f"mtl-play: {name} left out: somebody else publishes it")
        names = []
        for topic in self.topics:
            recorded = self._reader.description(topic.name, topic.msgtype).qos
            latched = any(q.durability.name == "TRANSIENT_LOCAL" for q in recorded)
            durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
            # Reliable serves those who ask for less, too.
            reliable = ReliabilityPolicy.RELIABLE
            qos = QoSProfile(depth=QUEUE, reliability=reliable, durability=durability)
            try:
                station.advertise(topic.name, topic.msgtype, qos)
            except (ImportError, AttributeError):
                print(f"mtl-play: {topic.name} left out: {topic.msgtype} is not installed")
            else:
                names.append(topic.name)
        return names

    def _wait_for_the_other_side(self, station: Station, names: Sequence[str]) -> None:
        """What is sent before somebody has been matched is lost."""
        awaited = self._manner.awaited
        if awaited and not station.spin_until(lambda: station.answerers(awaited) > 0, START_S):
            raise PerceptionError(f"within {START_S:g} s nobody published {awaited}")

        def there() -> bool:
            if not self._manner.answers:
                return any(station.listeners(name) for name in names)
            answers = self._manner.answers
            return station.listeners(self._images) > 0 and station.answerers(answers) > 0

        found = station.spin_until(there, START_S if self._manner.answers else LISTENER_S)
        if found:
            station.spin_until(lambda: False, MATCHING_S)
        elif self._manner.answers:
            raise PerceptionError(
                f"within {START_S:g} s nobody subscribed {self._images} and published "
                f"{self._manner.answers}"
            )

    def _play(self, station: Station, names: Sequence[str]) -> None:
        total = sum(topic.count for topic in self.topics if topic.name in names)
        bar = tqdm(total=total, unit="message", disable=None)
        pace = None if self._manner.answers else _Pace(self._manner.rate)
        with bar:
            for record in self._reader.messages(names):
                if pace:
                    self._until_due(station, pace, record.time_ns)
                self._tick(station, record.time_ns)
                if record.topic == self._images:
                    self._wait(station, self._manner.ahead - 1)
                    self._waiting[stamp_of(record)] += 1
                    self._unanswered += 1
                station.publish(record.topic, record.data)
                bar.update()

    def _answered(self, record: Record, time_s: float) -> None:
        stamp = stamp_of(record)
        if self._waiting[stamp] > 0:
            self._waiting[stamp] -= 1
            self._unanswered -= 1
            self._waiting += Counter()  # forgets those at 0

    def _wait(self, station: Station, most: int) -> None:
        """Until at most so many images are unanswered; those that never will be are given up."""
        if self._unanswered <= most:
            return
        if not station.spin_until(lambda: self._unanswered <= most, ANSWER_S):
            print(f"mtl-play: no answer within {ANSWER_S:g} s to {self._unanswered} images")
            self._waiting.clear()
            self._unanswered = 0

    def _until_due(self, station: Station, pace: _Pace, time_ns: int) -> None:
        """Wait for a message's time; the clock goes on meanwhile."""
        while (left := pace.left(time_ns)) > 0:
            self._tick(station, time_ns - round(left * self._manner.rate * 1e9))
            station.spin_until(lambda: False, min(left, self._period_s))

    def _tick(self, station: Station, time_ns: int) -> None:
        """Publish the recording's time, if it is time for that."""
        if not self._manner.clock_hz:
            return
        period_ns = self._period_s * self._manner.rate * 1e9
        if not 0 <= time_ns - self._clock_ns < period_ns:
            station.publish(CLOCK, serialize(clock(time_ns)))
            self._clock_ns = time_ns


class _Pace:
    """When messages are due."""

    def __init__(self, rate: float) -> None:
        self._rate, self._start_s, self._first_ns = rate, time.monotonic(), -1

    def left(self, time_ns: int) -> float:
        """Seconds until a message recorded then is due; negative if it is late."""
        if self._first_ns < 0:
            self._first_ns = time_ns
        due = self._start_s + (time_ns - self._first_ns) / 1e9 / self._rate
        return due - time.monotonic()


if __name__ == "__main__":
    raise SystemExit(main())
