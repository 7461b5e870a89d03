"""A file is whole or not there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mtl_training.errors import OutputError
from mtl_training.files import atomic, remove_orphans, write_json, write_text


def test_a_failure_keeps_what_stood_there_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "before")
    with pytest.raises(ZeroDivisionError), atomic(path) as part:
        part.write_text(f"half{1 // 0}")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_where_nothing_can_be_written_the_error_names_the_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/below\.json: not written"):
        write_json(tmp_path / "file" / "below.json", {})


def test_nan_is_no_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed_and_a_living_one_s_is_not(tmp_path):
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    gone = tmp_path / f"w.part-{int(dead.stdout)}.safetensors"
    alive = tmp_path / f"w.part-{os.getpid()}.safetensors"
    other = tmp_path / "w.part-one.safetensors"
    for path in (gone, alive, other):
        path.write_text("half")
    remove_orphans(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([alive, other])
