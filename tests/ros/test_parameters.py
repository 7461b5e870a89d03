"""Parameters: one table, described, judged, and equal to the YAML file that ships."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import yaml

from mtl_perception.parameter_tables import STUDENT, TEACHER
from mtl_perception.parameters import Spec
from mtl_perception.resources import share_path
from peer import Peer

pytestmark = pytest.mark.ros

BAD: dict[str, tuple[dict[str, object], str]] = {
    "too large": ({"min_confidence": 1.5}, "out of range.*Max: 1.0, value: 1.5"),
    "negative": ({"fallback_fx": -1.0}, "out of range.*Min: 0.0"),
    "not a number": ({"min_confidence": float("nan")}, "out of range"),
    "no choice": ({"depth_encoding": "64FC1"}, "got '64FC1', expected one of 32FC1, 16UC1"),
    "other type": ({"min_confidence": "high"}, "Wrong parameter type"),
    "read-only": ({"autostart": False}, "read-only parameter: autostart"),
    "while active": (
        {"image_transport": "compressed"},
        "image_transport can be set while the node is unconfigured, it is active",
    ),
    "unknown name": ({"min_confidenc": 0.5}, "undeclared"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_value_is_refused_with_the_reason(peer: Peer, case: str) -> None:
    values, reason = BAD[case]
    refusal = peer.set(**values)

    assert re.search(reason, refusal), refusal


@pytest.mark.parametrize("least_and_most", [0.0, 1.0])
def test_the_ends_of_a_range_belong_to_it(peer: Peer, least_and_most: float) -> None:
    assert peer.set(min_confidence=least_and_most) == ""
    assert peer.set(min_confidence=0.0) == ""


def test_every_parameter_is_described(peer: Peer) -> None:
    described = {d.name: d for d in peer.describe(*(spec.name for spec in STUDENT))}
    for spec in STUDENT:
        descriptor = described[spec.name]
        assert descriptor.description == spec.description
        assert descriptor.read_only == (spec.change == "at start")
        assert f"may be set {spec.change}" in descriptor.additional_constraints
        assert all(choice in descriptor.additional_constraints for choice in spec.choices)
        ranges = [*descriptor.integer_range, *descriptor.floating_point_range]
        assert [(r.from_value, r.to_value) for r in ranges] == (
            [spec.limits] if spec.limits else []
        )


@pytest.mark.parametrize(("name", "table"), [("student", STUDENT), ("teacher", TEACHER)])
def test_the_shipped_yaml_holds_the_tables_defaults(name: str, table: tuple[Spec, ...]) -> None:
    text = share_path("config", f"{name}.yaml").read_text(encoding="utf-8")
    shipped = yaml.safe_load(text)["/**"]["ros__parameters"]
    assert shipped == {spec.name: spec.default for spec in table}
    assert {name: type(value) for name, value in shipped.items()} == {
        spec.name: type(spec.default) for spec in table
    }


def test_a_default_must_be_a_choice() -> None:
    with pytest.raises(ValueError, match=r"kind: default 'c' is not in \('a', 'b'\)"):
        Spec("kind", "c", "", choices=("a", "b"))


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("min_confidence:=2.0", "out of range"),
        ("min_confidence:=high", "expecting type"),
        ("depth_encoding:=64FC1", "expected one of 32FC1, 16UC1"),
        ("image_transport:=theora", "expected one of raw, compressed"),
    ],
)
def test_a_bad_start_value_ends_the_node_with_the_reason(setting: str, reason: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "mtl_perception.student_node", "--ros-args", "-p", setting],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ROS_DOMAIN_ID": "0", "ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"},
    )
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert reason in run.stderr
