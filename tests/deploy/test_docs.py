"""What docs/containers.md and docs/security.md say of our images, services and policies holds.

That their commands are commands is the matter of tests/docs.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest

from deploy_files import ROOT, arguments, compose, stages
from documents import SHELL, blocks
from shell import commands

PAGES = ("docs/containers.md", "docs/security.md")
GIVEN = [
    command.words
    for page in PAGES
    for block in blocks(page)
    if block.kind == SHELL
    for command in commands(block)
]


def of(*program: str) -> Any:
    found = [words for words in GIVEN if words[: len(program)] == [*program]]
    assert found, program
    return pytest.mark.parametrize("words", found, ids=" ".join)


def options(words: list[str], name: str) -> list[str]:
    return [after for word, after in pairwise(words) if word == name]


@of("docker", "build")
def test_builds_are_of_stages_that_exist(words: list[str]) -> None:
    (target,) = options(words, "--target")
    assert target in stages()
    given = dict(text.split("=") for text in options(words, "--build-arg"))
    assert set(given) <= set(arguments())
    assert f"base-{given.get('KIND', 'cpu')}" in stages()


@of("docker", "compose")
def test_compositions_are_of_services_that_exist(words: list[str]) -> None:
    services = compose("compose.yaml")["services"]
    profiles = {profile for one in services.values() for profile in one.get("profiles", [])}
    assert set(options(words, "--profile")) <= profiles
    assert set(options(words, "--rm")) <= set(services)


def test_variables_of_the_services_are_those_that_the_page_names() -> None:
    pattern = r"\bMTL_[A-Z_]+"
    named = set(re.findall(pattern, (ROOT / "docs/containers.md").read_text(encoding="utf-8")))
    file = (ROOT / "docker/compose.yaml").read_text(encoding="utf-8")
    assert named == set(re.findall(pattern, file))


@of("mtl-policy")
@pytest.mark.ros
def test_policies_can_be_made_as_the_page_says(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from mtl_perception.policy import main

    assert main(words[1:]) == 0
    assert "<policy" in capsys.readouterr().out
