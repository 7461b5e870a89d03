"""`mtl-view`: what it draws of live topics and of recordings is what they hold."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import frames
import recordings
import tiny_student
from mtl_bags.clouds import to_points
from mtl_bags.labelling.job import Labeller
from mtl_bags.labelling.summary import Settings
from mtl_bags.messages import to_mask
from mtl_perception import topics
from mtl_perception.domain import own_domain
from mtl_perception.view import main
from peer import NodeProcess, Peer
from rerun_reader import Columns, logged

pytestmark = pytest.mark.ros
pytest.importorskip("rerun", reason="Rerun is not installed: pip install 'mtl_bags[rerun]'")

SHOWN = (topics.MASK, topics.DEPTH, topics.POINTS)
OTHERS = (topics.IMAGE, topics.CAMERA_INFO, topics.CONFIDENCE)
FRAMES = 3


@dataclass(frozen=True)
class Live:
    """Outputs as a peer got them, by stamp, and what the viewer drew."""

    answers: dict[int, dict[str, Any]]
    drawn: dict[str, Columns]

    def at(self, entity: str, component: str) -> dict[int, np.ndarray]:
        """What was drawn of a component, by stamp."""
        columns = self.drawn[entity]
        pairs = zip(columns["stamp"], columns[component], strict=True)
        return {stamp: np.array(value[0]) for stamp, value in pairs if stamp in self.answers}


@pytest.fixture(scope="module")
def live(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Live:
    """A student at work, shown by a viewer of its own process that is ended by SIGINT."""
    folder = tmp_path_factory.mktemp("live")
    command = (sys.executable, "-m", "mtl_perception.view", "--save", folder / "view.rrd")
    with (
        own_domain() as domain,
        NodeProcess(folder / "student", domain, "-p", f"model:={model}") as node,
        NodeProcess(folder / "viewer", domain, command=command) as viewer,
    ):
        peer = Peer(domain, node)
        peer.camera = frames.camera_info()
        peer.read(*SHOWN)
        peer.warm_up(frames.image())
        names = [f"/{name}" for name in (*SHOWN, *OTHERS)]
        peer.wait(
            lambda: (
                peer.send(frames.image()) and all(f"{name} comes" in viewer.log for name in names)
            ),
            "topic that the viewer did not receive",
        )
        answers = {}
        for _ in range(FRAMES):
            answer = peer.ask(frames.image())
            stamp = answer[topics.MASK].header.stamp
            answers[stamp.sec * 10**9 + stamp.nanosec] = answer
        peer.report()
        peer.close()
        assert viewer.end() == 0, viewer.log
        assert "label_info left out: vision_msgs/msg/LabelInfo is not installed" in viewer.log
        assert "Traceback" not in viewer.log
    return Live(answers, logged(folder / "view.rrd"))


def test_the_mask_that_is_drawn_is_the_one_published(live: Live) -> None:
    drawn = live.at("/camera/segmentation", "SegmentationImage:buffer")
    assert drawn
    for stamp, buffer in drawn.items():
        mask = frames.pixels(live.answers[stamp][topics.MASK])
        np.testing.assert_array_equal(buffer.reshape(mask.shape), mask)


def test_depth_is_drawn_in_metres(live: Live) -> None:
    drawn = live.at("/camera/depth", "DepthImage:buffer")
    assert drawn
    for stamp, buffer in drawn.items():
        depth = frames.pixels(live.answers[stamp][topics.DEPTH])
        metres = buffer.astype(np.uint8).view(np.float32).reshape(depth.shape)
        np.testing.assert_array_equal(metres, depth)


def test_points_stand_in_the_optical_frame_with_their_classes(live: Live) -> None:
    columns = live.drawn["/points"]
    rows = zip(columns["stamp"], columns["Points3D:positions"], columns["Points3D:class_ids"],
               strict=True)  # fmt: skip
    seen = {stamp: (points, ids) for stamp, points, ids in rows if stamp in live.answers}
    assert seen
    for stamp, (points, ids) in seen.items():
        message = live.answers[stamp][topics.POINTS]
        np.testing.assert_array_equal(np.array(points, np.float32), to_points(message))
        fields = np.frombuffer(message.data, np.uint8).reshape(-1, message.point_step)
        known = np.isfinite(fields[:, :4].copy().view(np.float32)[:, 0])
        np.testing.assert_array_equal(ids, fields[known, 16])
        assert frames.LEFT in ids


def test_the_camera_stands_where_the_images_were_taken(live: Live) -> None:
    assert live.at("/camera/image", "EncodedImage:blob")
    matrices = live.at("/camera", "Pinhole:image_from_camera")
    assert {matrix[0] for matrix in matrices.values()} == {tiny_student.CANONICAL_FX}


def test_classes_have_the_names_that_the_model_s_card_gives(live: Live) -> None:
    assert "floor" in str(live.drawn["/"]["AnnotationContext:context"])


def test_rates_and_latencies_are_curves(live: Live) -> None:
    curves = {name.rpartition("/")[2] for name in live.drawn if name.startswith("/diagnostics/")}
    assert {"rate_in_hz", "rate_out_hz", "latency_p50_ms", "infer_p95_ms"} <= curves
    assert "received" not in curves


def test_compressed_images_come_on_a_topic_of_any_name(tmp_path: Path) -> None:
    words = ("--image", "/eye/jpeg", "--transport", "compressed", "--save", tmp_path / "view.rrd")
    command = (sys.executable, "-m", "mtl_perception.view", *words)
    with (
        own_domain() as domain,
        NodeProcess(tmp_path / "viewer", domain, command=command) as viewer,
    ):
        peer = Peer(domain, viewer, remap=[f"{topics.compressed(topics.IMAGE)}:=/eye/jpeg"])
        peer.wait(
            lambda: peer.send(frames.compressed()) and "/eye/jpeg comes" in viewer.log, "image"
        )
        peer.close()
        assert viewer.end() == 0, viewer.log
    assert logged(tmp_path / "view.rrd")["/camera/image"]["EncodedImage:blob"]


def test_a_labelled_recording_is_drawn(source: Path, tmp_path: Path) -> None:
    model = tiny_student.write_teacher(tmp_path / "tiny-teacher.onnx")
    Labeller(model, Settings()).label(source, tmp_path / "walk")
    assert main([str(tmp_path / "walk"), "--save", str(tmp_path / "walk.rrd")]) == 0
    drawn = logged(tmp_path / "walk.rrd")
    masks = drawn["/camera/segmentation"]
    assert masks["stamp"] == [recordings.stamp(n) for n in range(recordings.FRAMES)]
    recorded = recordings.decoded(tmp_path / "walk", f"{recordings.PREFIX}/segmentation/mask")
    for buffer, message in zip(masks["SegmentationImage:buffer"], recorded, strict=True):
        np.testing.assert_array_equal(np.array(buffer[0]), to_mask(message).reshape(-1))
    assert "floor" in str(drawn["/"]["AnnotationContext:context"])  # of the label info


def test_damaged_messages_are_left_out_and_named(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def cut(number: int, one: Any) -> Any:
        spoilt = one.topic == recordings.COLOUR and number > 20
        return replace(one, data=one.data[:60]) if spoilt else one

    bag = recordings.rewritten(source, tmp_path / "cut", cut)
    assert main([str(bag), "--save", str(tmp_path / "cut.rrd")]) == 0
    assert f"left out: {recordings.COLOUR}" in capsys.readouterr().err
    stamps = logged(tmp_path / "cut.rrd")["/camera/image"]["stamp"]
    assert 0 < len(stamps) < recordings.FRAMES


def test_what_cannot_be_shown_is_named(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "none"), "--save", str(tmp_path / "x.rrd")]) == 1
    assert "none does not exist" in capsys.readouterr().err
    assert main([str(source), "--image", "/typo", "--save", str(tmp_path / "x.rrd")]) == 1
    assert "no topic '/typo'" in capsys.readouterr().err
    assert main([str(source), "--connect", "nonsense"]) == 1
    assert "no viewer: invalid endpoint" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
