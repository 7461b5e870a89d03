"""Reads what can still be read of a damaged rosbag2 recording.

A recorder that was killed leaves an mcap file without an index, or a folder without its
`metadata.yaml`; a full disk leaves a file cut short; a bad sector spoils a chunk. Files are read
here from their beginning, record by record, without any index.
"""

from __future__ import annotations

import re
import shutil
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import quote
from zlib import crc32

import apsw
import lz4.frame  # type: ignore[import-untyped]
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, McapRecord, Message, Schema
from rosbags.rosbag2.metadata import parse_qos

from mtl_bags.records import Description, Record, Topic
from mtl_bags.types import described, typestore_of

Note = Callable[[str], None]
"""Takes a sentence about a damage."""

_STORAGE_FILE = re.compile(r"\.(mcap|db3)(\.zstd)?$")
_ZSTD = b"\x28\xb5\x2f\xfd"
"""What message-compressed data begin with; CDR begins with a zero."""

_MCAP = b"\x89MCAP0\r\n"
_RECORD = struct.Struct("<BQ")
_LONGEST = 1 << 30
"""Of a record that is believed."""

_TOPICS = "SELECT id, name, type, {qos} FROM topics"
_MESSAGES = "SELECT topic_id, timestamp, data FROM messages ORDER BY id"
_DEFINITIONS = "SELECT topic_type, encoded_message_definition FROM message_definitions"


class RawTopic(NamedTuple):
    """A topic as a storage file describes it; what it does not say is empty."""

    name: str
    msgtype: str
    definition: str
    qos: str


class Raw(NamedTuple):
    """A message as a storage file holds it."""

    topic: RawTopic
    time_ns: int
    data: bytes


class SalvagedSource:
    """A damaged rosbag2 recording; see `reader.Source`.

    It is read once to know what there is. Messages come file by file, in the order of writing.

    Attributes:
        damage: What was met, in sentences.
    """

    def __init__(self, path: Path) -> None:
        """Read all that can be read once."""
        self._path = path
        met: dict[str, None] = {}
        counts: Counter[RawTopic] = Counter(
            raw.topic for raw in recovered(path, lambda note: met.setdefault(note))
        )
        self.damage = tuple(met)
        self._described = {(topic.name, topic.msgtype): topic for topic in counts}
        self.topics = tuple(
            sorted(
                (Topic(topic.name, topic.msgtype, count) for topic, count in counts.items()),
                key=lambda topic: topic.name,
            )
        )
        self.typestore = typestore_of((topic.msgtype, topic.definition) for topic in counts)

    def close(self) -> None:
        """See `reader.Source.close`."""

    def messages(self, topics: Collection[str] | None) -> Iterator[Record]:
        """See `reader.Source.messages`."""
        for topic, time_ns, data in recovered(self._path, lambda note: None):
            if topics is None or topic.name in topics:
                yield Record(topic.name, topic.msgtype, time_ns, data)

    def description(self, topic: str, msgtype: str) -> Description:
        """See `reader.Source.description`."""
        raw = self._described[topic, msgtype]
        qos = parse_qos(raw.qos)
        return described(msgtype, self.typestore, raw.definition, qos=qos)


def is_rosbag2(path: Path) -> bool:
    """Say whether there are storage files that could be salvaged."""
    return bool(_storage_files(path))


def recovered(path: Path, note: Note) -> Iterator[Raw]:
    """Yield the messages that can be read, file by file, each in the order of its writing.

    Args:
        path: A rosbag2 folder, with or without `metadata.yaml`, or one of its files.
        note: Called with each damage that is met.
    """
    if path.is_dir() and not (path / "metadata.yaml").is_file():
        note(f"{path} has no metadata.yaml")
    for file in _storage_files(path):

        def note_file(problem: str, file: Path = file) -> None:
            note(f"{file}: {problem}")

        with _decompressed(file, note_file) as plain:
            read = _mcap if ".mcap" in file.suffixes else _sqlite3
            yield from _unpacked(read(plain, note_file), note_file)


def _storage_files(path: Path) -> list[Path]:
    """The files in the order of their recording, which the numbers in their names say."""
    files = [path] if path.is_file() else list(path.iterdir())
    # A recorder that is killed while it compresses leaves both; the plain one is whole.
    named = [
        file
        for file in files
        if _STORAGE_FILE.search(file.name)
        and not (file.suffix == ".zstd" and file.with_suffix("") in files)
    ]
    return sorted(named, key=lambda f: ([int(n) for n in re.findall(r"\d+", f.name)], f.name))


@contextmanager
def _decompressed(file: Path, note: Note) -> Iterator[Path]:
    """The file, or what decompresses of it, while the block lasts."""
    log = file.with_name(f"{file.name}-wal")
    packed_file, logged = file.suffix == ".zstd", log.is_file() and log.stat().st_size > 0
    if not packed_file and not logged:
        yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        if logged:
            yield _with_log(file, log, Path(folder))
            return
        plain = Path(folder) / file.stem
        with file.open("rb") as packed, plain.open("wb") as out:
            reader = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
            try:
                shutil.copyfileobj(reader, out)
            except zstandard.ZstdError as err:
                note(f"does not decompress to its end: {err}")
        yield plain


def _with_log(file: Path, log: Path, folder: Path) -> Path:
    """A copy of a database into which its write-ahead log has been taken."""
    copy = folder / file.name
    shutil.copyfile(file, copy)
    shutil.copyfile(log, folder / log.name)
    database = apsw.Connection(str(copy))
    try:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        database.close()
    return copy


def _unpacked(messages: Iterator[Raw], note: Note) -> Iterator[Raw]:
    """Decompress those that were compressed one by one."""
    for raw in messages:
        if not raw.data.startswith(_ZSTD):
            yield raw
            continue
        try:
            data = _unzipped(raw.data)
        except zstandard.ZstdError as err:
            note(f"a message of {raw.topic.name} does not decompress: {err}")
        else:
            yield raw._replace(data=data)


def _unzipped(data: bytes) -> bytes:
    """What decompresses of it: of cut data, the beginning."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def _mcap(file: Path, note: Note) -> Iterator[Raw]:
    """A chunk that is damaged is read as far as it goes; a file that is cut ends there."""
    schemas: dict[int, Schema] = {}
    topics: dict[int, RawTopic] = {}
    with file.open("rb") as stream:
        if stream.read(len(_MCAP)) != _MCAP:
            note("does not begin as an mcap file")
            return
        for record in _parsed(_records(stream, note), note):
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel):
                topics[record.id] = _described(record, schemas.get(record.schema_id))
            elif isinstance(record, Message) and record.channel_id in topics:
                yield Raw(topics[record.channel_id], record.log_time, record.data)


def _parsed(records: Iterator[tuple[int, bytes]], note: Note) -> Iterator[McapRecord]:
    for code, body in records:
        if code not in _PARSERS:
            continue
        try:
            record = _PARSERS[code](body)
        except Exception as err:  # whatever the parser stumbles over
            note(f"a record is damaged: {type(err).__name__}: {err}")
        else:
            yield record


_PARSERS: dict[int, Callable[[bytes], McapRecord]] = {
    Opcode.SCHEMA: lambda body: Schema.read(_data(body)),
    Opcode.CHANNEL: lambda body: Channel.read(_data(body)),
    Opcode.MESSAGE: lambda body: Message.read(_data(body), len(body)),
}


def _records(stream: BinaryIO, note: Note, *, within: bool = False) -> Iterator[tuple[int, bytes]]:
    """Code and content of each whole record, those of chunks among them.

    Args:
        stream: At the beginning of a record.
        note: Takes what is wrong.
        within: A chunk, which ends without a footer.
    """
    while head := stream.read(_RECORD.size):
        if len(head) < _RECORD.size:
            note("cut short within a record")
            return
        code, length = _RECORD.unpack(head)
        body = stream.read(min(length, _LONGEST))
        if len(body) < length:
            note(f"cut short: a record of {length} bytes has {len(body)}")
        if code == Opcode.CHUNK:
            yield from _records(BytesIO(_unchunked(body, note)), note, within=True)
        elif len(body) == length:
            yield code, body
        if len(body) < length or code == Opcode.FOOTER:
            return
    if not within:
        note("cut short: the end of the file is missing")


def _unchunked(body: bytes, note: Note) -> bytes:
    """What a chunk holds, or the beginning of it."""
    try:
        chunk = Chunk.read(_data(body))
        held = _DECOMPRESSORS[chunk.compression](chunk.data)
    except Exception as err:  # whatever the parser and the decompressors stumble over
        note(f"a chunk is damaged: {type(err).__name__}: {err}")
        return b""
    if len(held) == chunk.uncompressed_size and chunk.uncompressed_crc not in (0, crc32(held)):
        note("a chunk is damaged: its checksum is wrong")
        return b""
    return held


_DECOMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "zstd": _unzipped,
    "lz4": lambda data: lz4.frame.LZ4FrameDecompressor().decompress(data),
}


def _data(body: bytes) -> ReadDataStream:
    return ReadDataStream(BytesIO(body))


def _described(channel: Channel, schema: Schema | None) -> RawTopic:
    return RawTopic(
        name=channel.topic,
        msgtype=schema.name if schema else "",
        definition=schema.data.decode(errors="replace") if schema else "",
        qos=channel.metadata.get("offered_qos_profiles", ""),
    )


def _sqlite3(file: Path, note: Note) -> Iterator[Raw]:
    """In the order of the table, which needs no index, as far as its pages are whole."""
    try:
        database = _opened(file)
        try:
            # With this, SQLite opens a file that is shorter than its first page says.
            database.execute("PRAGMA writable_schema = ON")
            topics = _topics(database)
            for topic_id, time_ns, data in database.execute(_MESSAGES):
                if topic_id in topics and isinstance(data, bytes):
                    yield Raw(topics[topic_id], time_ns, data)
        finally:
            database.close()
    except apsw.Error as err:
        note(f"cannot be read further: {type(err).__name__}: {err}")


def _opened(file: Path) -> apsw.Connection:
    """The database as it lies there, nothing of it changed."""
    options = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(f"file:{quote(str(file))}?immutable=1", flags=options)


def _topics(database: apsw.Connection) -> dict[int, RawTopic]:
    columns = {row[1] for row in database.execute("PRAGMA table_info(topics)")}
    qos = "offered_qos_profiles" if "offered_qos_profiles" in columns else "''"
    described = list(database.execute("PRAGMA table_info(message_definitions)"))
    definitions = dict(database.execute(_DEFINITIONS)) if described else {}
    return {
        number: RawTopic(name, msgtype, definitions.get(msgtype, ""), profiles)
        for number, name, msgtype, profiles in database.execute(_TOPICS.format(qos=qos))
    }
