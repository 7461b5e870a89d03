"""Launch files: their arguments, their defaults, and what they do to the environment."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import frames
import installed
import recordings
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


def loaded(name: str) -> ModuleType:
    """A launch file as a module."""
    pytest.importorskip("launch_ros", reason=NOT_INSTALLED)
    from launch.launch_description_sources.python_launch_file_utilities import (
        load_python_launch_file_as_module,
    )

    return load_python_launch_file_as_module(str(installed.LAUNCH_FILES / f"{name}.launch.py"))


@pytest.fixture
def student() -> ModuleType:
    return loaded("student")


NODE = ["namespace", "model", "use_sim_time", "log_level"]
ARGUMENTS = {
    "student": ["params_file", "image_topic", "camera_info_topic", *NODE],
    "teacher": ["params_file", "image_topic", "camera_info_topic", "depth_topic", *NODE],
    "nav2_semantic": [
        *("params_file", "nav2", "nav2_params_file", "image_topic", "camera_info_topic"),
        *NODE,
    ],
    "label_bag": ["bag", "out", "model", "colour_topic", "depth_topic"],
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_argument_is_described(name: str) -> None:
    found = loaded(name).generate_launch_description().get_launch_arguments()
    arguments = {argument.name: argument for argument in found}
    assert list(arguments) == ARGUMENTS[name]
    for argument in arguments.values():
        assert len(argument.description) > 20
        needed = argument.name in ("bag", "out")
        assert (argument.default_value is None) == needed
    if "use_sim_time" in arguments:
        assert arguments["use_sim_time"].choices == ["true", "false"]
        assert "info" in arguments["log_level"].choices


def test_each_launch_file_is_looked_at() -> None:
    assert {path.name.removesuffix(".launch.py") for path in FILES} == ARGUMENTS.keys()


@pytest.mark.parametrize("name", ["student", "teacher"])
def test_the_default_parameters_are_the_shipped_ones(name: str) -> None:
    module = loaded(name)
    from launch import LaunchContext

    (first, *_) = module.ARGUMENTS
    (default,) = first.default_value
    assert Path(default.perform(LaunchContext())) == share_path("config", f"{name}.yaml")


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


@contextmanager
def launching(folder: Path, domain: int, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`ros2 launch mtl_perception ...` in a domain of its own."""
    pytest.importorskip("ros2launch", reason="ros2launch is not installed: it comes with ROS 2")
    prefix = installed.make_prefix(folder / "prefix")
    path = os.pathsep.join([str(prefix), os.environ["AMENT_PREFIX_PATH"]])
    process = subprocess.Popen(
        [Path(sys.executable).with_name("ros2"), "launch", "mtl_perception", *words],
        env={**os.environ, "AMENT_PREFIX_PATH": path, "ROS_DOMAIN_ID": str(domain)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """`ros2 launch` of the student."""
    model = tiny_student.write(tmp_path / "tiny.onnx")
    with own_domain() as domain:
        arguments = (f"model:={model}", "camera_info_topic:=info")
        with launching(tmp_path, domain, "student.launch.py", *arguments) as process:
            yield domain, process


def test_ros2_launch_labels_a_recording(tmp_path: Path) -> None:
    model = tiny_student.write_teacher(tmp_path / "tiny-teacher.onnx")
    bag = recordings.write(tmp_path / "walk", recordings.records())
    arguments = (f"bag:={bag}", f"out:={tmp_path / 'out'}", f"model:={model}", "depth_topic:=none")
    with (
        own_domain() as domain,
        launching(tmp_path, domain, "label_bag.launch.py", *arguments) as process,
    ):
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    assert "12 of 12 images labelled" in said
    assert "depth none" in said
    assert (tmp_path / "out" / "walk" / "metadata.yaml").is_file()


def test_ros2_launch_of_the_teacher_answers_a_player(tmp_path: Path) -> None:
    model = tiny_student.write_teacher(tmp_path / "tiny-teacher.onnx")
    bag = recordings.write(tmp_path / "walk", recordings.records())
    arguments = (f"model:={model}", f"image_topic:={recordings.COLOUR}", "log_level:=warn")
    mask = f"{recordings.PREFIX}/segmentation/mask"
    with (
        own_domain() as domain,
        launching(tmp_path, domain, "teacher.launch.py", *arguments) as process,
    ):
        played = subprocess.run(
            [sys.executable, "-m", "mtl_perception.play", bag, "--lock-step", mask],
            env={**os.environ, "ROS_DOMAIN_ID": str(domain)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert played.returncode == 0, played.stderr
        assert "no answer" not in played.stdout
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert "process has finished cleanly" in said
    assert "Traceback" not in said


def test_ros2_launch_answers_frames_and_ends_on_sigint(
    launched: tuple[int, subprocess.Popen[str]],
) -> None:
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


NAV2 = yaml.safe_load(share_path("config", "nav2", "nav2_params.yaml").read_text(encoding="utf-8"))
"""Parameters by node."""


def started(nav2: str) -> list[Any]:
    """What of Nav2 the launch file would start."""
    module = loaded("nav2_semantic")
    from launch import LaunchContext

    context = LaunchContext()
    for argument in module.ARGUMENTS:
        argument.execute(context)
    context.launch_configurations["nav2"] = nav2
    return list(module.nav2(context))


def full_name(node: Any) -> str:
    return "/".join(part for part in (named(node, "namespace"), named(node, "name")) if part)


def named(node: Any, what: str) -> str:
    """What the launch file calls a node; launch keeps it to itself."""
    value = getattr(node, f"_Node__node_{what}")
    return "".join(part.text for part in value) if isinstance(value, list) else str(value or "")


def test_nothing_of_nav2_is_started_when_it_is_not_asked_for() -> None:
    assert started("none") == []


@pytest.mark.parametrize(("nav2", "manager"), [("costmap", 0.0), ("navigation", 4.0)])
def test_the_manager_manages_exactly_what_is_started_beside_it(nav2: str, manager: float) -> None:
    *managed, last = started(nav2)
    parameters = NAV2[full_name(last)]["ros__parameters"]
    assert parameters["node_names"] == [full_name(node) for node in managed]
    assert parameters["bond_timeout"] == manager
    assert parameters["autostart"] is True
    assert {node.node_package for node in managed} == {
        "costmap": {"nav2_costmap_2d"},
        "navigation": {"nav2_controller", "nav2_planner", "nav2_behaviors", "nav2_bt_navigator"},
    }[nav2]


@pytest.mark.parametrize("nav2", ["costmap", "navigation"])
def test_every_node_of_nav2_has_parameters_in_the_file(nav2: str) -> None:
    for node in started(nav2):
        inside = NAV2
        for part in full_name(node).split("/"):
            inside = inside[part]
        assert inside["ros__parameters"]
    costmaps = {"local_costmap", "global_costmap"}
    used = {
        full_name(node).split("/")[0]
        for name in ("costmap", "navigation")
        for node in started(name)
    }
    assert NAV2.keys() == used | costmaps


def test_an_installation_without_nav2_gets_the_student_alone(tmp_path: Path) -> None:
    """With `ros2 launch`: frames of the named topic are answered with all that the layer reads."""
    model = tiny_student.write(tmp_path / "tiny.onnx")
    words = (f"model:={model}", "image_topic:=/eye/image_raw", "nav2:=none", "log_level:=warn")
    remap = [f"{topics.IMAGE}:=/eye/image_raw", f"{topics.CAMERA_INFO}:=/eye/camera_info"]
    with own_domain() as domain, launching(tmp_path, domain, "nav2_semantic.launch.py", *words):
        peer = Peer(domain, remap=remap)
        try:
            peer.camera = frames.camera_info()
            peer.read(topics.MASK, topics.CONFIDENCE, topics.POINTS)
            peer.warm_up(frames.image())
            answer = peer.ask(frames.image())
        finally:
            peer.close()
    left, _ = frames.halves(frames.pixels(answer[topics.MASK]))
    assert set(left.flat) == {frames.LEFT}
    assert answer[topics.POINTS].width == answer[topics.MASK].width
