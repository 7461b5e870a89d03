"""Launch files: their arguments, their defaults, and what they do to the environment."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import frames
import installed
import tiny_student
from mtl_perception import environment, topics
from mtl_perception.domain import own_domain
from mtl_perception.resources import share_path
from peer import PATIENCE_S, Peer

FILES = sorted(installed.LAUNCH_FILES.glob("*.launch.py"))
NOT_INSTALLED = "launch is not installed: it comes with a full ROS 2, not from pip"
EVALUATING = {"eval", "exec", "compile", "__import__", "PythonExpression", "Command"}
RUNNING = {"ExecuteProcess", "subprocess", "system", "popen", "pip"}


def names(path: Path) -> set[str]:
    """List all names, attributes and imported modules in a Python file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update(alias.name for alias in node.names)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_is_evaluated_or_run_inside_a_launch_file(path: Path) -> None:
    assert not names(path) & (EVALUATING | RUNNING)


@pytest.fixture
def student() -> ModuleType:
    """The launch file as a module."""
    pytest.importorskip("launch_ros", reason=NOT_INSTALLED)
    from launch.launch_description_sources.python_launch_file_utilities import (
        load_python_launch_file_as_module,
    )

    return load_python_launch_file_as_module(str(installed.LAUNCH_FILES / "student.launch.py"))


def test_every_argument_is_described_and_has_a_default(student: ModuleType) -> None:
    arguments = {a.name: a for a in student.generate_launch_description().get_launch_arguments()}
    assert list(arguments) == [
        "params_file",
        "image_topic",
        "camera_info_topic",
        "namespace",
        "model",
        "use_sim_time",
        "log_level",
    ]
    for argument in arguments.values():
        assert len(argument.description) > 20
        assert argument.default_value is not None
    assert arguments["use_sim_time"].choices == ["true", "false"]
    assert "info" in arguments["log_level"].choices


def test_the_default_parameters_are_the_shipped_ones(student: ModuleType) -> None:
    from launch import LaunchContext

    (first, *_) = student.ARGUMENTS
    (default,) = first.default_value
    assert Path(default.perform(LaunchContext())) == share_path("config", "student.yaml")


def variables(student: ModuleType) -> dict[str, str]:
    """What the launch file adds to the environment."""
    from launch import LaunchContext

    context = LaunchContext()
    return {
        "".join(part.perform(context) for part in action.name): "".join(
            part.perform(context) for part in action.value
        )
        for action in student.transport(context)
    }


def test_the_camera_profile_is_named_unless_the_user_named_one(
    student: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in environment.TRANSPORT_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert any(name in environment.TRANSPORT_VARIABLES for name in variables(student))
    monkeypatch.setenv("FASTDDS_BUILTIN_TRANSPORTS", "UDPv4")
    assert variables(student) == {}


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[tuple[int, Any]]:
    """`ros2 launch` of the student in a domain of its own."""
    pytest.importorskip("ros2launch", reason="ros2launch is not installed: it comes with ROS 2")
    prefix = installed.make_prefix(tmp_path / "prefix")
    model = tiny_student.write(tmp_path / "tiny.onnx")
    path = os.pathsep.join([str(prefix), os.environ["AMENT_PREFIX_PATH"]])
    with own_domain() as domain:
        ros2 = Path(sys.executable).with_name("ros2")
        arguments = (f"model:={model}", "camera_info_topic:=info")
        process = subprocess.Popen(
            [ros2, "launch", "mtl_perception", "student.launch.py", *arguments],
            env={**os.environ, "AMENT_PREFIX_PATH": path, "ROS_DOMAIN_ID": str(domain)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        yield domain, process
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)


def test_ros2_launch_answers_frames_and_ends_on_sigint(launched: tuple[int, Any]) -> None:
    domain, process = launched
    peer = Peer(domain, remap=["camera_info:=info"])
    peer.camera = frames.camera_info()
    peer.read(topics.MASK, topics.DEPTH_CAMERA_INFO)
    peer.warm_up(frames.image())
    assert set(peer.ask(frames.image())) == {topics.MASK, topics.DEPTH_CAMERA_INFO}
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE_S)
    peer.wait(lambda: not peer.ros.count_publishers(topics.MASK), "node gone")
    peer.close()
    assert process.returncode == 0
    assert "process has finished cleanly" in said
    assert "Traceback" not in said
