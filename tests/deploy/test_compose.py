"""Services say what the repository has: stages, commands, files, and enough shared memory."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from command_checks import check_words
from deploy_files import DOCKER, HOME, ROOT, arguments, compose, stages
from mtl_perception.environment import AMPLE_BYTES, camera_profile, profile_variable

MEBI = 2**20
UNITS = {"m": MEBI, "g": 1024 * MEBI}
SERVICES: dict[str, Any] = compose("compose.yaml")["services"]
VOLUMES = compose("compose.yaml")["volumes"]
OVERRIDES = {name: compose(f"compose.{name}.yaml")["services"] for name in ("cuda", "jetson")}
PACKAGE = ROOT / "src/mtl_perception"


def merged(base: Any, over: Any) -> Any:
    """Return what `docker compose -f BASE -f OVER` makes of two files, which share no lists."""
    if not isinstance(base, dict):
        return over
    both = {key: merged(base[key], over[key]) for key in base.keys() & over.keys()}
    return {**base, **over, **both}


KINDS = {"cpu": SERVICES, **{kind: merged(SERVICES, over) for kind, over in OVERRIDES.items()}}
"""The services of each composition that the documents name."""


def bytes_of(size: str) -> int:
    return int(size[:-1]) * UNITS[size[-1]]


def in_repository(path: str) -> Path:
    return ROOT / Path(path).relative_to(HOME)


def test_services_are_those_that_are_promised() -> None:
    assert set(SERVICES) == {"student", "camera", "replay", "training"}
    assert {name: one.get("profiles") for name, one in SERVICES.items()} == {
        "student": None,  # what camera and replay feed
        "camera": ["camera"],
        "replay": ["replay"],
        "training": ["training"],
    }


def builds(services: Any) -> dict[str, Any]:
    """What is built, by image."""
    return {one["image"]: one["build"] for one in services.values() if "build" in one}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_built_from_a_stage_that_exists(name: str, kind: str) -> None:
    build = builds(KINDS[kind])[KINDS[kind][name]["image"]]
    assert build["target"] in stages()
    assert (DOCKER / build["context"] / build["dockerfile"]).resolve() == DOCKER / "Dockerfile"
    assert (DOCKER / build["context"]).resolve() == ROOT


def test_what_differs_has_images_of_different_names() -> None:
    for one in KINDS.values():
        for other in KINDS.values():
            for image in builds(one).keys() & builds(other).keys():
                assert builds(one)[image] == builds(other)[image], image


@pytest.mark.parametrize("kind", KINDS)
def test_who_shares_the_student_s_memory_has_the_student_s_ros(kind: str) -> None:
    services = KINDS[kind]
    sharing = [one["image"] for one in services.values() if one.get("ipc")]
    assert len(sharing) == 3
    for image in sharing:
        build = builds(services)[image]
        assert build["target"] == "node" or stages()[build["target"]].base == "node"
        assert build.get("args", {}).get("KIND", arguments()["KIND"]) == kind


@pytest.mark.parametrize("kind", OVERRIDES)
def test_a_gpu_changes_the_base_and_nothing_else(kind: str) -> None:
    for name, service in OVERRIDES[kind].items():
        assert name in SERVICES
        assert set(service) <= {"image", "build", "deploy", "runtime"}
        assert service.get("build", {"args": {"KIND": kind}}) == {"args": {"KIND": kind}}
    student = OVERRIDES[kind]["student"]
    assert student["image"].endswith(f":{kind}")
    assert f"base-{kind}" in stages()
    assert {"deploy", "runtime"} & set(student)


# ---- Commands ------------------------------------------------------------------------------------
def check_command(words: list[str], stage: str) -> None:
    check_words(words, whole=True)
    if words[:2] == ["ros2", "run"]:  # of another package, which its stage installs
        installed = " ".join(stages()[stage].all("RUN"))
        assert f"-{words[2].replace('_', '-')}" in installed


def commands() -> Iterator[Any]:
    for name, service in SERVICES.items():
        stage = service.get("build", {}).get("target", "node")
        yield pytest.param(service["command"], stage, id=name)
    for line in (DOCKER / "compose.yaml").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"#.* run --rm (\w+) (.*)", line):
            stage = SERVICES[found[1]]["build"]["target"]
            yield pytest.param(shlex.split(found[2]), stage, id=found[2])


@pytest.mark.parametrize(("words", "stage"), commands())
def test_each_command_exists_and_takes_its_arguments(words: list[str], stage: str) -> None:
    if words[0] == "mtl-train":
        pytest.importorskip("torch")
    check_command(words, stage)


@pytest.mark.parametrize("name", ["node", "camera"])
def test_what_an_image_runs_if_nothing_is_said_exists(name: str) -> None:
    check_command(ast.literal_eval(stages()[name].last("CMD")), name)


def test_files_that_services_name_exist() -> None:
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    named = re.findall(rf"{HOME}/\S+", text)
    named += [f"{HOME}/{w}" for s in SERVICES.values() for w in s["command"] if w.endswith(".toml")]
    assert len(named) >= 2
    assert [path for path in named if not in_repository(path).is_file()] == []


def test_volumes_are_declared_and_belong_to_the_user() -> None:
    install = (DOCKER / "install.sh").read_text(encoding="utf-8")
    used = [text.split(":") for one in SERVICES.values() for text in one.get("volumes", [])]
    assert {volume for volume, *_ in used} == set(VOLUMES)
    for _, target, *mode in used:
        folder = target.replace("/home/robot", "/home/$user")
        assert mode == ["ro"] or f'"{folder.removesuffix("/mtl_perception")}"' in install, target


# ---- Shared memory -------------------------------------------------------------------------------
def segment_bytes() -> int:
    root = ElementTree.parse(camera_profile(AMPLE_BYTES)).getroot()
    (size,) = (element for element in root.iter() if element.tag.endswith("}segment_size"))
    return int(size.text or 0)


def test_shared_memory_holds_a_segment_of_each_process_that_shares_it() -> None:
    sharing = [name for name, one in SERVICES.items() if one.get("ipc") == "service:student"]
    assert sharing == ["camera", "replay"]
    assert SERVICES["student"]["ipc"] == "shareable"
    size = bytes_of(SERVICES["student"]["shm_size"])
    health_check = 1
    assert size > (1 + len(sharing) + health_check) * segment_bytes()
    assert size - AMPLE_BYTES >= segment_bytes()  # so that the last one still takes this profile


def test_who_shares_the_network_shares_the_memory() -> None:
    """Or Fast DDS would send images through memory that the other side has not."""
    for name, service in SERVICES.items():
        assert (service.get("network_mode") == "host") == ("ipc" in service), name


@pytest.mark.parametrize("kind", KINDS)
def test_the_driver_is_given_the_profile_that_the_nodes_take_themselves(kind: str) -> None:
    base = stages()[f"base-{kind}"]
    found = re.search(r"^ros:(\w+)-|ROS_DISTRO=(\w+)", f"{base.base} {base.all('ENV')}")
    assert found
    variable = profile_variable(found[1] or found[2])
    named = KINDS[kind]["camera"]["environment"][variable]
    assert in_repository(named) == camera_profile(AMPLE_BYTES)


# ---- Safety --------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_right_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True  # whatever ends on SIGINT alone, or leaves children
    assert not {"privileged", "cap_add", "user", "ports"} & set(service)  # the user is the image's


def test_health_is_that_of_the_service_itself() -> None:
    for name in ("camera", "replay"):
        assert SERVICES[name]["healthcheck"] == {"disable": True}
    assert "healthcheck" not in SERVICES["student"]  # the image's own
    assert not stages()["training"].last("HEALTHCHECK")
