"""`mtl-bags label` as a command: exit statuses, shards, and what it refuses."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mtl_bags.cli import main
from recordings import (
    COLOUR,
    FRAMES,
    PREFIX,
    by_topic,
    read,
    records,
    write,
)


def test_a_cut_recording_is_labelled_as_far_as_it_goes(
    model: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shutil.copytree(source, tmp_path / "cut")
    (file,) = path.glob("*.mcap")
    os.truncate(file, file.stat().st_size * 2 // 3)
    arguments = ["label", str(path), "--out", str(tmp_path / "out"), "--model", str(model)]
    assert main(arguments) == 3
    said = capsys.readouterr().out
    assert "damaged" in said
    assert str(file) in said
    found = by_topic(tmp_path / "out" / "cut")
    assert len(found[f"{PREFIX}/segmentation/mask"]) == len(found[COLOUR]) > FRAMES // 2
    assert [one for one in read(tmp_path / "out" / "cut") if PREFIX not in one.topic] == [
        *read(source)[: sum(len(v) for k, v in found.items() if PREFIX not in k)]
    ]
    assert main(arguments) == 3


def test_several_recordings_go_on_after_one_that_fails(
    model: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    sources = [str(tmp_path / "none"), str(source)]
    assert main(["label", *sources, "--out", str(out), "--model", str(model)]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert (out / "walk").is_dir()


def test_shards_label_each_recording_once(model: Path, tmp_path: Path) -> None:
    names = ["a", "b", "c", "d", "e"]
    sources = [str(write(tmp_path / name, records(range(1)))) for name in names]
    for shard in ("1/2", "2/2"):
        out = tmp_path / shard.replace("/", "_of_")
        words = ["label", *reversed(sources), "--out", str(out), "--model", str(model)]
        assert main([*words, "--shard", shard]) == 0
    assert sorted(p.name for p in (tmp_path / "1_of_2").iterdir()) == ["a", "c", "e"]
    assert sorted(p.name for p in (tmp_path / "2_of_2").iterdir()) == ["b", "d"]


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0"])
def test_a_shard_that_is_none_is_refused(
    shard: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["label", "x", "--out", str(tmp_path), "--model", "x", "--shard", shard])
    assert "expected I/N" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--workers", "-1"], ["--slop", "nan"], ["--slop", "-1"], ["--fx", "-5"]]
)
def test_numbers_that_make_no_sense_are_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["label", "x", "--out", str(tmp_path), "--model", "x", *words])
    assert "of at least 0, got" in capsys.readouterr().err


def test_two_recordings_of_one_name_are_refused(
    model: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = shutil.copytree(source, tmp_path / "elsewhere" / source.name)
    out = str(tmp_path / "out")
    assert main(["label", str(source), str(twin), "--out", out, "--model", str(model)]) == 1
    assert "two recordings have one name" in capsys.readouterr().err


def test_an_unwritable_target_is_an_error(
    model: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["label", str(source), "--out", str(tmp_path / "file"), "--model", str(model)]
    assert main(arguments) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err
