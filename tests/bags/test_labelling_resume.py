"""Labelling again, and after an interruption: nothing is lost, mixed or done twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from mtl_bags.cli import main
from mtl_bags.errors import BagError
from mtl_bags.frames import recorded_frames
from mtl_bags.labelling.job import Keyed, Labeller
from mtl_bags.labelling.summary import Settings
from mtl_bags.writer import BagWriter
from recordings import FRAMES, PREFIX, read


def test_a_second_run_does_nothing(model: Path, source: Path, tmp_path: Path) -> None:
    labeller = Labeller(model, Settings())
    first = labeller.label(source, tmp_path / "walk")
    before = {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in (tmp_path / "walk").iterdir()}

    def never(frames: Iterable[Keyed], total: int) -> Iterable[Keyed]:
        raise AssertionError("nothing was to be labelled")

    assert labeller.label(source, tmp_path / "walk", never) == first
    after = {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in (tmp_path / "walk").iterdir()}
    assert after == before
    assert [p.name for p in tmp_path.iterdir()] == ["walk"]


def test_what_was_half_written_is_removed(
    model: Path, source: Path, labelled: Path, tmp_path: Path
) -> None:
    work = tmp_path / ".walk.labelling"
    half = work / ".walk.partial-abc"
    (half / "walk").mkdir(parents=True)
    seen: list[bool] = []

    def look(frames: Iterable[Keyed], total: int) -> Iterator[Keyed]:
        seen.append(half.exists())
        yield from frames

    Labeller(model, Settings()).label(source, tmp_path / "walk", look)
    assert seen == [False]
    work.mkdir()  # as after a kill between the last two steps
    Labeller(model, Settings()).label(source, tmp_path / "walk")
    assert [p.name for p in tmp_path.iterdir()] == ["walk"]


def test_labels_are_written_while_others_are_made(
    model: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    write = BagWriter.write

    def noted(self: BagWriter, topic: str, *rest: Any) -> None:
        written.append(topic)
        write(self, topic, *rest)

    monkeypatch.setattr(BagWriter, "write", noted)
    before_the_last: list[int] = []

    def look(frames: Iterable[Keyed], total: int) -> Iterator[Keyed]:
        for number, one in enumerate(frames):
            if number == total - 1:
                before_the_last.append(written.count(f"{PREFIX}/segmentation/mask"))
            yield one

    Labeller(model, Settings(), workers=1).label(source, tmp_path / "walk", look)
    assert FRAMES - 5 < before_the_last[0] < FRAMES


@pytest.mark.parametrize(
    "change", [lambda frames: frames[:-1], lambda frames: [*frames, frames[-1]]]
)
def test_a_recording_that_changes_meanwhile_is_no_result(
    model: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    def changed(*arguments: Any) -> list[Any]:
        return list(change(list(recorded_frames(*arguments))))

    monkeypatch.setattr("mtl_bags.labelling.job.recorded_frames", changed)
    with pytest.raises(BagError, match="it has other images each time"):
        Labeller(model, Settings()).label(source, tmp_path / "walk")
    assert not (tmp_path / "walk").exists()


def test_work_that_has_not_begun_binds_nobody(model: Path, source: Path, tmp_path: Path) -> None:
    def stopped(frames: Iterable[Keyed], total: int) -> Iterator[Keyed]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Labeller(model, Settings()).label(source, tmp_path / "walk", stopped)
    Labeller(model, Settings(flip=False)).label(source, tmp_path / "walk")


def test_a_disk_that_is_full_at_the_end_says_how_to_go_on(
    model: Path, source: Path, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    settings = Settings(storage="sqlite3")
    with monkeypatch.context() as patch:
        patch.setattr("rosbags.rosbag2.writer.Writer.close", full)
        with pytest.raises(BagError, match=r"cannot complete.*full; what is done is kept"):
            Labeller(model, settings).label(source, tmp_path / "walk")
    Labeller(model, settings).label(source, tmp_path / "walk")
    assert sorted(read(tmp_path / "walk"), key=str) == sorted(read(labelled), key=str)


@pytest.mark.parametrize("stop", [0, 1, 5, FRAMES - 1])
def test_an_interrupted_run_goes_on_and_ends_alike(
    model: Path, source: Path, labelled: Path, tmp_path: Path, stop: int
) -> None:
    labeller = Labeller(model, Settings(), workers=1)

    def interrupted(frames: Iterable[Keyed], total: int) -> Iterator[Keyed]:
        for number, one in enumerate(frames):
            if number == stop:
                raise KeyboardInterrupt
            yield one

    with pytest.raises(KeyboardInterrupt):
        labeller.label(source, tmp_path / "walk", interrupted)
    assert not (tmp_path / "walk").exists()
    labeller.label(source, tmp_path / "walk")
    assert read(tmp_path / "walk") == read(labelled)
    assert [p.name for p in tmp_path.iterdir()] == ["walk"]


KILL = """
import os, sys
from pathlib import Path
from mtl_bags.labelling import job
from mtl_bags.labelling.journal import Journal
from mtl_bags.writer import BagWriter

place, count = sys.argv[4], int(sys.argv[5])
kind, name = {"journal": (Journal, "add"), "writer": (BagWriter, "write")}[place]
plain = getattr(kind, name)

def dying(self, *arguments):
    global count
    count -= 1
    plain(self, *arguments)
    if count <= 0:
        os.kill(os.getpid(), 9)

setattr(kind, name, dying)
job.Labeller(Path(sys.argv[1]), job.Settings()).label(Path(sys.argv[2]), Path(sys.argv[3]))
"""


@pytest.mark.parametrize(("place", "count"), [("journal", 1), ("journal", 7), ("writer", 20)])
def test_after_kill_9_the_same_command_ends_alike(
    model: Path, source: Path, labelled: Path, tmp_path: Path, place: str, count: int
) -> None:
    out = tmp_path / "walk"
    words = [str(model), str(source), str(out), place, str(count)]
    done = subprocess.run([sys.executable, "-c", KILL, *words], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    assert main(["label", str(source), "--out", str(tmp_path), "--model", str(model)]) == 0
    assert read(out) == read(labelled)
    assert [p.name for p in tmp_path.iterdir()] == ["walk"]


def test_unfinished_work_of_other_settings_is_not_mixed(
    model: Path, source: Path, tmp_path: Path
) -> None:
    def interrupted(frames: Iterable[Keyed], total: int) -> Iterator[Keyed]:
        yield from islice(frames, total - 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Labeller(model, Settings(), workers=1).label(source, tmp_path / "walk", interrupted)
    with pytest.raises(BagError, match="unfinished work of other settings: flip was True, is Fal"):
        Labeller(model, Settings(flip=False)).label(source, tmp_path / "walk")


def test_another_result_is_not_replaced(model: Path, source: Path, tmp_path: Path) -> None:
    Labeller(model, Settings()).label(source, tmp_path / "walk")
    with pytest.raises(BagError, match=r"exists, made of or with something else \(flip\)"):
        Labeller(model, Settings(flip=False)).label(source, tmp_path / "walk")
    (tmp_path / "photos").mkdir()
    with pytest.raises(BagError, match="is no labelled recording"):
        Labeller(model, Settings()).label(source, tmp_path / "photos")


def test_two_processes_do_not_work_on_one_recording(
    model: Path, source: Path, tmp_path: Path
) -> None:
    def meanwhile(frames: Iterable[Keyed], total: int) -> Iterator[Keyed]:
        with pytest.raises(BagError, match="another process is at work on it"):
            Labeller(model, Settings()).label(source, tmp_path / "walk")
        yield from frames

    summary = Labeller(model, Settings()).label(source, tmp_path / "walk", meanwhile)
    assert summary.labelled == FRAMES


def test_a_full_disk_says_so_and_nothing_is_lost(
    model: Path, source: Path, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own error, from a limit on the journal's pages."""
    connect = sqlite3.connect

    def limited(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **named)
        connection.execute("PRAGMA max_page_count = 6")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", limited)
        with pytest.raises(BagError, match=r"full.*run the same command again to go on"):
            Labeller(model, Settings()).label(source, tmp_path / "walk")
    Labeller(model, Settings()).label(source, tmp_path / "walk")
    assert read(tmp_path / "walk") == read(labelled)
