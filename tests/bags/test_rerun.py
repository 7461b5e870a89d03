"""Labelled recordings for the Rerun viewer, read back by its own reader."""

from __future__ import annotations

import builtins
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtl_bags.cli import main
from mtl_bags.labelled import LabelledBag
from mtl_bags.messages import to_depth, to_mask
from mtl_bags.records import Record
from mtl_bags.rerun_file import write_rerun
from recordings import FRAMES, FX, HEIGHT, PREFIX, WIDTH, rewritten, stamp
from rerun_reader import logged

pytest.importorskip("rerun", reason="Rerun is not installed: pip install 'mtl_bags[rerun]'")


@pytest.fixture(scope="module")
def written(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rerun") / "sub" / "walk.rrd"
    with LabelledBag(labelled) as bag:
        assert write_rerun(bag, path) == FRAMES
    return path


def test_masks_and_depths_are_those_of_the_recording(labelled: Path, written: Path) -> None:
    found = logged(written)
    with LabelledBag(labelled) as bag:
        for number, frame in enumerate(bag):
            buffers = {
                name: np.array(found[f"/camera/{name}"][f"{kind}:buffer"][number][0], np.uint8)
                for name, kind in (
                    ("segmentation", "SegmentationImage"),
                    ("depth", "DepthImage"),
                    ("sensor_depth", "DepthImage"),
                )
            }
            mask = to_mask(bag.deserialize(frame.mask))
            np.testing.assert_array_equal(buffers["segmentation"].reshape(mask.shape), mask)
            assert frame.depth
            assert frame.frame.depth
            for name, record in (("depth", frame.depth), ("sensor_depth", frame.frame.depth)):
                metres = buffers[name].view(np.float32).reshape(HEIGHT, WIDTH)
                expected = np.nan_to_num(to_depth(bag.deserialize(record)))
                np.testing.assert_array_equal(metres, expected)


def test_the_timeline_is_the_images_stamps(written: Path) -> None:
    times = logged(written)["/camera/image"]["stamp"]
    assert times == [stamp(number) for number in range(FRAMES)]


def test_classes_and_camera_are_known(written: Path) -> None:
    found = logged(written)
    (classes,) = (one for one in found["/"]["AnnotationContext:context"] if one)
    assert "floor" in str(classes)
    camera = found["/camera"]
    matrix = next(one for one in camera["Pinhole:image_from_camera"] if one)[0]
    assert matrix[0] == pytest.approx(FX)


def test_frames_that_cannot_be_read_are_left_out(labelled: Path, tmp_path: Path) -> None:
    def cut(number: int, one: Record) -> Record:
        spoilt = one.topic == f"{PREFIX}/segmentation/mask" and number > 40
        return replace(one, data=one.data[:60]) if spoilt else one

    with LabelledBag(rewritten(labelled, tmp_path / "cut", cut)) as bag:
        frames = write_rerun(bag, tmp_path / "walk.rrd")
    assert 0 < frames < FRAMES


def test_the_command_writes_it_beside_the_page(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["report", str(labelled), "--out", str(tmp_path / "page.html")]
    assert main([*words, "--rerun", str(tmp_path / "walk.rrd")]) == 0
    assert f"walk.rrd: {FRAMES} frames" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "walk.rrd"]


def test_a_target_that_cannot_be_written_is_named(labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = ["report", str(labelled), "--out", str(tmp_path / "page.html")]
    assert main([*words, "--rerun", str(tmp_path / "file" / "walk.rrd")]) == 1


def test_without_rerun_it_says_what_to_install(
    labelled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = builtins.__import__

    def lacking(name: str, *rest: Any) -> Any:
        if name == "rerun":
            raise ImportError(name)
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", lacking)
    words = ["report", str(labelled), "--out", str(tmp_path / "page.html")]
    assert main([*words, "--rerun", str(tmp_path / "walk.rrd")]) == 1
    assert "pip install 'mtl_bags[rerun]'" in capsys.readouterr().err
