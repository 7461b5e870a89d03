"""Recordings that are whole: read by their index, with `rosbags`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from pathlib import Path

from rosbags.convert.converter import migrate_bytes
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from mtl_bags.records import Description, Record, Topic
from mtl_bags.types import described, standard_types


class IndexedSource:
    """An open recording, rosbag2 or ROS 1; see `reader.Source`."""

    damage: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        """Open it; raises whatever `rosbags` raises."""
        self._reader = AnyReader([path], default_typestore=standard_types())
        self._reader.open()
        self.topics = tuple(
            Topic(name, info.msgtype or info.connections[0].msgtype, info.msgcount)
            for name, info in self._reader.topics.items()
        )

    def close(self) -> None:
        """See `reader.Source.close`."""
        if self._reader.stack:
            self._reader.close()

    def messages(self, topics: Collection[str] | None) -> Iterator[Record]:
        """See `reader.Source.messages`."""
        connections = [c for c in self._reader.connections if topics is None or c.topic in topics]
        if not connections:
            return
        for connection, time_ns, data in self._reader.messages(connections):
            cdr = self._cdr(connection, data)
            yield Record(connection.topic, connection.msgtype, time_ns, cdr)

    def description(self, topic: str, msgtype: str) -> Description:
        """See `reader.Source.description`."""
        connection = next(
            c for c in self._reader.connections if (c.topic, c.msgtype) == (topic, msgtype)
        )
        if not self._reader.is2:
            return described(msgtype, self.typestore)
        known = connection.msgdef.format != MessageDefinitionFormat.NONE
        text = connection.msgdef.data if known else ""
        qos = connection.ext.offered_qos_profiles  # type: ignore[union-attr]
        return described(msgtype, self.typestore, text, connection.digest, qos)

    @cached_property
    def typestore(self) -> Typestore:
        """The recording's own types; for ROS 1, overridden by ROS 2's standard ones."""
        own = self._reader.typestore
        if self._reader.is2:
            return own
        store = get_typestore(Stores.EMPTY)
        store.register({**own.fielddefs, **standard_types().fielddefs})
        return store

    @cached_property
    def _cdr(self) -> Callable[[Connection, bytes], bytes]:
        if self._reader.is2:
            return lambda connection, data: bytes(data)
        cache: dict[str, object] = {}

        def migrated(connection: Connection, data: bytes) -> bytes:
            stores, kinds = (self._reader.typestore, self.typestore), (connection.msgtype,) * 2
            return bytes(migrate_bytes(*stores, *kinds, cache, data, src_is2=False, dst_is2=True))

        return migrated
