"""cv_bridge converts unusual encodings where it works; rosbags-image does elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mtl_bags.messages import convert_with_rosbags, to_colour_image
from mtl_perception.conversion import converter

# cv_bridge is compiled and comes with a full ROS 2 only; these stand where it would.
WORKING = """
import numpy as np

class CvBridgeError(TypeError):
    pass

class CvBridge:
    def imgmsg_to_cv2(self, message, encoding):
        if message.encoding == "nv12":
            raise CvBridgeError("unknown")
        assert encoding == "bgr8"
        return np.full((message.height, message.width, 3), 42, np.uint8)
"""
FOR_ANOTHER_NUMPY = "raise AttributeError('_ARRAY_API not found')"

Install = Callable[[str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a module cv_bridge with some source on the path."""

    def install(source: str) -> None:
        (tmp_path / "cv_bridge.py").write_text(source, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "cv_bridge", raising=False)

    return install


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv_bridge", None)  # as if it were not installed


def message(encoding: str, rows: int = 4, row_bytes: int = 12) -> Any:
    data = np.arange(rows * row_bytes, dtype=np.uint8)
    return SimpleNamespace(
        encoding=encoding, height=4, width=6, step=row_bytes, is_bigendian=0, data=data
    )


def test_without_cv_bridge_rosbags_converts() -> None:
    assert converter() is convert_with_rosbags


def test_a_cv_bridge_that_does_not_fit_numpy_is_left_alone(install: Install) -> None:
    install(FOR_ANOTHER_NUMPY)
    assert converter() is convert_with_rosbags


def test_cv_bridge_converts_where_it_works(install: Install) -> None:
    install(WORKING)
    assert set(to_colour_image(message("yuv422"), converter()).pixels.flat) == {42}


def test_common_encodings_need_no_converter(install: Install) -> None:
    install(WORKING)
    image = to_colour_image(message("mono8", row_bytes=6), converter())
    np.testing.assert_array_equal(image.pixels, np.arange(24).reshape(4, 6))


def test_what_cv_bridge_does_not_know_goes_to_rosbags(install: Install) -> None:
    install(WORKING)
    planar = message("nv12", rows=6, row_bytes=6)
    image = to_colour_image(planar, converter())
    np.testing.assert_array_equal(image.pixels, convert_with_rosbags(planar))
