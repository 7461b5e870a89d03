"""`replay.launch.py` under launch_testing: the shipped student labels a recorded room."""

from __future__ import annotations

import atexit
import os
import tempfile
import unittest
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import installed
import recordings
import room_frame
from mtl_bags.compose import Stamped, camera_info, cdr_stamp_ns, clock, serialize
from mtl_bags.messages import to_mask
from mtl_bags.reader import BagReader
from mtl_bags.records import CAMERA_INFO, CLOCK, Record
from mtl_bags.synthetic import DEFAULT_INTRINSICS, START_NS, TRUTH_MASK_TOPIC, write_room_bag
from mtl_perception import topics
from mtl_perception.domain import own_domain
from peer import Peer, nanoseconds

NEEDED = "launch_testing is not installed: it comes with a full ROS 2, not from pip"
pytest.importorskip("launch_testing", reason=NEEDED)
import launch_testing.actions  # noqa: E402
import launch_testing.asserts  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402

import launch  # noqa: E402

FRAMES = 4
HZ = 5.0


@pytest.mark.launch_test
def generate_test_description() -> tuple[launch.LaunchDescription, dict[str, Any]]:
    resources = ExitStack()
    atexit.register(resources.close)
    folder = Path(resources.enter_context(tempfile.TemporaryDirectory()))
    domain = resources.enter_context(own_domain())
    write_room_bag(folder / "room", room_frame.SEED, FRAMES, HZ)
    recordings.write(folder / "whole", with_old_outputs(folder / "room"))
    prefix = installed.make_prefix(folder / "prefix")
    os.environ["AMENT_PREFIX_PATH"] = os.pathsep.join(
        [str(prefix), os.environ["AMENT_PREFIX_PATH"]]
    )
    # Again and again: the peer may come when the first frames have been answered.
    arguments = {"bag": str(folder / "whole"), "lock_step": "true", "loop": "true"}
    description = launch.LaunchDescription(
        [
            launch.actions.SetEnvironmentVariable("ROS_DOMAIN_ID", str(domain)),
            launch.actions.IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(installed.LAUNCH_FILES / "replay.launch.py")),
                launch_arguments=arguments.items(),
            ),
            launch_testing.actions.ReadyToTest(),
        ]
    )
    return description, {"domain": domain, "bag": folder / "room"}


def with_old_outputs(bag: Path) -> Iterator[Record]:
    """A recording as `ros2 bag record -a` leaves it, whose student said other things than ours."""
    name = f"/{topics.DEPTH_CAMERA_INFO}"
    for one in recordings.read(bag):
        yield one
        if one.msgtype == CAMERA_INFO:
            stamp = Stamped(cdr_stamp_ns(one.data), "old")
            old = camera_info(replace(DEFAULT_INTRINSICS, fx=1.0), stamp)
            yield Record(name, CAMERA_INFO, one.time_ns, serialize(old))
            yield Record("/clock", CLOCK, one.time_ns, serialize(clock(10**9)))


def truths(bag: Path) -> dict[int, np.ndarray]:
    """The true masks of a recording, by stamp."""
    with BagReader(bag) as reader:
        messages = [reader.deserialize(one) for one in reader.messages([TRUTH_MASK_TOPIC])]
    return {nanoseconds(message.header.stamp): to_mask(message) for message in messages}


class TestReplay(unittest.TestCase):
    def test_every_recorded_image_is_labelled_well(self, domain: int, bag: Path) -> None:
        truth = truths(bag)
        peer = Peer(domain)
        self.addCleanup(peer.close)
        peer.read(topics.MASK, topics.DEPTH_CAMERA_INFO)
        peer.wait(lambda: truth.keys() == peer.got[topics.MASK].keys(), "mask of every image")
        pairs = [(to_mask(peer.got[topics.MASK][stamp]), mask) for stamp, mask in truth.items()]
        assert room_frame.miou(pairs) >= room_frame.MIOU
        infos = peer.got[topics.DEPTH_CAMERA_INFO].values()
        assert {info.k[0] for info in infos} == {DEFAULT_INTRINSICS.fx}

    def test_the_student_s_clock_is_the_recording_s(self, domain: int) -> None:
        peer = Peer(domain)
        self.addCleanup(peer.close)
        peer.read(topics.MASK)
        peer.wait(lambda: peer.reported_ns, "diagnostics")
        end = START_NS + round(FRAMES / HZ * 1e9)
        assert START_NS - 10**9 <= peer.reported_ns <= end


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    def test_all_ended_cleanly(self, proc_info: Any, proc_output: Any) -> None:
        launch_testing.asserts.assertExitCodes(proc_info, allowable_exit_codes=[0, 130])
        said = "".join(line.text.decode() for line in proc_output)
        assert "Traceback" not in said
        assert "no answer" not in said
