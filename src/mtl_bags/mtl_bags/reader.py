"""Reads recordings: rosbag2 folders and files (sqlite3, mcap), and ROS 1 bags as ROS 2's.

A thin layer over `rosbags`: one error type, definitions for recordings that carry none, CDR bytes
that can be published as they are, and what is left of damaged recordings.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rosbags.typesys.store import Typestore

from mtl_bags.closing import Closing
from mtl_bags.errors import BagError, DamageError
from mtl_bags.indexed import IndexedSource
from mtl_bags.records import Description, Record, Topic
from mtl_bags.salvage import SalvagedSource

_EXPECTED = "expected a rosbag2 folder or an .mcap, .db3 or .bag file"


class Source(Protocol):
    """What a recording is read with; errors are those of what lies below."""

    topics: tuple[Topic, ...]
    damage: tuple[str, ...]

    @property
    def typestore(self) -> Typestore:
        """The types of its messages."""

    def messages(self, topics: Collection[str] | None) -> Iterator[Record]:
        """The messages of these topics, None = of all, in the order of their recording."""

    def description(self, topic: str, msgtype: str) -> Description:
        """What it says of a topic."""

    def close(self) -> None:
        """Close its files; closing again does nothing."""


class BagReader(Closing):
    """An open recording; a context manager.

    Args:
        path: A rosbag2 folder, or a single `.mcap`, `.db3` or (ROS 1) `.bag` file.
        salvage: Read a damaged rosbag2 recording as far as it goes, without its index.

    Raises:
        BagError: Nothing stands there, or it is no recording, or a damaged one; with `salvage`,
            nothing of it can be read.
    """

    def __init__(self, path: str | Path, *, salvage: bool = False) -> None:
        """Open the recording."""
        self.path = Path(path)
        self._source = _salvaged(self.path) if salvage else _indexed(self.path)
        self.topics = self._source.topics

    def close(self) -> None:
        """Close the recording; closing again does nothing."""
        self._source.close()

    @property
    def damage(self) -> tuple[str, ...]:
        """What a salvaged recording lacks, in sentences."""
        return self._source.damage

    def topic(self, name: str) -> Topic:
        """Return the topic of that name.

        Raises:
            BagError: There is none; the message lists those there are.
        """
        for topic in self.topics:
            if topic.name == name:
                return topic
        raise BagError(f"{self.path} has no topic {name!r}; it has {self.describe_topics()}")

    def describe_topics(self) -> str:
        """Return names and types for an error message."""
        return ", ".join(f"{t.name} [{t.msgtype}]" for t in self.topics) or "no topics"

    def description(self, topic: str, msgtype: str) -> Description:
        """Return what the recording says of a topic and type that it has."""
        return self._source.description(topic, msgtype)

    def messages(self, topics: Collection[str] | None = None) -> Iterator[Record]:
        """Yield the messages of these topics (default: of all) in the order of their recording.

        Raises:
            BagError: A topic is not in the recording, or the file is damaged at this place.
        """
        wanted = None if topics is None else {self.topic(name).name for name in topics}
        with _translated(self.path):
            yield from self._source.messages(wanted)

    def deserialize(self, record: Record) -> Any:
        """Return the message in a record as a dataclass of `rosbags`.

        Raises:
            BagError: The bytes do not fit the type, or the type is not known.
        """
        problem = f"cannot read a {record.msgtype} of {record.topic}"
        with _translated(self.path, problem, BagError):
            return self._source.typestore.deserialize_cdr(memoryview(record.data), record.msgtype)


def _indexed(path: Path) -> Source:
    if not path.exists():
        raise BagError(f"{path} does not exist; {_EXPECTED}")
    with _translated(path, f"not a readable recording; {_EXPECTED}"):
        return IndexedSource(path)


def _salvaged(path: Path) -> Source:
    if not path.exists():
        raise BagError(f"{path} does not exist; {_EXPECTED}")
    with _translated(path, "nothing of it can be read"):
        source = SalvagedSource(path)
    if not source.topics:
        found = "; ".join(source.damage) or _EXPECTED
        raise BagError(f"{path}: nothing of it can be read: {found}")
    return source


@contextmanager
def _translated(
    path: Path, problem: str = "damaged recording", kind: type[BagError] = DamageError
) -> Iterator[None]:
    try:
        yield
    except BagError:
        raise
    except Exception as err:  # on damaged files the parsers raise whatever they stumble over
        raise kind(f"{path}: {problem}: {type(err).__name__}: {err}") from err
