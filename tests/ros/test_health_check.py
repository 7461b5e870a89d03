"""The health check of the containers, through their entry point, against real nodes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from lifecycle_msgs.msg import Transition

from mtl_perception.healthcheck import ENCLAVE_VARIABLE, fault_of
from peer import Peer, student

pytestmark = pytest.mark.ros

ENTRY_POINT = Path(__file__).parents[2] / "docker" / "entrypoint.sh"
CHECK = (ENTRY_POINT, sys.executable, "-m", "mtl_perception.healthcheck")


def checked(domain: int, *words: str, **environ: str) -> tuple[int, str]:
    """Exit status and words of the health check."""
    run = subprocess.run(
        [*CHECK, *words],
        env={**os.environ, "ROS_DOMAIN_ID": str(domain), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return run.returncode, (run.stdout + run.stderr).strip()


@pytest.fixture(scope="module")
def stage(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Peer, int]]:
    """A student at work that nobody sends an image, and its domain."""
    log = tmp_path_factory.mktemp("node") / "log"
    with student(log, *("-p", f"model:={model}", "-p", "stale_after:=0.5")) as peer:
        peer.report()
        yield peer, peer.ros.context.get_domain_id()


def test_a_node_at_work_is_healthy(stage: tuple[Peer, int]) -> None:
    assert checked(stage[1]) == (0, "/student: works")


def test_silent_cameras_are_a_fault_where_they_are_asked_for(stage: tuple[Peer, int]) -> None:
    peer, domain = stage
    peer.wait(lambda: peer.report()[0].level == DiagnosticStatus.STALE, "STALE")
    status, said = checked(domain, "/student", "--images")
    assert status == 1
    assert "/student: frames: no image on /image" in said


def test_an_inactive_node_is_not_healthy(stage: tuple[Peer, int]) -> None:
    peer, domain = stage
    assert peer.change(Transition.TRANSITION_DEACTIVATE)
    status, said = checked(domain)
    assert status == 1
    assert said == "/student: /student: frames: inactive, expected active or running"
    assert peer.change(Transition.TRANSITION_ACTIVATE)


def test_no_node_is_not_healthy(stage: tuple[Peer, int]) -> None:
    said = checked(stage[1], "/robot/student", "--timeout", "4")
    assert said == (1, "/robot/student: no report")


def test_the_check_has_keys_of_its_own_beside_those_of_the_node(tmp_path: Path) -> None:
    """Where security is enforced; the variable is the container's, and means its node."""
    (tmp_path / "enclaves").mkdir()
    status, said = checked(
        0,
        ROS_SECURITY_ENABLE="true",
        ROS_SECURITY_STRATEGY="Enforce",
        ROS_SECURITY_KEYSTORE=str(tmp_path),
        **{ENCLAVE_VARIABLE: "/student"},
    )
    assert status == 1
    assert f"directory '{tmp_path}/enclaves/mtl_health' does not exist" in said


def report(state: str, level: bytes = DiagnosticStatus.OK) -> DiagnosticStatus:
    values = [KeyValue(key="state", value=state)]
    return DiagnosticStatus(level=level, name="/it: frames", message="words", values=values)


@pytest.mark.parametrize(
    ("reports", "fault"),
    [
        ([report("running")], ""),
        ([report("active, paused")], ""),
        ([report("active", DiagnosticStatus.WARN)], ""),
        ([report("active", DiagnosticStatus.STALE)], ""),
        ([report("active"), report("active", DiagnosticStatus.ERROR)], "/it: frames: words"),
        ([report("unconfigured")], "/it: frames: unconfigured, expected active or running"),
        ([DiagnosticStatus(name="/it")], "/it: silent, expected active or running"),
        ([], "no report"),
    ],
)
def test_each_report_is_judged(reports: list[DiagnosticStatus], fault: str) -> None:
    assert fault_of(reports) == fault
