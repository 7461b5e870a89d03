"""Names of the topics that the package's nodes read and write, relative to the camera."""

from __future__ import annotations

IMAGE = "image"
CAMERA_INFO = "camera_info"
DEPTH_IMAGE = "depth_image"

SCALE_DEPTH = "scale/depth"
SCALE_POINTS = "scale/points"

MASK = "segmentation/mask"
CONFIDENCE = "segmentation/confidence"
OVERLAY = "segmentation/overlay"
SEGMENTATION_CAMERA_INFO = "segmentation/camera_info"
DEPTH = "depth/image"
DEPTH_CAMERA_INFO = "depth/camera_info"
LABEL_INFO = "segmentation/label_info"
UNCERTAINTY = "depth/uncertainty"
POINTS = "depth/points"
CAMERA_INFOS = (SEGMENTATION_CAMERA_INFO, DEPTH_CAMERA_INFO)

ENABLE = "~/enable"
"""Service std_srvs/SetBool: pause, or go on."""

DIAGNOSTICS = "/diagnostics"


def of_camera(name: str, topic: str) -> str:
    """Return a topic in a camera's namespace; that of a camera without a name is the node's own."""
    return f"{name}/{topic}" if name else topic


def compressed(image_topic: str) -> str:
    """Return the topic on which image_transport puts the compressed twin of an image topic."""
    return f"{image_topic}/compressed"


def uncompressed(image_topic: str) -> str:
    """Return the image topic of which this may be the compressed twin."""
    return image_topic.removesuffix(compressed(""))


IMAGES = {"raw": IMAGE, "compressed": compressed(IMAGE)}
"""Topic of the images for each `image_transport`."""


def compressed_depth(depth_topic: str) -> str:
    """Return the topic on which image_transport puts the compressed twin of a depth topic."""
    return f"{depth_topic}/compressedDepth"


def camera_info_beside(image_topic: str) -> str:
    """Return the camera_info topic of an image topic: its last name replaced, as in REP 118."""
    parent, slash, _ = image_topic.rpartition("/")
    return f"{parent}{slash}{CAMERA_INFO}"
