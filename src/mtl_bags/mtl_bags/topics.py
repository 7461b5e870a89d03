"""Which of a recording's topics are the camera's: by type and name, or as the user says."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from mtl_bags.compose import cdr_header
from mtl_bags.errors import BagError, DamageError
from mtl_bags.reader import BagReader
from mtl_bags.records import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, Topic

NONE = "none"
"""As a depth topic: there shall be none."""

_IMAGES = (IMAGE, COMPRESSED_IMAGE)
_WORDS = re.compile(r"[/_]+")
_TRANSPORT = re.compile(r"/(compressed|compressedDepth)$")
_COLOUR = {"color", "colour", "rgb"}
_DEPTH = {"depth", "compresseddepth"}
_RECTIFIED = {"rect"}
_REGISTERED = {"aligned", "registered"}
_RESULTS = {
    "mask",
    "confidence",
    "segmentation",
    "overlay",
    "labels",
    "truth",
    "mtl",
    "uncertainty",
}
NOT_COLOUR = {*_DEPTH, *_RESULTS, "disparity", "ir", "infra", "infra1", "infra2", "infrared"}
"""Words in the names of topics that are no camera's colour images."""


@dataclass(frozen=True)
class Camera:
    """The topics of one camera.

    Attributes:
        colour: Raw or compressed images.
        info: The camera_info beside them, where there is one.
        depth: Depth images registered to the colour ones, where there are some.
    """

    colour: Topic
    info: Topic | None
    depth: Topic | None

    @property
    def transport(self) -> str:
        """The kind of its images, as a node's parameter `image_transport` names it."""
        return "compressed" if self.colour.msgtype == COMPRESSED_IMAGE else "raw"

    @classmethod
    def find(cls, reader: BagReader, colour: str | None = None, depth: str | None = None) -> Camera:
        """Return the recording's colour camera and its depth.

        Args:
            reader: The recording.
            colour: Name of the topic with colour images; None = found by type and name.
            depth: Name of the topic with depth images, `none` for no depth; None = likewise.

        Raises:
            BagError: A named topic does not exist or has no images, there is no colour topic,
                several are as likely, or depth that was not named is another camera's view.
        """
        image = _named(reader, colour) if colour else find_colour_topic(reader)
        if depth == NONE:
            found = None
        else:
            found = _named(reader, depth) if depth else find_depth_topic(reader, image)
        if found and not depth:
            _check_registered(reader, image, found)
        return cls(image, find_camera_info_topic(reader, image), found)


def find_colour_topic(reader: BagReader) -> Topic:
    """Return the topic that must be the colour camera's, by type and name.

    Names that speak of depth, infrared or results are left out. Names that speak of colour come
    before others, rectified images before others of the same camera, raw before compressed ones.

    Raises:
        BagError: No topic qualifies, or those of several cameras do; the message lists them.
    """
    candidates = [t for t in _images(reader) if not NOT_COLOUR & words(t.name)]
    if not candidates:
        raise BagError(
            f"{reader.path} has no colour images; expected a topic of type {IMAGE} or "
            f"{COMPRESSED_IMAGE}, got {reader.describe_topics()}"
        )
    return _only(reader, "colour", candidates, lambda t: not _COLOUR & words(t.name))


def find_depth_topic(reader: BagReader, colour: Topic) -> Topic | None:
    """Return the depth that belongs to a colour topic, by type and name; None = there is none.

    Names that share more of the colour topic's come before others, then those that speak of
    alignment.

    Raises:
        BagError: Several are as likely; the message lists them.
    """
    candidates = [
        t
        for t in _images(reader)
        if _DEPTH & words(t.name)
        and not _RESULTS & words(t.name)
        and (t.msgtype == IMAGE or t.name.endswith("compressedDepth"))
    ]
    if not candidates:
        return None

    def rank(topic: Topic) -> tuple[int, bool]:
        return -_shared(topic.name, colour.name), not _REGISTERED & words(topic.name)

    return _only(reader, "depth", candidates, rank)


def find_camera_info_topic(reader: BagReader, image_topic: Topic) -> Topic | None:
    """Return the `camera_info` that stands beside an image topic, where the recording has it."""
    beside = f"{_camera(image_topic.name)}/camera_info"
    infos = (t for t in reader.topics if t.msgtype == CAMERA_INFO and t.count)
    return next((topic for topic in infos if topic.name == beside), None)


def _check_registered(reader: BagReader, colour: Topic, depth: Topic) -> None:
    """Refuse depth that is not in the colour image's frame."""
    frames = []
    for topic in (colour, depth):
        record = next(reader.messages([topic.name]), None)
        if record is None:
            raise DamageError(f"{reader.path}: {topic.count} messages of {topic.name} expected")
        try:
            frames.append(cdr_header(record.data).frame_id)
        except ValueError:
            return  # it is counted among what cannot be read
    if frames[0] != frames[1]:
        raise BagError(
            f"{reader.path}: depth {depth.name} is in frame {frames[1]!r}, colour {colour.name} in "
            f"{frames[0]!r}: expected depth that is registered to the colour image. Name it "
            f"(--depth {depth.name}) if it is, or pass --depth none"
        )


def _named(reader: BagReader, name: str) -> Topic:
    topic = reader.topic(name)
    if topic.msgtype not in _IMAGES or not topic.count:
        raise BagError(
            f"{name}: expected images of type {IMAGE} or {COMPRESSED_IMAGE}, "
            f"got {topic.count} messages of type {topic.msgtype}"
        )
    return topic


def _images(reader: BagReader) -> list[Topic]:
    return [t for t in reader.topics if t.msgtype in _IMAGES and t.count]


def _only(
    reader: BagReader, what: str, topics: Sequence[Topic], rank: Callable[[Topic], object]
) -> Topic:
    """The best one, unless another camera's is as good."""
    best = min(rank(t) for t in topics)  # type: ignore[type-var]
    alike = [t for t in topics if rank(t) == best]
    if len({_camera(t.name) for t in alike}) > 1:
        names = ", ".join(t.name for t in alike)
        raise BagError(f"{reader.path} has several {what} topics, name the one to use: {names}")
    return min(alike, key=lambda t: (not _RECTIFIED & words(t.name), t.msgtype != IMAGE, t.name))


def _camera(topic: str) -> str:
    """The namespace of an image topic, whatever its transport."""
    return _TRANSPORT.sub("", topic).rpartition("/")[0]


def _shared(one: str, other: str) -> int:
    """How many names two topics share from the beginning."""
    pairs = zip(one.split("/"), other.split("/"), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def words(topic: str) -> set[str]:
    """What a topic's name is made of, in small letters."""
    return set(_WORDS.split(topic.lower()))
