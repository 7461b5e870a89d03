"""What docs/containers.md and docs/security.md say of our images, services and policies holds.

That their commands are commands is the matter of tests/docs.
"""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from typing import Any

import pytest

from deploy_files import ROOT, arguments, compose, stages


def commands(page: str) -> list[str]:
    """Lines of a page's indented blocks, without the variables that stand before a command."""
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    given = [line.strip() for line in lines if line.startswith("    ")]
    return [re.sub(r"^([A-Z_]+=\S+ )+(?=\w)", "", line) for line in given]


GIVEN = [*commands("containers.md"), *commands("security.md")]


def of(command: str) -> Any:
    found = [line for line in GIVEN if line.startswith(command)]
    assert found, command
    return pytest.mark.parametrize("line", found)


def options(line: str, name: str) -> list[str]:
    words = shlex.split(line)
    return [after for word, after in pairwise(words) if word == name]


@of("docker build")
def test_builds_are_of_stages_that_exist(line: str) -> None:
    (target,) = options(line, "--target")
    assert target in stages()
    given = dict(text.split("=") for text in options(line, "--build-arg"))
    assert set(given) <= set(arguments())
    assert f"base-{given.get('KIND', 'cpu')}" in stages()
    assert (ROOT / options(line, "-f")[0]).is_file()


@of("docker compose")
def test_compositions_are_of_files_and_services_that_exist(line: str) -> None:
    files = options(line, "-f")
    assert all((ROOT / name).is_file() for name in files)
    services = compose("compose.yaml")["services"]
    profiles = {profile for one in services.values() for profile in one.get("profiles", [])}
    assert set(options(line, "--profile")) <= profiles
    assert set(options(line, "--rm")) <= set(services)


def test_variables_of_the_services_are_those_that_the_page_names() -> None:
    pattern = r"\bMTL_[A-Z_]+"
    named = set(re.findall(pattern, (ROOT / "docs/containers.md").read_text(encoding="utf-8")))
    file = (ROOT / "docker/compose.yaml").read_text(encoding="utf-8")
    assert named == set(re.findall(pattern, file))


@of("mtl-policy")
@pytest.mark.ros
def test_policies_can_be_made_as_the_page_says(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from mtl_perception.policy import main

    assert main(shlex.split(line.partition(" > ")[0])[1:]) == 0
    assert "<policy" in capsys.readouterr().out
