"""What is prepared for rclpy, and that the user's own choice stands."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from mtl_perception.environment import (
    OLD_PROFILE_VARIABLE,
    PROFILE_VARIABLE,
    TRANSPORT_VARIABLES,
    camera_profile,
    prepare,
)
from mtl_perception.errors import PerceptionError
from mtl_perception.resources import share_path


def prepared(**environ: str) -> dict[str, str]:
    prepare(environ)
    return environ


def test_without_ros_the_prefix_is_that_of_this_python() -> None:
    assert prepared()["AMENT_PREFIX_PATH"] == sys.prefix


def test_a_sourced_ros_stays_as_it_is() -> None:
    assert prepared(AMENT_PREFIX_PATH="/opt/ros/jazzy")["AMENT_PREFIX_PATH"] == "/opt/ros/jazzy"


@pytest.mark.parametrize(
    ("distribution", "variable"),
    [
        ("", PROFILE_VARIABLE),
        ("humble", OLD_PROFILE_VARIABLE),
        ("jazzy", OLD_PROFILE_VARIABLE),
        ("kilted", PROFILE_VARIABLE),
    ],
)
def test_the_profile_is_named_once_where_the_distribution_looks(
    distribution: str, variable: str
) -> None:
    environ = prepared(ROS_DISTRO=distribution)
    assert [name for name in TRANSPORT_VARIABLES if name in environ] == [variable]
    assert Path(environ[variable]).is_file()


@pytest.mark.parametrize("variable", TRANSPORT_VARIABLES)
def test_a_transport_that_the_user_chose_is_kept(variable: str) -> None:
    environ = prepared(**{variable: "mine"})
    assert {name: environ[name] for name in TRANSPORT_VARIABLES if name in environ} == {
        variable: "mine"
    }


MIB = 2**20


@pytest.mark.parametrize(
    ("available", "segment"), [(1024 * MIB, 64 * MIB), (255 * MIB, 16 * MIB), (64 * MIB, 16 * MIB)]
)
def test_the_profile_fits_the_machine_and_holds_uncompressed_camera_images(
    available: int, segment: int
) -> None:
    root = ET.parse(camera_profile(available)).getroot()
    tag = "{http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles}"
    found = {element.tag.removeprefix(tag): element.text for element in root.iter()}
    full_hd = 1920 * 1080 * 3
    assert int(found["segment_size"] or 0) == segment
    assert full_hd <= int(found["maxMessageSize"] or 0) <= segment // 2
    assert found["useBuiltinTransports"] == "false"


def test_a_resource_that_is_not_there_is_named_with_the_places() -> None:
    with pytest.raises(PerceptionError, match=r"config/none.xml not found; looked at /"):
        share_path("config", "none.xml")


def test_an_installed_package_is_found_by_its_prefix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = tmp_path / "share" / "mtl_perception"
    share.mkdir(parents=True)
    (share / "package.xml").touch()
    (share / "only_here").touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path}")
    assert share_path("only_here") == share / "only_here"
