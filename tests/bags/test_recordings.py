"""Recordings come back as they were written, and other people's readers agree."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_bags.compose import NANOSECONDS, Stamped, cdr_stamp_ns, image, serialize, stamp_ns
from mtl_bags.errors import BagError
from mtl_bags.messages import to_mask
from mtl_bags.reader import BagReader
from mtl_bags.records import IMAGE, Record
from mtl_bags.writer import BagWriter, Storage

STORAGES = get_args(Storage)
few_examples = settings(max_examples=25)  # each writes files
stamps = st.integers(0, 2**31 * NANOSECONDS - 1)


def picture(stamp: int, width: int = 3, height: int = 2) -> bytes:
    pixels = np.arange(width * height, dtype=np.uint8).reshape(height, width)
    return serialize(image(pixels, "mono8", Stamped(stamp, "camera")))


def write(path: Path, records: list[Record], storage: Storage = "mcap") -> Path:
    with BagWriter(path, storage) as writer:
        for record in records:
            writer.write(record.topic, record.msgtype, record.time_ns, record.data)
    return path


def read(path: Path, topics: list[str] | None = None) -> list[Record]:
    with BagReader(path) as reader:
        return list(reader.messages(topics))


records = st.builds(
    lambda topic, time, stamp: Record(topic, IMAGE, time, picture(stamp)),
    st.sampled_from(["/a", "/b/c"]),
    st.integers(1, 2**60),
    stamps,
)


@pytest.mark.parametrize("storage", STORAGES)
@few_examples
@given(written=st.lists(records, min_size=1, max_size=6))
def test_reading_returns_what_was_written_in_order_of_time(
    storage: Storage, written: list[Record]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        got = read(write(Path(folder) / "bag", written, storage))
    assert [r.time_ns for r in got] == sorted(r.time_ns for r in written)
    key = lambda r: (r.time_ns, r.topic, r.data)  # noqa: E731
    assert sorted(got, key=key) == sorted(written, key=key)


@pytest.mark.parametrize("storage", STORAGES)
def test_a_file_alone_reads_like_its_folder(tmp_path: Path, storage: Storage) -> None:
    folder = write(tmp_path / "bag", [Record("/a", IMAGE, 5, picture(1))], storage)
    (file,) = (path for path in folder.iterdir() if path.name != "metadata.yaml")
    assert read(file) == read(folder)


def test_topics_are_filtered_counted_and_listed_when_one_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "bag", [Record(t, IMAGE, 1, picture(1)) for t in ("/a", "/b", "/b")])
    assert [r.topic for r in read(path, ["/b"])] == ["/b", "/b"]
    with BagReader(path) as reader:
        assert [(t.name, t.msgtype, t.count) for t in reader.topics] == [
            ("/a", IMAGE, 1),
            ("/b", IMAGE, 2),
        ]
        with pytest.raises(BagError, match=r"no topic '/c'; it has /a \[sensor_msgs"):
            next(reader.messages(["/c"]))


@given(stamp=stamps, frame=st.text(max_size=20).filter(lambda text: "\0" not in text))
def test_the_stamp_in_the_bytes_is_the_stamp_in_the_message(stamp: int, frame: str) -> None:
    message = image(np.zeros((1, 1), np.uint8), "mono8", Stamped(stamp, frame))
    assert stamp_ns(message.header) == cdr_stamp_ns(serialize(message)) == stamp


@pytest.mark.parametrize("stamp", [-1, 2**31 * NANOSECONDS])
def test_a_stamp_that_ros_cannot_hold_is_refused(stamp: int) -> None:
    with pytest.raises(ValueError, match=f"got {stamp}"):
        Stamped(stamp, "camera")


def test_mcap_files_are_read_alike_by_the_reference_library(tmp_path: Path) -> None:
    reader = pytest.importorskip("mcap_ros2.reader", reason="mcap-ros2-support is not installed")
    path = write(tmp_path / "bag", [Record("/a", IMAGE, 7, picture(123456789))])
    (message,) = reader.read_ros2_messages(str(path / "bag.mcap"))
    got = message.ros_msg
    assert (message.channel.topic, message.log_time_ns) == ("/a", 7)
    assert (got.encoding, got.width, got.height, got.step) == ("mono8", 3, 2, 3)
    assert (got.header.stamp.nanosec, got.header.frame_id) == (123456789, "camera")
    assert bytes(got.data) == bytes(range(6))


def test_sqlite3_files_have_the_tables_of_rosbag2(tmp_path: Path) -> None:
    data = picture(1)
    path = write(tmp_path / "bag", [Record("/a", IMAGE, 7, data)], "sqlite3")
    with sqlite3.connect(path / "bag.db3") as database:
        rows = database.execute(
            "SELECT name, type, serialization_format, timestamp, data "
            "FROM messages JOIN topics ON topics.id = topic_id"
        ).fetchall()
    database.close()
    assert rows == [("/a", IMAGE, "cdr", 7, data)]


def test_a_recording_of_ros_1_reads_as_one_of_ros_2(tmp_path: Path) -> None:
    from rosbags.rosbag1 import Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS1_NOETIC)
    types = store.types
    path = tmp_path / "old.bag"
    with Writer(path) as writer:
        time = types["builtin_interfaces/msg/Time"](sec=3, nanosec=4)
        header = types["std_msgs/msg/Header"](seq=9, stamp=time, frame_id="camera")
        message = types[IMAGE](header, 1, 2, "mono8", 0, 2, np.array([7, 8], np.uint8))
        connection = writer.add_connection("/a", IMAGE, typestore=store)
        writer.write(connection, 5, store.serialize_ros1(message, IMAGE))
    with BagReader(path) as reader:
        (record,) = reader.messages()
        assert to_mask(reader.deserialize(record)).tolist() == [[7, 8]]
    assert cdr_stamp_ns(record.data) == 3 * NANOSECONDS + 4
    assert read(write(tmp_path / "new", [record])) == [record]


# What is no recording


def test_nothing_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(BagError, match=r"does not exist; expected a rosbag2 folder or an .mcap"):
        BagReader(tmp_path / "none")


@pytest.mark.parametrize("name", ["empty.mcap", "empty.db3", "empty.bag", "notes.txt"])
@pytest.mark.parametrize("content", [b"", b"no recording at all, but some text of some length"])
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BagError, match=f"{name}: not a readable recording"):
        BagReader(path)


def test_a_folder_without_metadata_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="not a readable recording"):
        BagReader(tmp_path)


@pytest.mark.parametrize("storage", STORAGES)
@few_examples
@given(data=st.data())
def test_damage_anywhere_is_a_bag_error_or_harmless(storage: Storage, data: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written = [Record("/a", IMAGE, time, picture(time)) for time in range(1, 4)]
        path = write(Path(folder) / "bag", written, storage)
        (file,) = (p for p in path.iterdir() if p.name != "metadata.yaml")
        content = bytearray(file.read_bytes())
        start = data.draw(st.integers(0, len(content) - 1), "start")
        if data.draw(st.booleans(), "truncated"):
            del content[start:]
        else:
            content[start] ^= data.draw(st.integers(1, 255), "flip")
        file.write_bytes(content)
        with suppress(BagError):
            assert len(read(path)) <= len(written)


def test_bytes_that_do_not_fit_their_type_are_a_bag_error(tmp_path: Path) -> None:
    path = write(tmp_path / "bag", [Record("/a", IMAGE, 1, picture(1)[:20])])
    with BagReader(path) as reader, pytest.raises(BagError, match=r"cannot read a .*Image of /a"):
        reader.deserialize(next(reader.messages()))


# How a recording appears


def test_an_interrupted_recording_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with BagWriter(tmp_path / "bag") as writer:
            writer.write("/a", IMAGE, 1, picture(1))
            assert not (tmp_path / "bag").exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_finished_recording_leaves_only_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "folder" / "bag", [Record("/a", IMAGE, 1, picture(1))])
    assert [p.name for p in path.parent.iterdir()] == ["bag"]
    assert sorted(p.name for p in path.iterdir()) == ["bag.mcap", "metadata.yaml"]


def test_an_existing_recording_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    old, new = (Record("/a", IMAGE, time, picture(time)) for time in (1, 2))
    path = write(tmp_path / "bag", [old])
    with pytest.raises(BagError, match="exists already"):
        BagWriter(path)
    with BagWriter(path, overwrite=True) as writer:
        writer.write(new.topic, new.msgtype, new.time_ns, new.data)
        assert read(path) == [old]
    assert read(path) == [new]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_no_recording_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(BagError, match="not a recording"):
        BagWriter(tmp_path / "photos", overwrite=True)
    assert (tmp_path / "photos").is_dir()


def test_a_name_taken_while_writing_is_not_replaced(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "bag")
    writer.write("/a", IMAGE, 1, picture(1))
    (tmp_path / "bag").mkdir()
    with pytest.raises(BagError, match="exists already"):
        writer.close()
    assert [p.name for p in tmp_path.iterdir()] == ["bag"]


def test_unknown_storages_and_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="one of mcap, sqlite3, got 'tape'"):
        BagWriter(tmp_path / "bag", "tape")  # type: ignore[arg-type]
    writer = BagWriter(tmp_path / "bag")
    with pytest.raises(BagError, match="'our_msgs/msg/Thing' is not known"):
        writer.write("/a", "our_msgs/msg/Thing", 1, b"")
    writer.abort()


def test_a_path_that_sqlite3_would_misread_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BagError, match=r"takes no path with # \?; mcap does"):
        BagWriter(tmp_path / "walk #3?", "sqlite3")
    path = write(tmp_path / "walk #3?", [Record("/a", IMAGE, 1, picture(1))])
    assert len(read(path)) == 1


def test_a_path_below_a_file_is_a_bag_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BagError, match="cannot write a recording at"):
        BagWriter(tmp_path / "file" / "bag")
