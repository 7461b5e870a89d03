"""A labelled recording becomes a training set that training reads as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import tiny_student
from mtl_bags.cli import main
from mtl_bags.compose import Stamped, cdr_header, image, serialize
from mtl_bags.errors import BagError
from mtl_bags.export import Selection, export
from mtl_bags.labelled import LabelledBag
from mtl_bags.labelling.job import Labeller
from mtl_bags.labelling.summary import Settings
from mtl_bags.messages import to_colour_image, to_mask
from mtl_bags.records import COMPRESSED_IMAGE, Record
from mtl_bags.types import standard_types
from mtl_core.labels import LabelMap
from recordings import (
    COLOUR,
    DEPTH,
    FRAMES,
    FX,
    HEIGHT,
    PREFIX,
    WIDTH,
    class_of,
    colour,
    depth,
    records,
    rewritten,
    stamp,
    write,
)


def dataset(folder: Path) -> dict:
    return json.loads((folder / "dataset.json").read_text(encoding="utf-8"))


def test_each_frame_has_its_image_labels_and_camera(labelled: Path, tmp_path: Path) -> None:
    done = export([labelled], tmp_path / "set", Selection())
    assert (done.samples, done.left_out) == (FRAMES, {})
    found = dataset(tmp_path / "set")
    assert (found["schema"], found["tasks"]) == (1, ["depth", "segmentation"])
    assert LabelMap.from_dict(found["label_map"]) == LabelMap.load("nyu13")
    for number, sample in enumerate(found["samples"]):
        picture = cv2.imread(str(tmp_path / "set" / sample["image"]))[..., ::-1]
        assert np.abs(picture.astype(int) - colour(number)).max() <= 3
        labels = sample["labels"]
        assert labels["segmentation"]["state"] == "pseudo"
        mask = cv2.imread(str(tmp_path / "set" / labels["segmentation"]["file"]), -1)
        assert (mask[:, WIDTH // 2 + 8 :] == class_of(number)).all()
        assert labels["depth"]["state"] == "truth"
        millimetres = cv2.imread(str(tmp_path / "set" / labels["depth"]["file"]), -1)
        np.testing.assert_array_equal(millimetres, depth(number))
        assert sample["intrinsics"]["fx"] == FX
        assert (sample["intrinsics"]["width"], sample["split"]) == (WIDTH, "train")
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_training_reads_it_as_it_is(labelled: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training is not installed")
    from mtl_training.config import DataConfig
    from mtl_training.data.catalogue import open_source

    export([labelled], tmp_path / "set", Selection())
    source = open_source(DataConfig("recording", root=str(tmp_path / "set"), split="train"))
    assert len(source) == FRAMES
    assert source.tasks == {"depth"}
    sample = source.sample(3)
    np.testing.assert_allclose(sample.truth["depth"][:, : WIDTH // 2], 1.503, atol=1e-6)
    assert np.isnan(sample.truth["depth"][:, WIDTH // 2 :]).all()
    assert sample.pseudo["segmentation"].value.shape == (HEIGHT, WIDTH, 13)
    assert sample.pseudo["segmentation"].value[0, -1].argmax() == class_of(3)
    assert sample.intrinsics is not None


def test_without_a_sensor_depth_is_the_teacher_s(model: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "walk", (one for one in records() if one.topic != DEPTH))
    Labeller(model, Settings()).label(path, tmp_path / "labelled")
    export([tmp_path / "labelled"], tmp_path / "set", Selection())
    label = dataset(tmp_path / "set")["samples"][2]["labels"]["depth"]
    assert label["state"] == "pseudo"
    millimetres = cv2.imread(str(tmp_path / "set" / label["file"]), -1)
    assert np.abs(millimetres - 1000 * tiny_student.metres(40)).max() <= 2
    confidence = cv2.imread(str(tmp_path / "set" / label["confidence"]), -1)
    assert (confidence == round(255 * tiny_student.CONFIDENCE)).all()


def compressed() -> Iterator[Record]:
    """The recording with JPEG images."""
    types = standard_types().types
    for one in records():
        if one.topic != COLOUR:
            yield one
            continue
        header = cdr_header(one.data)
        number = round((header.stamp_ns - 1_700_000_000 * 10**9) / 1e8)
        data = cv2.imencode(".jpg", colour(number)[..., ::-1])[1]
        seconds, rest = divmod(header.stamp_ns, 10**9)
        time = types["builtin_interfaces/msg/Time"](seconds, rest)
        message = types[COMPRESSED_IMAGE](
            header=types["std_msgs/msg/Header"](time, header.frame_id), format="jpeg", data=data
        )
        topic = f"{COLOUR}/compressed"
        yield replace(one, topic=topic, msgtype=COMPRESSED_IMAGE, data=serialize(message))


def test_a_camera_s_own_jpeg_is_kept_as_it_is(model: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "walk", compressed())
    Labeller(model, Settings()).label(path, tmp_path / "labelled")
    export([tmp_path / "labelled"], tmp_path / "set", Selection())
    sample = dataset(tmp_path / "set")["samples"][1]
    expected = cv2.imencode(".jpg", colour(1)[..., ::-1])[1].tobytes()
    assert (tmp_path / "set" / sample["image"]).read_bytes() == expected
    with LabelledBag(tmp_path / "labelled") as bag:
        assert bag.topics.mask == f"{PREFIX}/segmentation/mask"


def test_frames_like_the_one_before_are_left_out(labelled: Path, tmp_path: Path) -> None:
    done = export([labelled], tmp_path / "few", Selection(min_change=0.15))
    assert 1 < done.samples < FRAMES
    assert done.left_out == {"too like the one before": FRAMES - done.samples}
    assert export([labelled], tmp_path / "one", Selection(min_change=1.0)).samples == 1


def unsure(number: int) -> Iterator[Record]:
    """The recording with an image in which the teacher is sure of nothing."""
    pixels = np.full((HEIGHT, WIDTH, 3), tiny_student.colour(3, blue=tiny_student.UNSURE), np.uint8)
    for one in records():
        if one.topic == COLOUR and cdr_header(one.data).stamp_ns == stamp(number):
            header = cdr_header(one.data)
            yield replace(one, data=serialize(image(pixels, "rgb8", header)))
        elif one.topic != DEPTH:
            yield one


def test_frames_without_confidence_are_left_out(model: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "walk", unsure(4))
    Labeller(model, Settings()).label(path, tmp_path / "labelled")
    done = export([tmp_path / "labelled"], tmp_path / "set", Selection(min_confidence=0.5))
    assert (done.samples, done.left_out) == (FRAMES - 1, {"not confident enough": 1})
    assert not any(str(stamp(4)) in one["name"] for one in dataset(tmp_path / "set")["samples"])


def test_several_recordings_make_one_set(labelled: Path, tmp_path: Path) -> None:
    words = ["export", str(labelled), str(labelled), "--out", str(tmp_path / "set")]
    assert main([*words, "--split", "mine"]) == 0
    samples = dataset(tmp_path / "set")["samples"]
    assert len({sample["name"] for sample in samples}) == 2 * FRAMES
    assert {sample["split"] for sample in samples} == {"mine"}


def elsewhere() -> Iterator[Record]:
    """The recording with depth that is not registered, in a frame of its own."""
    for number, one in enumerate(records()):
        if one.topic == DEPTH:
            header = replace(cdr_header(one.data), frame_id="depth_frame")
            yield replace(one, data=serialize(image(depth(number // 4), "16UC1", header)))
        else:
            yield one


def test_depth_that_was_not_used_is_no_truth(model: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "walk", elsewhere())
    Labeller(model, Settings(depth="none")).label(path, tmp_path / "labelled")
    export([tmp_path / "labelled"], tmp_path / "set", Selection())
    states = {one["labels"]["depth"]["state"] for one in dataset(tmp_path / "set")["samples"]}
    assert states == {"pseudo"}


def test_the_depth_that_was_named_is_the_truth(model: Path, tmp_path: Path) -> None:
    def two() -> Iterator[Record]:
        for one in records():
            yield one
            if one.topic == DEPTH:
                yield replace(one, topic="/camera/aligned_depth_of_another/image_raw")

    path = write(tmp_path / "walk", two())
    Labeller(model, Settings(depth=DEPTH)).label(path, tmp_path / "labelled")
    export([tmp_path / "labelled"], tmp_path / "set", Selection())
    states = {one["labels"]["depth"]["state"] for one in dataset(tmp_path / "set")["samples"]}
    assert states == {"truth"}


@pytest.mark.parametrize("stamps", [[0, 1, 1, 3], [0, 0, 0, 0], [5, 6, 0, 1]])
@pytest.mark.parametrize("live", [False, True])
def test_each_image_has_its_own_labels_whatever_the_stamps(
    model: Path, tmp_path: Path, stamps: list[int], live: bool
) -> None:
    def restamped() -> Iterator[Record]:
        for number, one in enumerate(one for one in records(range(4)) if one.topic == COLOUR):
            header = Stamped(stamp(stamps[number]), "camera")
            yield replace(one, data=serialize(image(colour(number), "rgb8", header)))

    path = write(tmp_path / "walk", restamped())
    out = tmp_path / "labelled"
    Labeller(model, Settings()).label(path, out)
    if live:
        (out / "mtl_labels.json").unlink()
    with LabelledBag(out) as bag:
        pairs = [
            (
                to_colour_image(bag.deserialize(one.frame.image)).pixels[0, 0, 0],
                to_mask(bag.deserialize(one.mask))[0, 0],
            )
            for one in bag
        ]
        assert bag.unlabelled == 0
    assert pairs == [(tiny_student.colour(class_of(n))[0], class_of(n)) for n in range(4)]


def test_images_without_labels_are_counted(model: Path, tmp_path: Path) -> None:
    spoilt = (
        replace(one, data=one.data[:60]) if n == 4 * 2 + 1 else one
        for n, one in enumerate(records())
    )
    Labeller(model, Settings()).label(write(tmp_path / "walk", spoilt), tmp_path / "labelled")
    done = export([tmp_path / "labelled"], tmp_path / "set", Selection())
    assert (done.samples, done.left_out) == (FRAMES - 1, {"without labels": 1})


def test_a_recording_without_labels_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "walk", records(range(1)))
    assert main(["export", str(path), "--out", str(tmp_path / "set")]) == 1
    assert "has no labels: no topic .../mtl/segmentation/mask" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_what_stands_there_is_not_replaced(labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(BagError, match="exists already"):
        export([labelled], tmp_path, Selection())


def test_labels_that_were_recorded_late_are_found(labelled: Path, tmp_path: Path) -> None:
    """As when a live teacher's answers are recorded beside the camera."""

    def late(_: int, one: Record) -> Record:
        return replace(one, time_ns=one.time_ns + 1_500_000_000 * (PREFIX in one.topic))

    path = rewritten(labelled, tmp_path / "live", late)
    with LabelledBag(path) as one, LabelledBag(labelled) as other:
        found = [(f.frame.stamp_ns, f.mask.data) for f in one]
        assert found == [(f.frame.stamp_ns, f.mask.data) for f in other]


def test_header_of_an_image(labelled: Path) -> None:
    header = cdr_header(next(iter(records())).data)
    assert header == Stamped(1_700_000_000 * 10**9, "camera_color_optical_frame")


def test_info_lists_topics_camera_and_labels(
    labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(labelled)]) == 0
    said = capsys.readouterr().out
    assert f"{FRAMES} {PREFIX}/segmentation/mask" in said
    assert f"camera: colour {COLOUR}" in said
    assert f"{FRAMES} of {FRAMES} images labelled" in said
