"""A short recording of a camera with depth, whose labels by the tiny teacher are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import tiny_student
from mtl_bags.compose import Stamped, camera_info, image, serialize
from mtl_bags.reader import BagReader
from mtl_bags.records import CAMERA_INFO, IMAGE, Record
from mtl_bags.writer import BagWriter, Storage
from mtl_core.geometry import Intrinsics

HEIGHT, WIDTH, FRAMES = 64, 96, 12
FX = tiny_student.CANONICAL_FX
COLOUR, DEPTH, INFO = (
    "/camera/color/image_raw",
    "/camera/aligned_depth_to_color/image_raw",
    "/camera/color/camera_info",
)
PREFIX = "/camera/color/mtl"
STRING = "std_msgs/msg/String"
FRAME = "camera_color_optical_frame"


def class_of(number: int) -> int:
    return number % 12


def colour(number: int) -> np.ndarray:
    pixels = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:] = tiny_student.colour(class_of(number), green=20 * class_of(number))
    return pixels


def depth(number: int) -> np.ndarray:
    """Millimetres; the right half is not measured."""
    metres = np.zeros((HEIGHT, WIDTH), np.uint16)
    metres[:, : WIDTH // 2] = 1500 + number
    return metres


def stamp(number: int) -> int:
    return 1_700_000_000_000_000_000 + 100_000_000 * number


def records(frames: Iterable[int] = range(FRAMES), fx: float = FX) -> Iterator[Record]:
    """A camera with depth, and something else."""
    camera = Intrinsics(WIDTH, HEIGHT, fx, fx, WIDTH / 2, HEIGHT / 2)
    for number in frames:
        header, time = Stamped(stamp(number), FRAME), stamp(number) + 7
        yield Record(INFO, CAMERA_INFO, time, serialize(camera_info(camera, header)))
        yield Record(COLOUR, IMAGE, time + 1, serialize(image(colour(number), "rgb8", header)))
        near = Stamped(stamp(number) + 3_000_000, FRAME)
        yield Record(DEPTH, IMAGE, time + 2, serialize(image(depth(number), "16UC1", near)))
        text = f"note {number}".encode() + b"\0"
        data = b"\0\1\0\0" + len(text).to_bytes(4, "little") + text
        yield Record("/notes", STRING, time + 3, data)


def write(path: Path, messages: Iterable[Record], storage: Storage = "mcap") -> Path:
    with BagWriter(path, storage) as writer:
        for one in messages:
            writer.write(one.topic, one.msgtype, one.time_ns, one.data)
    return path


def rewritten(source: Path, out: Path, change: Callable[[int, Record], Record]) -> Path:
    """A recording with other messages, described as they were."""
    with BagReader(source) as reader, BagWriter(out) as writer:
        for topic in reader.topics:
            description = reader.description(topic.name, topic.msgtype)
            writer.describe(topic.name, topic.msgtype, description)
        messages = (change(number, one) for number, one in enumerate(reader.messages()))
        for one in sorted(messages, key=lambda one: one.time_ns):
            writer.write(one.topic, one.msgtype, one.time_ns, one.data)
    return out


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
