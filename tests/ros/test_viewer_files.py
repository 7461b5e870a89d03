"""RViz's and Foxglove's files name topics that the student has, as what they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image, PointCloud2

import peer  # noqa: F401 - prepares the environment before rclpy is imported
from mtl_core.labels import LabelMap
from mtl_perception import topics
from mtl_perception.health import Health
from mtl_perception.outputs import OUTPUTS
from mtl_perception.resources import share_path

TYPES = {
    **{f"/{topic}": kind for topic, (kind, _) in OUTPUTS.items()},
    f"/{topics.IMAGE}": Image,
    topics.DIAGNOSTICS: DiagnosticArray,
}
"""What the student reads and writes in the root namespace."""

DISPLAYS = {
    "rviz_default_plugins/Image": Image,
    "rviz_default_plugins/PointCloud2": PointCloud2,
}


@pytest.fixture(scope="module")
def rviz() -> dict[str, Any]:
    text = share_path("rviz", "student.rviz").read_text(encoding="utf-8")
    return yaml.safe_load(text)["Visualization Manager"]


@pytest.fixture(scope="module")
def foxglove() -> dict[str, Any]:
    return json.loads(share_path("foxglove", "student.json").read_text(encoding="utf-8"))


def displays(rviz: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in rviz["Displays"] if "Topic" in one]


def test_rviz_shows_topics_of_the_student_as_what_they_are(rviz: dict[str, Any]) -> None:
    shown = {display["Topic"]["Value"]: display for display in displays(rviz)}
    expected = (topics.IMAGE, topics.OVERLAY, topics.DEPTH, topics.POINTS)
    assert shown.keys() == {f"/{topic}" for topic in expected}
    for name, display in shown.items():
        assert DISPLAYS[display["Class"]] is TYPES[name]


def test_rviz_asks_for_what_is_offered(rviz: dict[str, Any]) -> None:
    for display in displays(rviz):
        topic = display["Topic"]
        best_effort = topic["Value"] == f"/{topics.IMAGE}"  # as cameras offer it
        expected = "Best Effort" if best_effort else "Reliable"
        assert topic["Reliability Policy"] == expected
        assert topic["Durability Policy"] == "Volatile"


def test_rviz_colours_points_by_a_field_that_they_have(rviz: dict[str, Any]) -> None:
    from mtl_perception.cloud import FIELDS

    clouds = [one for one in displays(rviz) if one["Class"].endswith("PointCloud2")]
    (by_class,) = (one for one in clouds if one["Color Transformer"] == "Intensity")
    assert by_class["Channel Name"] in {field.name for field in FIELDS}
    assert by_class["Max Intensity"] == len(LabelMap.load("nyu13")) - 1


def named_topics(layout: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each panel's kind and a topic that it shows."""
    for name, panel in layout["configById"].items():
        kind = name.partition("!")[0]
        if topic := panel.get("imageMode", {}).get("imageTopic"):
            yield kind, topic
        for topic in panel.get("topics", ()):
            yield kind, topic
        if topic := panel.get("topicToRender"):
            yield kind, topic
        for path in panel.get("paths", ()):
            yield kind, path["value"].partition(".")[0]


def test_foxglove_shows_topics_of_the_student_as_what_they_are(foxglove: dict[str, Any]) -> None:
    expected = {
        "Image": Image,
        "3D": PointCloud2,
        "DiagnosticSummary": DiagnosticArray,
        "Plot": DiagnosticArray,
    }
    found = list(named_topics(foxglove))
    assert {kind for kind, _ in found} == expected.keys()
    for kind, topic in found:
        assert TYPES[topic] is expected[kind], topic


def test_foxglove_plots_values_that_diagnostics_have(foxglove: dict[str, Any]) -> None:
    status = Health().status("/student", "frames", "active", {})
    keys = {value.key for value in status.values}
    paths = [path["value"] for path in foxglove["configById"]["Plot!rates"]["paths"]]
    for path in paths:
        assert re.findall(r'name=="([^"]+)"', path) == [status.name]
        assert set(re.findall(r'key=="([^"]+)"', path)) <= keys
    assert len(paths) == 2


def leaves(layout: str | dict[str, Any]) -> Iterator[str]:
    if isinstance(layout, str):
        yield layout
    else:
        yield from leaves(layout["first"])
        yield from leaves(layout["second"])


def test_foxglove_lays_out_each_panel_once(foxglove: dict[str, Any]) -> None:
    assert sorted(leaves(foxglove["layout"])) == sorted(foxglove["configById"])
