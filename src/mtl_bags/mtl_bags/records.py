"""What recordings are made of: topics, their descriptions, and recorded messages."""

from __future__ import annotations

from dataclasses import dataclass

from rosbags.interfaces import Qos

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
CLOCK = "rosgraph_msgs/msg/Clock"


@dataclass(frozen=True)
class Description:
    """What a recording says of a topic beside its name and type.

    Attributes:
        definition: The type's, with those it is made of, as msg or IDL text; "" = not known.
        type_hash: REP 2016's, `RIHS01_...`.
        qos: As its publishers offered it.
    """

    definition: str
    type_hash: str
    qos: tuple[Qos, ...] = ()


@dataclass(frozen=True)
class Topic:
    """A topic of a recording, with the number of its messages."""

    name: str
    msgtype: str
    count: int


@dataclass(frozen=True)
class Record:
    """One recorded message: `data` is CDR, `time_ns` the time of its recording."""

    topic: str
    msgtype: str
    time_ns: int
    data: bytes
