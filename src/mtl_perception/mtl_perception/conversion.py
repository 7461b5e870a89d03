"""Which library turns unusual image encodings into BGR."""

from __future__ import annotations

from typing import Any

from mtl_bags.messages import Convert, Pixels, convert_with_rosbags


def converter() -> Convert:
    """Return cv_bridge's conversion where cv_bridge works, else that of `rosbags-image`."""
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except (ImportError, AttributeError):  # the latter: compiled for another NumPy
        return convert_with_rosbags
    bridge = CvBridge()

    def convert(message: Any) -> Pixels:
        try:
            image: Pixels = bridge.imgmsg_to_cv2(message, "bgr8")
        except CvBridgeError:  # it does not know the planar encodings
            return convert_with_rosbags(message)
        return image

    return convert
