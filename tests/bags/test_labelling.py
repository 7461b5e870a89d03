"""What stands in a labelled recording."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.typesys import Stores, get_typestore

import tiny_student
from mtl_bags.cli import main
from mtl_bags.compose import cdr_stamp_ns
from mtl_bags.labelling.job import Labeller
from mtl_bags.labelling.summary import SUMMARY, Settings
from mtl_bags.messages import to_depth, to_mask
from mtl_bags.reader import BagReader
from mtl_bags.records import IMAGE
from mtl_bags.writer import Storage
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
    WIDTH,
    by_topic,
    class_of,
    colour,
    decoded,
    read,
    records,
    stamp,
    write,
)


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
