"""What has arrived on the topics of one source of the semantic layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mtl_bags.compose import NANOSECONDS, stamp_ns


@dataclass(frozen=True)
class Frame:
    """What belongs together; the confidence is None where the layer is told of no topic."""

    mask: Any
    confidence: Any | None
    points: Any


@dataclass(frozen=True)
class Labels:
    """What is known of label_info.

    Attributes:
        infos: `vision_msgs/LabelInfo` that arrived; None where ROS has no such type.
        offered: Reliability and durability of each publisher, lower case.
    """

    infos: Sequence[Any] | None
    offered: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Heard:
    """Messages in the order in which they came; all may be of rclpy or of `rosbags`.

    Attributes:
        masks: `sensor_msgs/Image`.
        confidences: The same; None where the layer is told of no topic.
        points: `sensor_msgs/PointCloud2`.
        labels: What the ids mean.
        silent: What is missing, and who might publish it, by topic.
        now_ns: When listening ended, by the clock of the system.
        clocks: How many publish `/clock`.
    """

    masks: Sequence[Any]
    confidences: Sequence[Any] | None
    points: Sequence[Any]
    labels: Labels
    silent: Sequence[str]
    now_ns: int
    clocks: int

    @cached_property
    def frames(self) -> list[Frame]:
        """What has exactly the same stamp."""
        return frames_of(self.masks, self.confidences, self.points)

    @cached_property
    def samples(self) -> list[Frame]:
        """All `frames`, or if there are none, the latest messages; empty if one is missing."""
        if self.frames:
            return self.frames
        if not self.fewest:
            return []
        return [Frame(self.masks[-1], self.confidences and self.confidences[-1], self.points[-1])]

    @property
    def fewest(self) -> int:
        """How many messages came on the topic of images or points with the fewest."""
        heard = (self.masks, self.points, self.confidences)
        return min(len(messages) for messages in heard if messages is not None)

    @cached_property
    def hz(self) -> float:
        """Frames a second by the masks' stamps; 0 if there are too few to say."""
        stamps = sorted({stamp_ns(mask.header) for mask in self.masks})
        if len(stamps) < 2:
            return 0.0
        return (len(stamps) - 1) * NANOSECONDS / (stamps[-1] - stamps[0])

    @property
    def age_s(self) -> float:
        """How long before the end of listening the latest mask was stamped."""
        return (self.now_ns - max(stamp_ns(mask.header) for mask in self.masks)) / NANOSECONDS


def frames_of(
    masks: Sequence[Any], confidences: Sequence[Any] | None, points: Sequence[Any]
) -> list[Frame]:
    """Put together what has exactly the same stamp."""
    by_stamp = [
        {stamp_ns(message.header): message for message in messages}
        for messages in (masks, masks if confidences is None else confidences, points)
    ]
    common = sorted(set.intersection(*map(set, by_stamp)))
    return [
        Frame(by_stamp[0][at], None if confidences is None else by_stamp[1][at], by_stamp[2][at])
        for at in common
    ]
