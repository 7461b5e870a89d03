"""Recordings that are not as they should be are labelled as far as they go, and it is said."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
import yaml

import tiny_student
from mtl_bags.cli import main
from mtl_bags.compose import Stamped, cdr_stamp_ns, image, serialize
from mtl_bags.errors import BagError
from mtl_bags.labelling.job import Labeller
from mtl_bags.labelling.summary import Settings
from mtl_bags.messages import to_mask
from mtl_bags.records import Record
from mtl_bags.writer import Storage
from mtl_core.errors import ModelError
from recordings import (
    COLOUR,
    DEPTH,
    FRAME,
    FRAMES,
    HEIGHT,
    PREFIX,
    STRING,
    WIDTH,
    class_of,
    decoded,
    depth,
    read,
    records,
    stamp,
    write,
)


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
