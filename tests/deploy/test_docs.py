"""Commands that docs/containers.md and docs/security.md give exist and take their arguments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from deploy_files import ROOT, arguments, compose, stages

VERBS = ("create_keystore", "create_enclave", "create_permission", "generate_policy")
"""Of `ros2 security`."""

KNOWN = ("export", "docker", "mtl-policy", "ros2")


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


def test_no_command_is_of_an_unknown_kind() -> None:
    assert [line for line in GIVEN if line.split()[0] not in KNOWN] == []


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


def check_security(verb: str, *words: str) -> None:
    assert verb in VERBS
    for path in re.findall(r"mtl_perception\)/(\S+?)\"?$", " ".join(words)):
        assert (ROOT / "src/mtl_perception" / path).is_file()


def check_run(package: str, name: str, *words: str) -> None:
    setup = (ROOT / "src" / package / "setup.py").read_text(encoding="utf-8")
    assert f'"{name} = ' in setup


CHECKS: dict[str, Callable[..., None]] = {"security": check_security, "run": check_run}


@of("ros2")
def test_ros_commands_are_of_verbs_and_files_that_exist(line: str) -> None:
    _, command, *words = line.split()
    CHECKS[command](*words)
