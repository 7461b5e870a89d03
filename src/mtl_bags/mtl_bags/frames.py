"""The frames of a recorded camera: each image with its camera_info."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mtl_bags.compose import cdr_stamp_ns
from mtl_bags.reader import BagReader, Record, Topic


@dataclass(frozen=True)
class RecordedFrame:
    """An image of a recording, with the camera_info that belongs to it."""

    stamp_ns: int
    image: Record
    camera_info: Record | None


def recorded_frames(
    reader: BagReader, image_topic: Topic, info_topic: Topic | None
) -> Iterator[RecordedFrame]:
    """Yield the frames of a camera in the order of their recording.

    The camera_info is that of the image's stamp, else the last one recorded before, else the first.

    Raises:
        BagError: The recording is damaged.
    """
    infos = list(reader.messages([info_topic.name])) if info_topic else []
    by_stamp = {cdr_stamp_ns(info.data): info for info in infos}
    latest = iter(infos)
    current, following = (infos[0] if infos else None), next(latest, None)
    for image in reader.messages([image_topic.name]):
        while following and following.time_ns <= image.time_ns:
            current, following = following, next(latest, None)
        stamp_ns = cdr_stamp_ns(image.data)
        yield RecordedFrame(stamp_ns, image, by_stamp.get(stamp_ns, current))
