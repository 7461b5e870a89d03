"""Where labels stand in a recording: beside the colour topic, under one prefix."""

from __future__ import annotations

from dataclasses import dataclass

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

PREFIX = "mtl"
MASK = "segmentation/mask"

_FOREVER = QosTime(sec=9223372036, nsec=854775807)

LATCHED = Qos(
    history=QosHistory.KEEP_LAST,
    depth=1,
    reliability=QosReliability.RELIABLE,
    durability=QosDurability.TRANSIENT_LOCAL,
    deadline=_FOREVER,
    lifespan=_FOREVER,
    liveliness=QosLiveliness.AUTOMATIC,
    liveliness_lease_duration=_FOREVER,
    avoid_ros_namespace_conventions=False,
)
"""As the label info is offered: whoever comes later gets it too."""


@dataclass(frozen=True)
class LabelTopics:
    """Full names of the topics with labels of one camera."""

    mask: str
    confidence: str
    label_info: str
    segmentation_camera_info: str
    depth: str
    depth_confidence: str
    depth_camera_info: str

    @classmethod
    def beside(cls, colour_topic: str) -> LabelTopics:
        """Those of a colour topic: `/cam/color/image_raw` gives `/cam/color/mtl/...`."""
        name = colour_topic.removesuffix("/compressed")
        parent = f"{name.rpartition('/')[0]}/{PREFIX}"
        return cls(
            mask=f"{parent}/{MASK}",
            confidence=f"{parent}/segmentation/confidence",
            label_info=f"{parent}/segmentation/label_info",
            segmentation_camera_info=f"{parent}/segmentation/camera_info",
            depth=f"{parent}/depth/image",
            depth_confidence=f"{parent}/depth/confidence",
            depth_camera_info=f"{parent}/depth/camera_info",
        )
