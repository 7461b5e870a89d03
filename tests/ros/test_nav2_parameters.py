"""ROS's own reader of parameter files takes what `config/nav2/` holds, types and all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

import peer  # noqa: F401 - prepares the environment before rclpy is imported
from mtl_perception.resources import share_path

import rclpy  # isort: skip

pytestmark = pytest.mark.ros

SHIPPED = share_path("config", "nav2", "nav2_params.yaml")


def flat(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Names as ROS has them."""
    found: dict[str, Any] = {}
    for name, value in parameters.items():
        nested = isinstance(value, Mapping)
        found.update(flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value})
    return found


def nodes() -> list[tuple[str, str, dict[str, Any]]]:
    """Namespace, name and parameters of each node in the file."""
    found = []
    for first, inside in yaml.safe_load(SHIPPED.read_text(encoding="utf-8")).items():
        namespace, name = ("/", first) if "ros__parameters" in inside else (f"/{first}", first)
        parameters = inside if namespace == "/" else inside[name]
        found.append((namespace, name, flat(parameters["ros__parameters"])))
    return found


@pytest.mark.parametrize(
    ("namespace", "name", "expected"), nodes(), ids=lambda value: str(value)[:30]
)
def test_a_node_of_that_name_gets_these_parameters(
    namespace: str, name: str, expected: dict[str, Any]
) -> None:
    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        node = rclpy.create_node(
            name,
            namespace=namespace,
            context=context,
            cli_args=["--ros-args", "--params-file", str(SHIPPED)],
            automatically_declare_parameters_from_overrides=True,
            enable_rosout=False,
        )
        got = {key: node.get_parameter(key).value for key in expected}
        node.destroy_node()
    finally:
        context.try_shutdown()
    assert {key: list(v) if isinstance(v, tuple) else v for key, v in got.items()} == expected
    assert {key: type(v) for key, v in got.items()} == {key: type(v) for key, v in expected.items()}
