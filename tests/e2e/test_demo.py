"""The demo as a user starts it: a recording in, the real node in between, a recording out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import jaccard_score

from mtl_bags.compose import Stamped, camera_info, cdr_stamp_ns, image, serialize
from mtl_bags.messages import to_colour_image, to_depth, to_mask
from mtl_bags.reader import BagReader
from mtl_bags.records import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE
from mtl_bags.synthetic import (
    CAMERA_INFO_TOPIC,
    IMAGE_TOPIC,
    TRUTH_DEPTH_TOPIC,
    TRUTH_MASK_TOPIC,
)
from mtl_bags.topics import find_colour_topic
from mtl_bags.writer import BagWriter
from mtl_core.geometry import Intrinsics
from mtl_perception import topics
from tiny_student import write

pytestmark = pytest.mark.ros

RESULTS = {
    f"/{topic}"
    for topic in (
        topics.MASK,
        topics.CONFIDENCE,
        topics.OVERLAY,
        topics.DEPTH,
        topics.SEGMENTATION_CAMERA_INFO,
        topics.DEPTH_CAMERA_INFO,
    )
}
PATIENCE_S = 300
FRAMES, WIDTH, HEIGHT = 4, 192, 128


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("model") / "tiny.onnx")


def demo(out: Path, model: Path | None, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs the demo in lock-step: no frame is lost however slow this machine is."""
    command = [sys.executable, "-m", "mtl_perception.demo", "--lock-step", "--out", out]
    return subprocess.run(
        [*map(str, (*command, *(("--model", model) if model else ()), *arguments))],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def arrays(bag: Path, topic: str, convert: Any) -> list[tuple[int, NDArray[Any]]]:
    with BagReader(bag) as reader:
        return [
            (cdr_stamp_ns(record.data), convert(reader.deserialize(record)))
            for record in reader.messages([topic])
        ]


def stacked(bag: Path, topic: str, convert: Any) -> NDArray[Any]:
    return np.concatenate([array.ravel() for _, array in arrays(bag, topic, convert)])


def stamps(bag: Path, topic: str) -> list[int]:
    with BagReader(bag) as reader:
        return [cdr_stamp_ns(record.data) for record in reader.messages([topic])]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """The folder that a demo on a synthetic room leaves."""
    out = tmp_path_factory.mktemp("demo")
    done = demo(out, model, "--frames", FRAMES, "--size", f"{WIDTH}x{HEIGHT}", "--seed", 3)
    assert done.returncode == 0, done.stderr
    assert "frames answered" in done.stdout
    assert "replay over DDS: 100%" in done.stderr
    return out


def summary(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return content


def test_every_frame_is_answered_on_every_topic_with_its_stamp(rendered: Path) -> None:
    sent = stamps(rendered / "recording", IMAGE_TOPIC)
    assert len(sent) == FRAMES
    for topic in RESULTS:
        assert stamps(rendered / "answers", topic) == sent, topic


def test_results_have_the_inputs_size(rendered: Path) -> None:
    for topic, convert in (
        (topics.MASK, to_mask),
        (topics.CONFIDENCE, to_mask),
        (topics.DEPTH, to_depth),
        (topics.OVERLAY, lambda message: to_colour_image(message).bgr()[..., 0]),
    ):
        sizes = {array.shape for _, array in arrays(rendered / "answers", f"/{topic}", convert)}
        assert sizes == {(HEIGHT, WIDTH)}, topic


def test_the_summary_counts_the_frames_and_their_latency(rendered: Path) -> None:
    got = summary(rendered)
    assert (got["frames_sent"], got["frames_answered"]) == (FRAMES, FRAMES)
    assert 0 < got["latency_ms"]["p50"] <= got["latency_ms"]["p95"]


def test_the_scores_are_those_of_scikit_learn_and_of_the_definitions(rendered: Path) -> None:
    got = summary(rendered)
    truth = stacked(rendered / "recording", TRUTH_MASK_TOPIC, to_mask)
    mask = stacked(rendered / "answers", f"/{topics.MASK}", to_mask)
    known = truth != 255
    iou = jaccard_score(truth[known], mask[known], labels=np.unique(truth[known]), average=None)
    assert got["miou"] == pytest.approx(iou.mean())
    true_depth = stacked(rendered / "recording", TRUTH_DEPTH_TOPIC, to_depth).astype(np.float64)
    depth = stacked(rendered / "answers", f"/{topics.DEPTH}", to_depth).astype(np.float64)
    assert got["absrel"] == pytest.approx((abs(depth - true_depth) / true_depth).mean())
    ratio = depth / true_depth
    assert got["delta1"] == pytest.approx((np.maximum(ratio, 1 / ratio) < 1.25).mean())


def test_the_contact_sheet_shows_five_columns(rendered: Path) -> None:
    sheet = cv2.imread(str(rendered / "contact_sheet.png"))
    assert sheet is not None
    assert sheet.shape[1] == 5 * 384
    assert sheet.shape[0] > FRAMES * 256


def test_the_recording_is_the_rooms(rendered: Path) -> None:
    bag = rendered / "recording"
    sent = stamps(bag, IMAGE_TOPIC)
    for topic in (CAMERA_INFO_TOPIC, TRUTH_MASK_TOPIC, TRUTH_DEPTH_TOPIC):
        assert stamps(bag, topic) == sent
    assert np.diff(sent).tolist() == [200_000_000] * (FRAMES - 1)


def test_a_second_run_replaces_the_first(rendered: Path, model: Path, tmp_path: Path) -> None:
    recording = rendered / "recording"
    for _ in range(2):
        done = demo(tmp_path, model, "--bag", recording)
        assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "answers",
        "contact_sheet.png",
        "node.log",
        "summary.json",
    ]


def test_the_shipped_student_knows_a_room_it_was_never_trained_on(tmp_path: Path) -> None:
    """The demo's own room and camera, at fewer frames than the demo shows."""
    done = demo(tmp_path, None, "--frames", 12)
    assert done.returncode == 0, done.stderr
    got = summary(tmp_path)
    assert got["miou"] >= 0.60
    assert got["absrel"] <= 0.15


@pytest.mark.data
@pytest.mark.parametrize("name", ["nyu_rgbd_compressed_mcap", "redwood_rgbd_raw_sqlite3"])
def test_real_recordings_are_answered_frame_by_frame(
    mtl_data: Path, tmp_path: Path, model: Path, name: str
) -> None:
    bag = mtl_data / "bags" / name
    done = demo(tmp_path, model, "--bag", bag)
    assert done.returncode == 0, done.stderr
    with BagReader(bag) as reader:
        topic = find_colour_topic(reader).name
    sent = arrays(bag, topic, lambda message: to_colour_image(message).pixels)
    for result, convert in ((topics.MASK, to_mask), (topics.DEPTH, to_depth)):
        got = arrays(tmp_path / "answers", f"/{result}", convert)
        assert [stamp for stamp, _ in got] == [stamp for stamp, _ in sent]
        assert [a.shape for _, a in got] == [a.shape[:2] for _, a in sent]
    got_summary = summary(tmp_path)
    assert got_summary["frames_answered"] == len(sent)
    assert [got_summary[key] for key in ("miou", "absrel", "delta1")] == [None] * 3


def test_a_camera_info_of_another_size_does_not_keep_the_demo_waiting(
    tmp_path: Path, model: Path
) -> None:
    """Uncalibrated drivers send 0x0; the node answers, and withholds its camera_info."""
    header = Stamped(1, "camera")
    info = camera_info(Intrinsics(8, 6, 5.0, 5.0, 3.5, 2.5), header)
    picture = image(np.zeros((48, 64, 3), np.uint8), "rgb8", header)
    with BagWriter(tmp_path / "bag") as writer:
        writer.write("/cam/camera_info", CAMERA_INFO, 1, serialize(info))
        writer.write("/cam/image_raw", IMAGE, 2, serialize(picture))
    done = demo(tmp_path / "out", model, "--bag", tmp_path / "bag")
    assert done.returncode == 0, done.stderr
    assert summary(tmp_path / "out")["frames_answered"] == 1


# What cannot work is said


def test_a_topic_that_is_no_image_is_refused(tmp_path: Path, model: Path) -> None:
    info = camera_info(Intrinsics(8, 6, 5.0, 5.0, 3.5, 2.5), Stamped(1, "camera"))
    with BagWriter(tmp_path / "bag") as writer:
        writer.write("/cam/camera_info", CAMERA_INFO, 1, serialize(info))
    arguments = ("--bag", tmp_path / "bag", "--image-topic", "/cam/camera_info")
    done = demo(tmp_path / "out", model, *arguments)
    assert done.returncode == 1
    assert "/cam/camera_info: expected images of type sensor_msgs/msg/Image" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failed_demo_leaves_no_results_of_an_earlier_one(model: Path, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("{}")
    (tmp_path / "contact_sheet.png").write_bytes(b"old")
    assert demo(tmp_path, model, "--bag", tmp_path / "nowhere").returncode == 1
    assert not list(tmp_path.iterdir())


def test_a_recording_without_a_colour_topic_is_refused_with_its_topics(
    tmp_path: Path, model: Path
) -> None:
    depth = image(np.ones((2, 3), np.float32), "32FC1", Stamped(1, "camera"))
    with BagWriter(tmp_path / "bag") as writer:
        writer.write("/cam/depth/image_raw", IMAGE, 1, serialize(depth))
        writer.write("/cam/depth/image_raw/compressedDepth", COMPRESSED_IMAGE, 1, b"")
    done = demo(tmp_path / "out", model, "--bag", tmp_path / "bag")
    assert done.returncode == 1
    assert "has no colour images" in done.stderr
    assert "/cam/depth/image_raw [sensor_msgs/msg/Image]" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("--bag", "nowhere"), ("--model", "/nowhere.onnx")])
def test_what_is_missing_is_named(tmp_path: Path, model: Path, arguments: tuple[str, str]) -> None:
    done = demo(tmp_path / "out", model, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("mtl-demo: ")
    assert arguments[1] in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("--hz", "0"), ("--frames", "0"), ("--size", "640")])
def test_impossible_options_are_refused(
    tmp_path: Path, model: Path, arguments: tuple[str, str]
) -> None:
    done = demo(tmp_path / "out", model, *arguments)
    assert done.returncode == 2
    assert arguments[0] in done.stderr
    assert not (tmp_path / "out").exists()
