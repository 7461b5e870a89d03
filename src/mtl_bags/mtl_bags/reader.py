"""Reads recordings: rosbag2 folders and files (sqlite3, mcap), and ROS 1 bags as ROS 2's.

A thin layer over `rosbags`: one error type, definitions for recordings that carry none, and CDR
bytes that can be published as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.convert.converter import migrate_bytes
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from mtl_bags.errors import BagError

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"

_EXPECTED = "expected a rosbag2 folder or an .mcap, .db3 or .bag file"
_WORDS = re.compile(r"[/_]+")
_COLOUR = {"color", "colour", "rgb"}
_NOT_COLOUR = {
    *("depth", "compresseddepth", "disparity", "ir", "infra", "infra1", "infra2", "infrared"),
    *("mask", "confidence", "segmentation", "overlay", "labels", "truth", "mtl"),
}


@dataclass(frozen=True)
class Topic:
    """A topic of a recording, with the number of its messages."""

    name: str
    msgtype: str
    count: int


@dataclass(frozen=True)
class Record:
    """One recorded message: `data` is CDR, `time_ns` the time of its recording."""

    topic: str
    msgtype: str
    time_ns: int
    data: bytes


class BagReader:
    """An open recording; a context manager.

    Args:
        path: A rosbag2 folder, or a single `.mcap`, `.db3` or (ROS 1) `.bag` file.

    Raises:
        BagError: Nothing stands there, or it is no recording, or a damaged one.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the recording."""
        self.path = Path(path)
        self._reader = _open(self.path)
        self.topics = tuple(
            Topic(name, info.msgtype or info.connections[0].msgtype, info.msgcount)
            for name, info in self._reader.topics.items()
        )

    def __enter__(self) -> BagReader:
        """Return the reader, which is open already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the recording."""
        self.close()

    def close(self) -> None:
        """Close the recording; closing again does nothing."""
        if self._reader.stack:
            self._reader.close()

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

    def messages(self, topics: Collection[str] | None = None) -> Iterator[Record]:
        """Yield the messages of these topics (default: of all) in the order of their recording.

        Raises:
            BagError: A topic is not in the recording, or the file is damaged at this place.
        """
        wanted = None if topics is None else {self.topic(name).name for name in topics}
        connections = [c for c in self._reader.connections if wanted is None or c.topic in wanted]
        if not connections:
            return
        with _translated(self.path):
            for connection, time_ns, data in self._reader.messages(connections):
                yield Record(
                    connection.topic, connection.msgtype, time_ns, self._cdr(connection, data)
                )

    def deserialize(self, record: Record) -> Any:
        """Return the message in a record as a dataclass of `rosbags`.

        Raises:
            BagError: The bytes do not fit the type, or the type is not known.
        """
        with _translated(self.path, f"cannot read a {record.msgtype} of {record.topic}"):
            return self._typestore.deserialize_cdr(record.data, record.msgtype)

    @cached_property
    def _typestore(self) -> Typestore:
        """The recording's own types; for ROS 1, overridden by ROS 2's standard ones."""
        own = self._reader.typestore
        if self._reader.is2:
            return own
        store = get_typestore(Stores.EMPTY)
        store.register({**own.fielddefs, **get_typestore(Stores.LATEST).fielddefs})
        return store

    @cached_property
    def _cdr(self) -> Callable[[Connection, bytes], bytes]:
        if self._reader.is2:
            return lambda connection, data: bytes(data)
        cache: dict[str, object] = {}

        def migrated(connection: Connection, data: bytes) -> bytes:
            stores, kinds = (self._reader.typestore, self._typestore), (connection.msgtype,) * 2
            return bytes(migrate_bytes(*stores, *kinds, cache, data, src_is2=False, dst_is2=True))

        return migrated


def find_colour_topic(reader: BagReader) -> Topic:
    """Return the topic that most likely is the colour camera's, by type and name.

    Names that speak of depth, infrared or results are left out; names that speak of colour come
    first, then raw before compressed images, then the order of the names.

    Raises:
        BagError: No topic qualifies; the message lists those there are.
    """
    candidates = [
        topic
        for topic in reader.topics
        if topic.msgtype in (IMAGE, COMPRESSED_IMAGE)
        and topic.count
        and not _NOT_COLOUR & _words(topic.name)
    ]
    if not candidates:
        raise BagError(
            f"{reader.path} has no colour images; expected a topic of type {IMAGE} or "
            f"{COMPRESSED_IMAGE}, got {reader.describe_topics()}"
        )
    return min(
        candidates,
        key=lambda t: (not _COLOUR & _words(t.name), t.msgtype != IMAGE, t.name),
    )


def find_camera_info_topic(reader: BagReader, image_topic: Topic) -> Topic | None:
    """Return the `camera_info` that stands beside an image topic, where the recording has it."""
    name = image_topic.name.removesuffix("/compressed")
    beside = f"{name.rpartition('/')[0]}/camera_info"
    infos = (t for t in reader.topics if t.msgtype == CAMERA_INFO and t.count)
    return next((topic for topic in infos if topic.name == beside), None)


def _words(topic: str) -> set[str]:
    return set(_WORDS.split(topic.lower()))


def _open(path: Path) -> AnyReader:
    if not path.exists():
        raise BagError(f"{path} does not exist; {_EXPECTED}")
    with _translated(path, f"not a readable recording; {_EXPECTED}"):
        reader = AnyReader([path], default_typestore=get_typestore(Stores.LATEST))
        reader.open()
        return reader


@contextmanager
def _translated(path: Path, problem: str = "damaged recording") -> Iterator[None]:
    try:
        yield
    except BagError:
        raise
    except Exception as err:  # on damaged files the parsers raise whatever they stumble over
        raise BagError(f"{path}: {problem}: {type(err).__name__}: {err}") from err
