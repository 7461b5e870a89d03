"""Commands and programs in documents that need no data and little time, run as they stand."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import our_programs
from command_checks import VENV
from documents import ROOT, SHELL, Code, blocks, documents
from shell import commands

EXAMPLES = {
    ".venv/bin/mtl-predict docs/images/demo.jpg --out out/predicted": "1 of 1 images predicted",
}
"""Commands, and what they say. Those that other tests run, or that take longer, are not here."""

PROGRAMS = [block for path in documents() for block in blocks(path) if block.kind == "python"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder that looks like the repository, and may be written to."""
    for name in ("docs", "src"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def run(words: list[str], place: Path) -> str:
    done = subprocess.run(
        words, cwd=place, text=True, capture_output=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def started(words: list[str]) -> list[str]:
    """The command with this Python in the place of `.venv`'s."""
    name = words[0].removeprefix(VENV)
    if name == "python":
        return [sys.executable, *words[1:]]
    module, _, function = our_programs.scripts()[name].partition(":")
    return [
        sys.executable,
        "-c",
        f"import sys, {module}; sys.exit({module}.{function}())",
        *words[1:],
    ]


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_does_what_it_says(text: str, place: Path) -> None:
    assert EXAMPLES[text] in run(started(shlex.split(text)), place)


def test_examples_stand_in_documents() -> None:
    shells = (block for path in documents() for block in blocks(path) if block.kind == SHELL)
    every = {shlex.join(command.words) for block in shells for command in commands(block)}
    assert set(EXAMPLES) <= every


@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: block.place)
def test_a_program_in_a_document_runs(block: Code, place: Path) -> None:
    assert run([sys.executable, "-c", block.text], place).strip()


def test_make_help_lists_the_targets() -> None:
    said = run(["make", "--no-print-directory", "help"], ROOT)
    assert {line.split()[1] for line in said.splitlines()} == our_programs.make_targets().keys()


CONFIGURATIONS = [
    block
    for block in blocks("docs/training.md")
    if block.kind == "toml" and "[network]" in block.text
]


@pytest.mark.parametrize("block", CONFIGURATIONS, ids=lambda block: block.place)
def test_a_configuration_of_a_training_is_read(block: Code) -> None:
    pytest.importorskip("torch")
    from mtl_training.config import TrainConfig
    from mtl_training.settings import parse_config

    assert parse_config(TrainConfig, tomllib.loads(block.text), block.place).data
