"""Recordings labelled: what stands in the new one, whatever happens on the way."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest
import yaml
from rosbags.rosbag1 import Writer as Writer1
from rosbags.typesys import Stores, get_typestore

import tiny_student
from mtl_bags.cli import main
from mtl_bags.compose import Stamped, cdr_stamp_ns, image, serialize
from mtl_bags.errors import BagError
from mtl_bags.labelling.job import SUMMARY, Keyed, Labeller, Settings
from mtl_bags.messages import to_depth, to_mask
from mtl_bags.reader import BagReader
from mtl_bags.records import IMAGE, Record
from mtl_bags.writer import Storage
from mtl_core.errors import ModelError
from mtl_core.labels import LabelMap
from recordings import (
    COLOUR,
    DEPTH,
    FRAME,
    FRAMES,
    FX,
    HEIGHT,
    INFO,
    PREFIX,
    STRING,
    WIDTH,
    class_of,
    colour,
    depth,
    records,
    stamp,
    write,
)


def read(path: Path) -> list[Record]:
    with BagReader(path) as reader:
        return list(reader.messages())


def by_topic(path: Path) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for one in read(path):
        found.setdefault(one.topic, []).append(one)
    return found


def decoded(path: Path, topic: str) -> list[Any]:
    with BagReader(path) as reader:
        return [reader.deserialize(one) for one in reader.messages([topic])]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_student.write_teacher(tmp_path_factory.mktemp("model") / "tiny-teacher.onnx")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("source") / "walk", records())


@pytest.fixture(scope="module")
def labelled(model: Path, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "walk"
    Labeller(model, Settings()).label(source, out)
    return out


# ---- what stands in the new recording ------------------------------------------------------------


def test_the_original_messages_are_there_byte_for_byte(source: Path, labelled: Path) -> None:
    kept = [one for one in read(labelled) if PREFIX not in one.topic]
    assert kept == read(source)
    with BagReader(source) as old, BagReader(labelled) as new:
        for topic in old.topics:
            one = old.description(topic.name, topic.msgtype)
            assert new.description(topic.name, topic.msgtype) == one


def test_each_image_has_labels_with_its_header_recorded_at_its_time(labelled: Path) -> None:
    found = by_topic(labelled)
    times = [one.time_ns for one in found[COLOUR]]
    stamps = [cdr_stamp_ns(one.data) for one in found[COLOUR]]
    for name in ("mask", "confidence", "camera_info"):
        topic = f"{PREFIX}/segmentation/{name}"
        assert [one.time_ns for one in found[topic]] == times
        assert [cdr_stamp_ns(one.data) for one in found[topic]] == stamps
    assert {m.header.frame_id for m in decoded(labelled, f"{PREFIX}/depth/image")} == {FRAME}


def test_masks_are_the_teacher_s_answers_informed_by_depth(labelled: Path) -> None:
    masks = [to_mask(m) for m in decoded(labelled, f"{PREFIX}/segmentation/mask")]
    assert len(masks) == FRAMES
    for number, mask in enumerate(masks):
        assert mask.shape == (HEIGHT, WIDTH)
        assert (mask[:, : WIDTH // 2 - 8] == tiny_student.TOLD_CLASS).all()
        assert (mask[:, WIDTH // 2 + 8 :] == class_of(number)).all()


def test_depth_is_offered_where_the_sensor_has_none(labelled: Path) -> None:
    depths = [to_depth(m) for m in decoded(labelled, f"{PREFIX}/depth/image")]
    for number, metres in enumerate(depths):
        assert np.isnan(metres[:, : WIDTH // 2]).all()
        expected = tiny_student.metres(20 * number)
        np.testing.assert_allclose(metres[:, WIDTH // 2 :], expected, atol=2e-3)
    confidence = to_mask(decoded(labelled, f"{PREFIX}/depth/confidence")[0])
    assert (confidence[:, : WIDTH // 2] == 0).all()
    assert (confidence[:, WIDTH // 2 :] == round(255 * tiny_student.CONFIDENCE)).all()


def test_one_label_info_says_what_the_ids_mean_and_is_latched(labelled: Path) -> None:
    (info,) = decoded(labelled, f"{PREFIX}/segmentation/label_info")
    names = LabelMap.load("nyu13").classes
    assert [(c.class_id, c.class_name) for c in info.class_map] == list(enumerate(names))
    first = next(iter(by_topic(labelled)[f"{PREFIX}/segmentation/mask"]))
    assert by_topic(labelled)[f"{PREFIX}/segmentation/label_info"][0].time_ns == first.time_ns
    with BagReader(labelled) as reader:
        topic = f"{PREFIX}/segmentation/label_info"
        (qos,) = reader.description(topic, "vision_msgs/msg/LabelInfo").qos
    assert qos.durability.name == "TRANSIENT_LOCAL"
    assert qos.reliability.name == "RELIABLE"


def test_an_independent_reader_sees_the_same(labelled: Path) -> None:
    library = pytest.importorskip("mcap_ros2.reader", reason="mcap-ros2-support is not installed")
    counts: Counter[str] = Counter()
    for message in library.read_ros2_messages(str(labelled / "walk.mcap")):
        counts[message.channel.topic] += 1
        if message.channel.topic == f"{PREFIX}/segmentation/mask":
            got = message.ros_msg
            assert (got.encoding, got.width, got.height, got.step) == (
                "mono8",
                WIDTH,
                HEIGHT,
                WIDTH,
            )
        if message.channel.topic == f"{PREFIX}/segmentation/label_info":
            assert len(message.ros_msg.class_map) == 13
    assert counts[f"{PREFIX}/segmentation/mask"] == counts[COLOUR] == FRAMES
    assert counts[f"{PREFIX}/segmentation/label_info"] == 1


def test_the_summary_says_what_was_done(model: Path, source: Path, labelled: Path) -> None:
    found = json.loads((labelled / SUMMARY).read_text())
    assert (found["frames"], found["labelled"], found["problems"]) == (FRAMES, FRAMES, {})
    assert found["topics"] == {"colour": COLOUR, "info": INFO, "depth": DEPTH}
    assert found["tally"]["paired"] == FRAMES
    assert found["model"] == "tiny-teacher"
    ratios = [(1.5 + n / 1000) / tiny_student.metres(20 * n) for n in range(FRAMES)]
    assert found["depth_ratio"]["50"] == pytest.approx(np.median(ratios), rel=1e-3)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_labels_alone_are_without_the_original_messages(
    model: Path, source: Path, labelled: Path, tmp_path: Path, storage: Storage
) -> None:
    settings = Settings(labels_only=True, storage=storage)
    Labeller(model, settings).label(source, tmp_path / "walk")
    expected = [one for one in read(labelled) if PREFIX in one.topic]
    assert sorted(read(tmp_path / "walk"), key=str) == sorted(expected, key=str)


def test_without_depth_the_image_alone_is_labelled(
    model: Path, source: Path, tmp_path: Path
) -> None:
    Labeller(model, Settings(depth="none")).label(source, tmp_path / "walk")
    masks = [to_mask(m) for m in decoded(tmp_path / "walk", f"{PREFIX}/segmentation/mask")]
    assert [np.unique(mask).tolist() for mask in masks] == [[class_of(n)] for n in range(FRAMES)]
    depths = [to_depth(m) for m in decoded(tmp_path / "walk", f"{PREFIX}/depth/image")]
    assert all(np.isfinite(metres).all() for metres in depths)


def test_depth_is_for_the_recording_s_own_camera(model: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "tele", records(range(2), fx=2 * FX))
    Labeller(model, Settings(depth="none")).label(path, tmp_path / "out")
    metres = to_depth(decoded(tmp_path / "out", f"{PREFIX}/depth/image")[0])
    np.testing.assert_allclose(metres, tiny_student.metres(0, ratio=2.0), atol=2e-3)


def test_a_recording_of_ros_1_becomes_one_of_ros_2(model: Path, tmp_path: Path) -> None:
    store = get_typestore(Stores.ROS1_NOETIC)
    types = store.types
    path = tmp_path / "old.bag"
    with Writer1(path) as writer:
        connection = writer.add_connection(COLOUR, IMAGE, typestore=store)
        for number in range(3):
            seconds, rest = divmod(stamp(number), 10**9)
            time = types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=rest)
            header = types["std_msgs/msg/Header"](seq=number, stamp=time, frame_id=FRAME)
            pixels = colour(number).reshape(-1)
            message = types[IMAGE](header, HEIGHT, WIDTH, "rgb8", 0, 3 * WIDTH, pixels)
            writer.write(connection, stamp(number), store.serialize_ros1(message, IMAGE))
    words = ["label", str(path), "--out", str(tmp_path / "out"), "--model", str(model)]
    assert main(words) == 0
    out = tmp_path / "out" / "old"
    assert [m.header.frame_id for m in decoded(out, COLOUR)] == [FRAME] * 3
    masks = [to_mask(m) for m in decoded(out, f"{PREFIX}/segmentation/mask")]
    assert [np.unique(mask).tolist() for mask in masks] == [[class_of(n)] for n in range(3)]


# ---- again, and interrupted ----------------------------------------------------------------------


def test_a_second_run_does_nothing(model: Path, source: Path, tmp_path: Path) -> None:
    labeller = Labeller(model, Settings())
    first = labeller.label(source, tmp_path / "walk")
    before = {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in (tmp_path / "walk").iterdir()}

    def never(frames: Iterable[Keyed], total: int) -> Iterable[Keyed]:
        raise AssertionError("nothing was to be labelled")

    assert labeller.label(source, tmp_path / "walk", never) == first
    after = {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in (tmp_path / "walk").iterdir()}
    assert after == before
    assert [p.name for p in tmp_path.iterdir()] == ["walk"]


def test_what_was_half_written_is_removed(
    model: Path, source: Path, labelled: Path, tmp_path: Path
) -> None:
    work = tmp_path / ".walk.labelling"
    (work / ".walk.partial-abc" / "walk").mkdir(parents=True)
    seen: list[list[str]] = []

    def look(frames: Iterable[Keyed], total: int) -> Iterator[Keyed]:
        seen.append([p.name for p in work.iterdir() if p.is_dir()])
        yield from frames

    Labeller(model, Settings()).label(source, tmp_path / "walk", look)
    assert seen == [[]]
    work.mkdir()  # as after a kill between the last two steps
    Labeller(model, Settings()).label(source, tmp_path / "walk")
    assert [p.name for p in tmp_path.iterdir()] == ["walk"]


def test_work_that_has_not_begun_binds_nobody(model: Path, source: Path, tmp_path: Path) -> None:
    def stopped(frames: Iterable[Keyed], total: int) -> Iterator[Keyed]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Labeller(model, Settings()).label(source, tmp_path / "walk", stopped)
    Labeller(model, Settings(flip=False)).label(source, tmp_path / "walk")


def test_a_disk_that_is_full_at_the_end_says_how_to_go_on(
    model: Path, source: Path, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    settings = Settings(storage="sqlite3")
    with monkeypatch.context() as patch:
        patch.setattr("rosbags.rosbag2.writer.Writer.close", full)
        with pytest.raises(BagError, match=r"cannot complete.*full; what is done is kept"):
            Labeller(model, settings).label(source, tmp_path / "walk")
    Labeller(model, settings).label(source, tmp_path / "walk")
    assert sorted(read(tmp_path / "walk"), key=str) == sorted(read(labelled), key=str)


@pytest.mark.parametrize("stop", [0, 1, 5, FRAMES - 1])
def test_an_interrupted_run_goes_on_and_ends_alike(
    model: Path, source: Path, labelled: Path, tmp_path: Path, stop: int
) -> None:
    labeller = Labeller(model, Settings(), workers=1)

    def interrupted(frames: Iterable[Keyed], total: int) -> Iterator[Keyed]:
        for number, one in enumerate(frames):
            if number == stop:
                raise KeyboardInterrupt
            yield one

    with pytest.raises(KeyboardInterrupt):
        labeller.label(source, tmp_path / "walk", interrupted)
    assert not (tmp_path / "walk").exists()
    labeller.label(source, tmp_path / "walk")
    assert read(tmp_path / "walk") == read(labelled)
    assert [p.name for p in tmp_path.iterdir()] == ["walk"]


KILL = """
import os, sys
from pathlib import Path
from mtl_bags.labelling import job
from mtl_bags.labelling.journal import Journal
from mtl_bags.writer import BagWriter

place, count = sys.argv[4], int(sys.argv[5])
kind, name = {"journal": (Journal, "add"), "writer": (BagWriter, "write")}[place]
plain = getattr(kind, name)

def dying(self, *arguments):
    global count
    count -= 1
    plain(self, *arguments)
    if count <= 0:
        os.kill(os.getpid(), 9)

setattr(kind, name, dying)
job.Labeller(Path(sys.argv[1]), job.Settings()).label(Path(sys.argv[2]), Path(sys.argv[3]))
"""


@pytest.mark.parametrize(("place", "count"), [("journal", 1), ("journal", 7), ("writer", 20)])
def test_after_kill_9_the_same_command_ends_alike(
    model: Path, source: Path, labelled: Path, tmp_path: Path, place: str, count: int
) -> None:
    out = tmp_path / "walk"
    words = [str(model), str(source), str(out), place, str(count)]
    done = subprocess.run([sys.executable, "-c", KILL, *words], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    assert main(["label", str(source), "--out", str(tmp_path), "--model", str(model)]) == 0
    assert read(out) == read(labelled)
    assert [p.name for p in tmp_path.iterdir()] == ["walk"]


def test_unfinished_work_of_other_settings_is_not_mixed(
    model: Path, source: Path, tmp_path: Path
) -> None:
    def interrupted(frames: Iterable[Keyed], total: int) -> Iterator[Keyed]:
        yield from islice(frames, total - 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Labeller(model, Settings(), workers=1).label(source, tmp_path / "walk", interrupted)
    with pytest.raises(BagError, match="unfinished work of other settings: flip was True, is Fal"):
        Labeller(model, Settings(flip=False)).label(source, tmp_path / "walk")


def test_another_result_is_not_replaced(model: Path, source: Path, tmp_path: Path) -> None:
    Labeller(model, Settings()).label(source, tmp_path / "walk")
    with pytest.raises(BagError, match=r"exists, made of or with something else \(flip\)"):
        Labeller(model, Settings(flip=False)).label(source, tmp_path / "walk")
    (tmp_path / "photos").mkdir()
    with pytest.raises(BagError, match="is no labelled recording"):
        Labeller(model, Settings()).label(source, tmp_path / "photos")


def test_two_processes_do_not_work_on_one_recording(
    model: Path, source: Path, tmp_path: Path
) -> None:
    def meanwhile(frames: Iterable[Keyed], total: int) -> Iterator[Keyed]:
        with pytest.raises(BagError, match="another process is at work on it"):
            Labeller(model, Settings()).label(source, tmp_path / "walk")
        yield from frames

    summary = Labeller(model, Settings()).label(source, tmp_path / "walk", meanwhile)
    assert summary.labelled == FRAMES


def test_a_full_disk_says_so_and_nothing_is_lost(
    model: Path, source: Path, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own error, from a limit on the journal's pages."""
    connect = sqlite3.connect

    def limited(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **named)
        connection.execute("PRAGMA max_page_count = 6")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", limited)
        with pytest.raises(BagError, match=r"full.*run the same command again to go on"):
            Labeller(model, Settings()).label(source, tmp_path / "walk")
    Labeller(model, Settings()).label(source, tmp_path / "walk")
    assert read(tmp_path / "walk") == read(labelled)


# ---- what cannot be read -------------------------------------------------------------------------


def changed(number: int, topic: str, data: bytes) -> Iterator[Record]:
    """The recording with another content of one message."""
    count = 0
    for one in records():
        count += one.topic == topic
        yield replace(one, data=data) if one.topic == topic and count == number + 1 else one


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "image not read"),
        (b"\0\1\0\0", "image not read"),
        (serialize(image(np.zeros((4, 4), np.uint8), "mono8", Stamped(5, ""))).replace(
            b"mono8", b"mono9"), "encoding 'mono9' cannot be read"),
    ],
)  # fmt: skip
def test_images_that_cannot_be_read_are_counted_with_the_reason(
    model: Path, tmp_path: Path, data: bytes, said: str
) -> None:
    path = write(tmp_path / "walk", changed(4, COLOUR, data))
    summary = Labeller(model, Settings()).label(path, tmp_path / "out")
    assert (summary.frames, summary.labelled) == (FRAMES, FRAMES - 1)
    ((problem, count),) = summary.problems.items()
    assert said in problem
    assert count == 1
    kept = [one for one in read(tmp_path / "out") if PREFIX not in one.topic]
    assert kept == read(path)


def test_depth_that_cannot_be_read_is_done_without(model: Path, tmp_path: Path) -> None:
    spoilt = serialize(image(depth(4), "8UC1", Stamped(stamp(4), FRAME)))
    path = write(tmp_path / "walk", changed(4, DEPTH, spoilt))
    summary = Labeller(model, Settings()).label(path, tmp_path / "out")
    assert summary.labelled == FRAMES
    ((problem, count),) = summary.problems.items()
    assert problem.startswith("depth not read: encoding '8UC1' cannot be read here")
    assert count == 1
    mask = to_mask(decoded(tmp_path / "out", f"{PREFIX}/segmentation/mask")[4])
    assert np.unique(mask).tolist() == [class_of(4)]


def test_depth_of_another_size_is_brought_to_the_image_s(model: Path, tmp_path: Path) -> None:
    def halved() -> Iterator[Record]:
        for number, one in enumerate(records(range(3))):
            small = cv2.resize(depth(number // 4), (WIDTH // 2, HEIGHT // 2), interpolation=0)
            header = Stamped(cdr_stamp_ns(one.data), FRAME) if one.topic == DEPTH else None
            yield replace(one, data=serialize(image(small, "16UC1", header))) if header else one

    path = write(tmp_path / "walk", halved())
    summary = Labeller(model, Settings()).label(path, tmp_path / "out")
    assert summary.problems == {}
    mask = to_mask(decoded(tmp_path / "out", f"{PREFIX}/segmentation/mask")[1])
    assert (mask[:, : WIDTH // 2 - 8] == tiny_student.TOLD_CLASS).all()


def test_depth_in_another_frame_must_be_named(model: Path, tmp_path: Path) -> None:
    def elsewhere() -> Iterator[Record]:
        for number, one in enumerate(records(range(2))):
            header = Stamped(cdr_stamp_ns(one.data), "depth_frame") if one.topic == DEPTH else None
            message = serialize(image(depth(number), "16UC1", header)) if header else one.data
            yield replace(one, data=message)

    path = write(tmp_path / "walk", elsewhere())
    with pytest.raises(BagError, match=r"in frame 'depth_frame'.*--depth none"):
        Labeller(model, Settings()).label(path, tmp_path / "out")
    summary = Labeller(model, Settings(depth=DEPTH)).label(path, tmp_path / "out")
    assert summary.tally["paired"] == 2


def test_a_labelled_recording_is_not_labelled_again(
    model: Path, labelled: Path, tmp_path: Path
) -> None:
    with pytest.raises(BagError, match="has labels already"):
        Labeller(model, Settings()).label(labelled, tmp_path / "out")


def test_messages_without_content_are_counted_and_disturb_no_other(
    model: Path, tmp_path: Path
) -> None:
    path = write(tmp_path / "walk", changed(4, DEPTH, b""))
    summary = Labeller(model, Settings()).label(path, tmp_path / "out")
    assert (summary.labelled, summary.tally["paired"], summary.tally["alone"]) == (12, 11, 1)
    assert (summary.tally["empty"], summary.tally["backwards"]) == (1, 0)


def test_problems_that_differ_in_numbers_are_counted_as_one(model: Path, tmp_path: Path) -> None:
    def spoilt() -> Iterator[Record]:
        for number, one in enumerate(records()):
            cut = one.topic == COLOUR and number % 2
            yield replace(one, data=one.data[: -10 - number]) if cut else one

    summary = Labeller(model, Settings()).label(
        write(tmp_path / "walk", spoilt()), tmp_path / "out"
    )
    assert len(summary.problems) == 1
    assert sum(summary.problems.values()) == FRAMES - summary.labelled > 1


def test_a_type_that_nobody_knows_is_passed_on(model: Path, tmp_path: Path) -> None:
    """As Humble records: sqlite3, without definitions."""
    path = write(tmp_path / "walk", records(range(2)), "sqlite3")
    (file,) = path.glob("*.db3")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE topics SET type = 'my_robot/msg/Thing' WHERE name = '/notes'")
        database.execute("DELETE FROM message_definitions")
        database.execute("UPDATE topics SET type_description_hash = ''")
    database.close()
    text = (path / "metadata.yaml").read_text().replace(STRING, "my_robot/msg/Thing")
    (path / "metadata.yaml").write_text(re.sub("RIHS01_[0-9a-f]+", "''", text))
    for storage in get_args(Storage):
        out = tmp_path / storage
        Labeller(model, Settings(storage=storage)).label(path, out)
        things = [one for one in read(out) if one.msgtype == "my_robot/msg/Thing"]
        assert [one.data for one in things] == [one.data for one in read(path) if one in things]
        assert len(things) == 2


def test_metadata_that_contradict_the_file_lose_nothing(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Readers leave out topics whose QoS in the metadata was changed by hand."""
    path = write(tmp_path / "walk", records())
    metadata = yaml.safe_load((path / "metadata.yaml").read_text())
    for topic in metadata["rosbag2_bagfile_information"]["topics_with_message_count"]:
        topic["topic_metadata"]["offered_qos_profiles"] = QOS
    (path / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    words = ["label", str(path), "--out", str(tmp_path / "out"), "--model", str(model)]
    assert main(words) == 3
    assert "12 of 12 images labelled" in capsys.readouterr().out


QOS = """
- history: 1
  depth: 7
  reliability: 2
  durability: 2
  deadline: {sec: 0, nsec: 0}
  lifespan: {sec: 0, nsec: 0}
  liveliness: 1
  liveliness_lease_duration: {sec: 0, nsec: 0}
  avoid_ros_namespace_conventions: false
"""


def test_a_stray_copy_of_a_file_is_labelled_as_it_lies_there(
    model: Path, source: Path, tmp_path: Path
) -> None:
    path = shutil.copytree(source, tmp_path / "walk")
    (path / "metadata.yaml").unlink()
    shutil.copy(path / "walk.mcap", path / "walk_copy.mcap")
    summary = Labeller(model, Settings()).label(path, tmp_path / "out")
    assert summary.frames == summary.labelled == 2 * FRAMES


def test_a_student_is_refused_before_anything_is_begun(source: Path, tmp_path: Path) -> None:
    student = tiny_student.write(tmp_path / "tiny.onnx")
    with pytest.raises(ModelError, match="expected a teacher"):
        Labeller(student, Settings()).label(source, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.onnx"]


def test_repeated_and_backward_stamps_are_counted(model: Path, tmp_path: Path) -> None:
    loop = [
        *records(range(3)),
        *(replace(one, time_ns=one.time_ns + 10**9) for one in records([0, 0])),
    ]
    path = write(tmp_path / "walk", loop)
    summary = Labeller(model, Settings()).label(path, tmp_path / "out")
    assert summary.labelled == summary.frames == 5
    assert summary.tally["backwards"] >= 1
    assert summary.tally["repeated"] == 1


# ---- damaged recordings and the command line -----------------------------------------------------


def test_a_cut_recording_is_labelled_as_far_as_it_goes(
    model: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shutil.copytree(source, tmp_path / "cut")
    (file,) = path.glob("*.mcap")
    os.truncate(file, file.stat().st_size * 2 // 3)
    arguments = ["label", str(path), "--out", str(tmp_path / "out"), "--model", str(model)]
    assert main(arguments) == 3
    said = capsys.readouterr().out
    assert "damaged" in said
    assert str(file) in said
    found = by_topic(tmp_path / "out" / "cut")
    assert len(found[f"{PREFIX}/segmentation/mask"]) == len(found[COLOUR]) > FRAMES // 2
    assert [one for one in read(tmp_path / "out" / "cut") if PREFIX not in one.topic] == [
        *read(source)[: sum(len(v) for k, v in found.items() if PREFIX not in k)]
    ]
    assert main(arguments) == 3


def test_several_recordings_go_on_after_one_that_fails(
    model: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    sources = [str(tmp_path / "none"), str(source)]
    assert main(["label", *sources, "--out", str(out), "--model", str(model)]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert (out / "walk").is_dir()


def test_shards_label_each_recording_once(model: Path, tmp_path: Path) -> None:
    names = ["a", "b", "c", "d", "e"]
    sources = [str(write(tmp_path / name, records(range(1)))) for name in names]
    for shard in ("1/2", "2/2"):
        out = tmp_path / shard.replace("/", "_of_")
        words = ["label", *reversed(sources), "--out", str(out), "--model", str(model)]
        assert main([*words, "--shard", shard]) == 0
    assert sorted(p.name for p in (tmp_path / "1_of_2").iterdir()) == ["a", "c", "e"]
    assert sorted(p.name for p in (tmp_path / "2_of_2").iterdir()) == ["b", "d"]


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0"])
def test_a_shard_that_is_none_is_refused(
    shard: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["label", "x", "--out", str(tmp_path), "--model", "x", "--shard", shard])
    assert "expected I/N" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--workers", "-1"], ["--slop", "nan"], ["--slop", "-1"], ["--fx", "-5"]]
)
def test_numbers_that_make_no_sense_are_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["label", "x", "--out", str(tmp_path), "--model", "x", *words])
    assert "of at least 0, got" in capsys.readouterr().err


def test_two_recordings_of_one_name_are_refused(
    model: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = shutil.copytree(source, tmp_path / "elsewhere" / source.name)
    out = str(tmp_path / "out")
    assert main(["label", str(source), str(twin), "--out", out, "--model", str(model)]) == 1
    assert "two recordings have one name" in capsys.readouterr().err


def test_an_unwritable_target_is_an_error(
    model: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["label", str(source), "--out", str(tmp_path / "file"), "--model", str(model)]
    assert main(arguments) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err
