"""`student.launch.py` under launch_testing: what is launched does what the arguments say."""

from __future__ import annotations

import atexit
import os
import tempfile
import unittest
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import frames
import installed
import tiny_student
from mtl_perception import topics
from mtl_perception.domain import own_domain
from peer import Peer

NEEDED = "launch_testing is not installed: it comes with a full ROS 2, not from pip"
pytest.importorskip("launch_testing", reason=NEEDED)
import launch_testing.actions  # noqa: E402
import launch_testing.asserts  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402

import launch  # noqa: E402

COLOUR = "/camera/color"
PARAMETERS = "/**: {ros__parameters: {depth_encoding: 16UC1, model: none.onnx}}\n"
DOMAIN = "domain"


@pytest.mark.launch_test
def generate_test_description() -> tuple[launch.LaunchDescription, dict[str, Any]]:
    resources = ExitStack()
    atexit.register(resources.close)
    folder = Path(resources.enter_context(tempfile.TemporaryDirectory()))
    domain = resources.enter_context(own_domain())
    (folder / "mine.yaml").write_text(PARAMETERS)
    prefix = installed.make_prefix(folder / "prefix")
    os.environ["AMENT_PREFIX_PATH"] = os.pathsep.join(
        [str(prefix), os.environ["AMENT_PREFIX_PATH"]]
    )
    arguments = {
        "params_file": str(folder / "mine.yaml"),
        "model": str(tiny_student.write(folder / "tiny.onnx")),
        "namespace": "front",
        "image_topic": f"{COLOUR}/image_raw",
        "log_level": "warn",
    }
    description = launch.LaunchDescription(
        [
            launch.actions.SetEnvironmentVariable("ROS_DOMAIN_ID", str(domain)),
            launch.actions.IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(installed.LAUNCH_FILES / "student.launch.py")),
                launch_arguments=arguments.items(),
            ),
            launch_testing.actions.ReadyToTest(),
        ]
    )
    return description, {DOMAIN: domain}


class TestLaunchedStudent(unittest.TestCase):
    def test_images_of_the_named_topic_are_answered_in_the_namespace(self, domain: int) -> None:
        remap = (
            f"{topics.IMAGE}:={COLOUR}/image_raw",
            f"{topics.CAMERA_INFO}:={COLOUR}/camera_info",
        )
        peer = Peer(domain, namespace="/front", remap=remap)
        self.addCleanup(peer.close)
        outputs = (topics.MASK, topics.DEPTH, topics.DEPTH_CAMERA_INFO)
        peer.camera = frames.camera_info(fx=2 * tiny_student.CANONICAL_FX)
        peer.read(*outputs)
        peer.warm_up(frames.image())
        answer = peer.ask(frames.image())
        left, _ = frames.halves(frames.pixels(answer[topics.MASK]))
        assert set(left.flat) == {frames.LEFT}
        assert answer[topics.DEPTH].encoding == "16UC1"  # of params_file
        near, _ = frames.halves(frames.pixels(answer[topics.DEPTH]))
        expected = round(1000 * tiny_student.metres(frames.NEAR, 2.0))
        np.testing.assert_array_equal(near, np.full_like(near, expected))
        assert answer[topics.DEPTH_CAMERA_INFO].k[0] == 2 * tiny_student.CANONICAL_FX


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    def test_the_node_ended_cleanly(self, proc_info: Any, proc_output: Any) -> None:
        launch_testing.asserts.assertExitCodes(proc_info)
        said = "".join(line.text.decode() for line in proc_output)
        assert "Traceback" not in said
        assert "[INFO]" not in said  # log_level:=warn
