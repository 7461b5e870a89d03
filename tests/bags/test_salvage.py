"""What is left of a damaged recording is read, and what is not is said."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from mtl_bags.compose import Stamped, image, serialize
from mtl_bags.errors import BagError
from mtl_bags.reader import BagReader
from mtl_bags.records import IMAGE, Record
from mtl_bags.types import standard_types
from mtl_bags.writer import BagWriter, Storage

FRAMES = 40
RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (FRAMES, 90, 120, 3), np.uint8)  # does not compress: many chunks


def record(number: int) -> Record:
    message = image(NOISE[number], "rgb8", Stamped(number, "camera"))
    return Record(f"/camera{number % 2}/image", IMAGE, 1000 + number, serialize(message))


ALL = [record(number) for number in range(FRAMES)]


def write(path: Path, storage: Storage = "mcap", compress: bool = False) -> Path:
    with BagWriter(path, storage, compress=compress) as writer:
        for one in ALL:
            writer.write(one.topic, one.msgtype, one.time_ns, one.data)
    return path


@pytest.fixture(scope="module", params=["mcap", "mcap in zstd", "sqlite3"])
def whole(request, tmp_path_factory) -> Path:  # type: ignore[no-untyped-def]
    storage, _, packed = request.param.partition(" in ")
    return write(tmp_path_factory.mktemp("whole") / "bag", storage, bool(packed))


def storage_file(path: Path) -> Path:
    (file,) = (p for p in path.iterdir() if p.name != "metadata.yaml")
    return file


def salvaged(path: Path) -> tuple[list[Record], tuple[str, ...]]:
    with BagReader(path, salvage=True) as reader:
        return list(reader.messages()), reader.damage


def test_a_whole_recording_is_read_alike(whole: Path) -> None:
    assert salvaged(whole) == (ALL, ())
    with BagReader(whole, salvage=True) as reader, BagReader(whole) as indexed:
        assert reader.topics == indexed.topics
        assert [t.name for t in reader.topics] == ["/camera0/image", "/camera1/image"]
        for topic in reader.topics:
            description = reader.description(topic.name, topic.msgtype)
            assert description == indexed.description(topic.name, topic.msgtype)
        assert reader.deserialize(ALL[3]).header.stamp.nanosec == 3
        assert list(reader.messages(["/camera1/image"])) == ALL[1::2]


@settings(max_examples=20)
@given(share=st.floats(0.3, 0.999))
def test_of_a_cut_file_all_that_is_before_the_cut_is_read(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    path = shutil.copytree(whole, tmp_path_factory.mktemp("cut") / "bag")
    file = storage_file(path)
    size = file.stat().st_size
    with file.open("r+b") as stream:
        stream.truncate(int(size * share))
    found, damage = salvaged(path)
    assert found == ALL[: len(found)]
    # A compressor's block and a page are the most that a cut can take besides.
    assert len(found) >= FRAMES * share - 8
    assert damage
    assert str(file) in damage[0]


def test_a_spoilt_chunk_takes_no_other_with_it(tmp_path: Path) -> None:
    """A file as rosbag2 writes it: in chunks, each with its checksum."""
    path = tmp_path / "bag.mcap"
    with path.open("wb") as stream:
        writer = McapWriter(stream, chunk_size=100_000)
        writer.start(profile="ros2")
        text = standard_types().generate_msgdef(IMAGE, ros_version=2)[0]
        schema = writer.register_schema(IMAGE, "ros2msg", text.encode())
        names = sorted({one.topic for one in ALL})
        channels = {name: writer.register_channel(name, "cdr", schema) for name in names}
        for one in ALL:
            writer.add_message(channels[one.topic], one.time_ns, one.data, one.time_ns)
        writer.finish()
    assert salvaged(path) == (ALL, ())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    found, damage = salvaged(path)
    assert len(damage) == 1
    assert "a chunk is damaged" in damage[0]
    assert FRAMES - 6 < len(found) < FRAMES
    assert [one for one in ALL if one in found] == found
    assert found[-1] == ALL[-1]


def plain_mcap(path: Path) -> bytes:
    """The records one after the other, without chunks."""
    with path.open("wb") as stream:
        writer = McapWriter(stream, use_chunking=False)
        writer.start(profile="ros2")
        text = standard_types().generate_msgdef(IMAGE, ros_version=2)[0]
        schema = writer.register_schema(IMAGE, "ros2msg", text.encode())
        channels = {
            name: writer.register_channel(name, "cdr", schema)
            for name in sorted({one.topic for one in ALL})
        }
        for one in ALL:
            writer.add_message(channels[one.topic], one.time_ns, one.data, one.time_ns)
        writer.finish()
    return path.read_bytes()


def test_a_file_that_ends_between_two_records_is_cut_too(tmp_path: Path) -> None:
    path = tmp_path / "bag.mcap"
    content = plain_mcap(path)
    size = len(ALL[20].data)
    end = content.find(ALL[20].data) + size
    path.write_bytes(content[:end])
    assert salvaged(path) == (ALL[:21], (f"{path}: cut short: the end of the file is missing",))


def test_a_garbled_record_takes_no_other_with_it(tmp_path: Path) -> None:
    path = tmp_path / "bag.mcap"
    content = plain_mcap(path)
    place = content.find(ALL[20].data) - 22 - 9
    garbled = bytes([5]) + (5).to_bytes(8, "little") + b"short"
    path.write_bytes(content[:place] + garbled + content[place:])
    found, damage = salvaged(path)
    assert found == ALL
    assert len(damage) == 1
    assert "a record is damaged" in damage[0]


def test_what_lies_in_a_write_ahead_log_is_read(tmp_path: Path) -> None:
    """As a recorder leaves it that was killed while SQLite wrote ahead; the path is odd, too."""
    path = write(tmp_path / "walk", "sqlite3")
    file = storage_file(path)
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    last = "SELECT topic_id, timestamp + 1, data FROM messages ORDER BY id DESC LIMIT 1"
    connection.execute(f"INSERT INTO messages (topic_id, timestamp, data) {last}")
    connection.commit()
    killed = tmp_path / "killed #3?"
    killed.mkdir()
    for part in path.iterdir():
        if not part.name.endswith("-shm"):
            shutil.copy(part, killed / part.name)
    connection.close()
    before = {p.name: p.read_bytes() for p in killed.iterdir()}
    found, _ = salvaged(killed)
    assert found[:-1] == ALL
    assert found[-1].data == ALL[-1].data
    assert {p.name: p.read_bytes() for p in killed.iterdir()} == before


def test_a_file_that_was_being_compressed_is_read_once(tmp_path: Path) -> None:
    path = write(tmp_path / "bag")
    file = storage_file(path)
    file.with_name(f"{file.name}.zstd").write_bytes(b"\x28\xb5\x2f\xfd half")
    assert salvaged(path) == (ALL, ())


def test_a_recording_without_metadata_is_read(whole: Path, tmp_path: Path) -> None:
    path = shutil.copytree(whole, tmp_path / "bag")
    (path / "metadata.yaml").unlink()
    found, damage = salvaged(path)
    assert found == ALL
    assert damage == (f"{path} has no metadata.yaml",)


def test_split_recordings_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "bag"
    path.mkdir()
    for number in (2, 10, 1):
        part = write(tmp_path / f"part{number}")
        storage_file(part).rename(path / f"bag_{number}.mcap")
    (path / "bag_2.mcap").write_bytes(b"nothing at all")
    found, damage = salvaged(path)
    assert found == ALL * 2
    assert any("bag_2.mcap: does not begin as an mcap file" in one for one in damage)


@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
@pytest.mark.parametrize("plugin", list(StoragePlugin))
def test_compressed_recordings_are_read_and_cut_ones_too(
    tmp_path: Path, mode: CompressionMode, plugin: StoragePlugin
) -> None:
    path = tmp_path / "bag"
    writer = Writer(path, version=8, storage_plugin=plugin)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections = {
            name: writer.add_connection(name, IMAGE, typestore=standard_types())
            for name in ("/camera0/image", "/camera1/image")
        }
        for one in ALL:
            writer.write(connections[one.topic], one.time_ns, one.data)
    assert salvaged(path) == (ALL, ())
    file = storage_file(path)
    with file.open("r+b") as stream:
        stream.truncate(int(file.stat().st_size * 0.6))
    found, damage = salvaged(path)
    assert found == ALL[: len(found)]
    assert len(found) > FRAMES * 0.4
    assert damage


@pytest.mark.parametrize("name", ["bag.mcap", "bag.db3", "bag.bag", "notes.txt"])
@pytest.mark.parametrize("content", [b"", b"no recording at all, but some text of some length"])
def test_what_is_no_recording_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BagError, match="nothing of it can be read"):
        BagReader(path, salvage=True)
    with pytest.raises(BagError, match="does not exist"):
        BagReader(tmp_path / "none", salvage=True)


@settings(max_examples=30)
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_damage_anywhere_gives_messages_or_a_bag_error(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, place: float, flip: int
) -> None:
    path = shutil.copytree(whole, tmp_path_factory.mktemp("spoilt") / "bag")
    file = storage_file(path)
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= flip
    file.write_bytes(content)
    try:
        found, _ = salvaged(path)
    except BagError:
        return
    assert len(found) <= FRAMES
