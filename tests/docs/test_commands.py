"""Every command in every document fits the code: programs, options, targets, topics, parameters."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from xml.etree import ElementTree

import pytest
import yaml

import our_programs
from command_checks import check, check_path, check_ros_arguments, check_topic, check_words
from command_syntax import CommandError
from documents import HISTORY, SHELL, Code, blocks, documents, inline
from our_programs import check_parameter
from shell import Command, commands

DOCUMENTS = [path for path in documents() if path != HISTORY]
BLOCKS = [block for path in DOCUMENTS for block in blocks(path)]


def value_of(command: str) -> str:
    """What a command in `$(...)` prints, as far as paths depend on it."""
    found = re.fullmatch(r"ros2 pkg prefix --share (\w+)", command)
    return f"src/{found[1]}" if found else "SUBSTITUTED"


def every_command() -> list[Command]:
    shells = (block for block in BLOCKS if block.kind == SHELL)
    return [command for block in shells for command in commands(block, value_of)]


def identity(command: Command) -> str:
    return f"{command.place} {' '.join(command.words[:2])}"


def judge(place: str, verdict: Callable[[], None]) -> None:
    """Name file and line where something is wrong."""
    try:
        verdict()
    except CommandError as fault:
        pytest.fail(f"{place}: {fault}", pytrace=False)
    except ModuleNotFoundError as err:
        pytest.skip(f"{err.name} is not installed")


@pytest.mark.parametrize("command", every_command(), ids=identity)
def test_a_command_fits_the_code(command: Command) -> None:
    def verdict() -> None:
        check(command)
        for word in (*command.words, *command.files):
            check_path(word)

    judge(f"{command.place}: {shlex.join(command.words)}", verdict)


PARSERS: Mapping[str, Callable[[str], object]] = {
    "toml": tomllib.loads,
    "yaml": yaml.safe_load,
    "json": json.loads,
    "python": ast.parse,
    "xml": ElementTree.fromstring,
    "text": str,
}
"""How a block of each kind is read; `log` is the matter of test_messages.py."""


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_a_block_is_what_it_is_said_to_be(block: Code) -> None:
    if block.kind == SHELL:
        bash = subprocess.run(
            ["bash", "-n"], input=block.text, text=True, capture_output=True, check=False
        )
        assert bash.returncode == 0, f"{block.place}: {bash.stderr}"
    elif block.kind != "log":
        assert block.kind in PARSERS, f"{block.place}: {block.kind} is none of {', '.join(PARSERS)}"
        PARSERS[block.kind](block.text)


# ---- prose ---------------------------------------------------------------------------------------
SPOKEN = re.compile(
    r"(make|ros2|docker|colcon|vcs|rosdep|student_node|teacher_node|mtl-[a-z-]+) .*"
)
GIVEN = re.compile(r"([a-z]\w*):=(\S*)")
SPOKEN_ARGUMENTS = re.compile(r"-[pr] \w.*")
SPOKEN_TOPIC = re.compile(r"(?:~?/)?(?:[a-z]\w*/)*(?:segmentation|depth|scale)/[a-z_]+")

SPOKEN_CODE = [code for path in DOCUMENTS for code in inline(path)]


def spoken(pattern: re.Pattern[str]) -> list[Code]:
    return [code for code in SPOKEN_CODE if pattern.fullmatch(code.text)]


@pytest.mark.parametrize("code", spoken(SPOKEN), ids=lambda code: f"{code.place} {code.text}")
def test_a_command_in_prose_names_what_there_is(code: Code) -> None:
    words = [word for word in shlex.split(code.text) if word != "..."]
    judge(f"{code.place}: {code.text}", lambda: check_words(words, whole=False))


@pytest.mark.parametrize("code", spoken(GIVEN), ids=lambda code: f"{code.place} {code.text}")
def test_a_parameter_or_argument_in_prose_takes_that_value(code: Code) -> None:
    name, _, text = code.text.partition(":=")
    judge(f"{code.place}: {code.text}", lambda: check_given(name, text))


def check_given(name: str, text: str) -> None:
    """Judge `NAME:=VALUE` of a node or a launch file; `a|b` stands for either."""
    tables = [specs for specs in our_programs.NODES.values() if name in {s.name for s in specs}]
    for value in text.split("|") if tables else ():
        check_parameter(tables[0], name, value or None)
    launched = set().union(*map(our_programs.launch_arguments_of, our_programs.launch_files()))
    if not tables and name not in launched | {*our_programs.OF_ALL_NODES}:
        raise CommandError(f"{name} is no parameter and no launch argument")


@pytest.mark.parametrize("code", spoken(SPOKEN_ARGUMENTS), ids=lambda c: f"{c.place} {c.text}")
def test_a_nodes_arguments_in_prose_fit_one(code: Code) -> None:
    words = ["--ros-args", *shlex.split(code.text)]
    faults = []
    for node in our_programs.NODES:
        try:
            check_ros_arguments(node, words)
        except CommandError as err:
            faults.append(f"{node}: {err}")
    assert len(faults) < len(our_programs.NODES), f"{code.place}: {'; '.join(faults)}"


@pytest.mark.parametrize("code", spoken(SPOKEN_TOPIC), ids=lambda code: f"{code.place} {code.text}")
def test_a_topic_in_prose_is_one(code: Code) -> None:
    judge(f"{code.place}: {code.text}", lambda: check_topic(code.text.lstrip("~")))
