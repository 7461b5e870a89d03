"""Launch files: their arguments, their defaults, and what they do to the environment."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

import frames
import installed
import our_programs
import recordings
import tiny_student
from mtl_bags.compose import serialize, stamp_ns
from mtl_bags.messages import to_colour_image
from mtl_bags.records import COMPRESSED_IMAGE, IMAGE, Record
from mtl_bags.types import deserialize, standard_types
from mtl_perception import environment, topics
from mtl_perception.domain import own_domain
from mtl_perception.errors import PerceptionError
from mtl_perception.player import Station
from mtl_perception.resources import share_path
from peer import PATIENCE_S, Peer

FILES = sorted(installed.LAUNCH_FILES.glob("*.launch.py"))
MASK = f"{recordings.PREFIX}/segmentation/mask"
STAMPS = [recordings.stamp(number) for number in range(recordings.FRAMES)]
NOT_INSTALLED = "launch is not installed: it comes with a full ROS 2, not from pip"
EVALUATING = {"eval", "exec", "compile", "__import__", "PythonExpression", "Command"}
OF_SYSTEM = {"ament_index_python", "cv2", "launch", "launch_ros", "numpy", "yaml"}
"""What a Python that runs `ros2 launch` has: of itself, or as package.xml asks for."""

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


def needs(path: Path, seen: set[Path]) -> Iterator[str]:
    """Modules of others that a file of ours imports, and those of ours that it imports."""
    seen.add(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in found:
            package = installed.PACKAGE.with_name(name.partition(".")[0])
            if not package.is_dir():
                yield name
            source = package / name.replace(".", "/")
            for file in (source.with_suffix(".py"), source / "__init__.py"):
                if file.is_file() and file not in seen:
                    yield from needs(file, seen)


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


OWN = ["namespace", "model", "log_level", "enclave"]
NODE = [*OWN, "use_sim_time"]
ARGUMENTS = {
    "student": ["params_file", "cameras", "image_topic", "camera_info_topic", *NODE],
    "replay": [
        "bag",
        "colour_topic",
        "viewer",
        "rate",
        "loop",
        "lock_step",
        "params_file",
        *OWN,
    ],
    "teacher": ["params_file", "image_topic", "camera_info_topic", "depth_topic", *NODE],
    "nav2_semantic": [
        *("params_file", "cameras", "nav2", "nav2_params_file"),
        *("image_topic", "camera_info_topic"),
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
    for switch in arguments.keys() & {"use_sim_time", "loop", "lock_step"}:
        assert arguments[switch].choices == ["true", "false"]
    if "log_level" in arguments:
        assert "info" in arguments["log_level"].choices


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_can_be_told_from_the_text(name: str) -> None:
    found = loaded(name).generate_launch_description().get_launch_arguments()
    told = our_programs.launch_arguments("mtl_perception", f"{name}.launch.py")
    assert told.keys() == {argument.name for argument in found}
    for argument in found:  # choices that are computed cannot be told
        assert told[argument.name] in ((), tuple(argument.choices or ()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_systems_python_can_run_it(path: Path) -> None:
    """`ros2` is the system's: what only .venv has, a launch file must not import."""
    needed = {name.partition(".")[0] for name in needs(path, set())} - set(sys.stdlib_module_names)
    assert {"launch"} <= needed <= OF_SYSTEM


def test_each_launch_file_is_looked_at() -> None:
    assert {path.name.removesuffix(".launch.py") for path in FILES} == ARGUMENTS.keys()


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("student", "student"),
        ("teacher", "teacher"),
        ("replay", "student"),
        ("nav2_semantic", "student"),
    ],
)
def test_the_default_parameters_are_the_shipped_ones(name: str, node: str) -> None:
    module = loaded(name)
    from launch import LaunchContext

    (argument,) = (one for one in module.ARGUMENTS if one.name == "params_file")
    (default,) = argument.default_value
    assert Path(default.perform(LaunchContext())) == share_path("config", f"{node}.yaml")


ONE = {"cameras": "", "image_topic": "image", "camera_info_topic": ""}
TWO = {**ONE, "cameras": "front,left"}


@pytest.mark.parametrize(
    ("values", "images", "infos"),
    [
        (ONE, {"image": "image"}, {"camera_info": "camera_info"}),
        (
            {**ONE, "image_topic": "/cam/color/image_raw"},
            {"image": "/cam/color/image_raw"},
            {"camera_info": "/cam/color/camera_info"},
        ),
        (
            TWO,
            {"front/image": "front/image", "left/image": "left/image"},
            {"front/camera_info": "front/camera_info", "left/camera_info": "left/camera_info"},
        ),
        (
            {**TWO, "image_topic": "color/image_raw", "cameras": "[front, left]"},
            {"front/image": "front/color/image_raw", "left/image": "left/color/image_raw"},
            {
                "front/camera_info": "front/color/camera_info",
                "left/camera_info": "left/color/camera_info",
            },
        ),
        (
            {**TWO, "image_topic": "/front/image_raw,/rear_cam/rgb", "camera_info_topic": "info"},
            {"front/image": "/front/image_raw", "left/image": "/rear_cam/rgb"},
            {"front/camera_info": "front/info", "left/camera_info": "left/info"},
        ),
    ],
)
def test_each_camera_is_led_to_its_topics(
    values: dict[str, str], images: dict[str, str], infos: dict[str, str]
) -> None:
    pytest.importorskip("launch_ros", reason=NOT_INSTALLED)
    from mtl_perception.launching import camera_remappings

    compressed = {topics.compressed(name): topics.compressed(to) for name, to in images.items()}
    assert dict(camera_remappings(values)) == {**images, **compressed, **infos}


@pytest.mark.parametrize("topic", ["/image", "/a,/b,/c", "a,b,c"])
def test_a_topic_that_cameras_would_share_is_refused(topic: str) -> None:
    pytest.importorskip("launch_ros", reason=NOT_INSTALLED)
    from mtl_perception.launching import camera_remappings

    with pytest.raises(PerceptionError, match=f"one for each of front, left, got {topic}"):
        camera_remappings({**TWO, "image_topic": topic})


VIEWER_PROGRAMS = {
    "rviz": ("rviz2", "rviz2"),
    "foxglove": ("foxglove_bridge", "foxglove_bridge"),
    "rerun": ("mtl_perception", "mtl-view"),
}


def test_every_choice_of_a_viewer_is_looked_at() -> None:
    pytest.importorskip("launch_ros", reason=NOT_INSTALLED)
    from mtl_perception.viewers import VIEWERS

    assert VIEWERS.keys() == {"none", *VIEWER_PROGRAMS}


JPEGS = "/eye/jpeg"


def compressed_walk(path: Path) -> Path:
    """A recording of a camera whose compressed images have a name of their own."""

    def packed(one: Record) -> Record:
        message = deserialize(one)
        _, data = cv2.imencode(".jpg", to_colour_image(message).bgr())
        jpeg = standard_types().types[COMPRESSED_IMAGE](
            header=message.header, format="jpeg", data=data.reshape(-1)
        )
        return replace(one, topic=JPEGS, msgtype=COMPRESSED_IMAGE, data=serialize(jpeg))

    change = {
        recordings.COLOUR: packed,
        recordings.INFO: lambda one: replace(one, topic="/eye/camera_info"),
    }
    return recordings.write(
        path, (change[one.topic](one) for one in recordings.records() if one.topic in change)
    )


def viewer_words(folder: Path, viewer: str, bag: Path | None = None) -> tuple[list[str], str]:
    """How replay.launch.py starts a viewer, which ends at once, and what launch says."""
    bag = bag or recordings.write(folder / "walk", recordings.records())
    model = tiny_student.write(folder / "tiny.onnx")
    arguments = (f"bag:={bag}", f"model:={model}", f"viewer:={viewer}", "namespace:=front")
    said = folder / "said"
    with (
        own_domain() as domain,
        launching(
            folder,
            domain,
            "replay.launch.py",
            *arguments,
            shims={VIEWER_PROGRAMS[viewer]: said},
        ) as process,
    ):
        output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    return said.read_text().splitlines(), output


def test_rviz_is_led_to_the_recording_s_camera_and_the_student_s_outputs(tmp_path: Path) -> None:
    words, _ = viewer_words(tmp_path, "rviz")
    configuration = share_path("rviz", "student.rviz")
    assert words[:4] == ["-d", str(configuration), "-f", recordings.FRAME]
    rules = {after for word, after in pairwise(words) if word == "-r"}
    shown = yaml.safe_load(configuration.read_text())["Visualization Manager"]["Displays"]
    outputs = {one["Topic"]["Value"] for one in shown if "Topic" in one} - {f"/{topics.IMAGE}"}
    expected = {f"{topic}:=/front{topic}" for topic in outputs}
    assert rules >= expected | {f"/{topics.IMAGE}:={recordings.COLOUR}"}


def test_rerun_is_led_to_the_recording_s_camera_and_the_student_s_outputs(tmp_path: Path) -> None:
    words, _ = viewer_words(tmp_path, "rerun")
    assert words[:6] == [
        *("--image", recordings.COLOUR, "--transport", "raw", "--namespace", "/front")
    ]


def test_rerun_is_led_to_compressed_images_of_any_name(tmp_path: Path) -> None:
    words, _ = viewer_words(tmp_path, "rerun", compressed_walk(tmp_path / "jpegs"))
    assert words[:4] == ["--image", JPEGS, "--transport", "compressed"]


def test_rviz_is_led_to_compressed_images_of_any_name(tmp_path: Path) -> None:
    words, _ = viewer_words(tmp_path, "rviz", compressed_walk(tmp_path / "jpegs"))
    rules = {after for word, after in pairwise(words) if word == "-r"}
    assert f"/{topics.compressed(topics.IMAGE)}:={JPEGS}" in rules
    assert not any(rule.startswith(f"/{topics.IMAGE}:=") for rule in rules)


def test_compressed_images_of_any_name_are_replayed(tmp_path: Path) -> None:
    model = tiny_student.write(tmp_path / "tiny.onnx")
    bag = compressed_walk(tmp_path / "walk")
    arguments = (f"bag:={bag}", f"model:={model}", "lock_step:=true")
    with (
        own_domain() as domain,
        launching(tmp_path, domain, "replay.launch.py", *arguments) as process,
    ):
        output, _ = process.communicate(timeout=2 * PATIENCE_S)
    assert "nobody subscribed" not in output
    assert "no answer" not in output


def test_foxglove_s_layout_is_named(tmp_path: Path) -> None:
    _, said = viewer_words(tmp_path, "foxglove")
    assert f"import the layout {share_path('foxglove', 'student.json')}" in said


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
def launching(
    folder: Path, domain: int, *words: str, shims: Mapping[tuple[str, str], Path] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """`ros2 launch mtl_perception ...` in a domain of its own; see `installed.shim` for shims."""
    pytest.importorskip("ros2launch", reason="ros2launch is not installed: it comes with ROS 2")
    prefix = installed.make_prefix(folder / "prefix")
    for (package, name), said in (shims or {}).items():
        installed.shim(prefix, package, name, said)
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
        arguments = (f"model:={model}", "camera_info_topic:=info", "enclave:=/robot/eye")
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
    labelled = tmp_path / "out" / "walk"
    originals = (recordings.by_topic(one)[recordings.COLOUR] for one in (bag, labelled))
    assert next(originals) == next(originals)
    masks = recordings.decoded(labelled, MASK)
    assert [stamp_ns(mask.header) for mask in masks] == STAMPS
    for number, mask in enumerate(masks):
        assert set(mask.data) == {recordings.class_of(number)}


def test_ros2_launch_of_the_teacher_answers_a_player(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_student.write_teacher(tmp_path / "tiny-teacher.onnx")
    bag = recordings.write(tmp_path / "walk", recordings.records())
    arguments = (f"model:={model}", f"image_topic:={recordings.COLOUR}", "log_level:=warn")
    masks: dict[int, set[int]] = {}

    def note(record: Record, _: float) -> None:
        message = deserialize(record)
        masks[stamp_ns(message.header)] = set(message.data)

    with (
        own_domain() as domain,
        launching(tmp_path, domain, "teacher.launch.py", *arguments) as process,
    ):
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
        with Station("listener", {MASK: IMAGE}, note) as station:
            assert station.spin_until(lambda: station.answerers(MASK) > 0, PATIENCE_S)
            player = subprocess.Popen(
                [sys.executable, "-m", "mtl_perception.play", bag, "--lock-step", MASK]
            )
            assert station.spin_until(lambda: len(masks) == len(STAMPS), PATIENCE_S)
            assert player.wait(PATIENCE_S) == 0
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE_S)
    expected = {stamp: {recordings.class_of(n)} for n, stamp in enumerate(STAMPS)}
    assert masks == expected
    assert "process has finished cleanly" in said
    assert "Traceback" not in said


def test_ros2_launch_answers_each_of_two_cameras_below_its_name(tmp_path: Path) -> None:
    model = tiny_student.write(tmp_path / "tiny.onnx")
    arguments = (f"model:={model}", "cameras:=front,left", "image_topic:=color/image_raw")
    rules = [f"{topics.IMAGE}:=color/image_raw", f"{topics.CAMERA_INFO}:=color/camera_info"]
    with (
        own_domain() as domain,
        launching(tmp_path, domain, "student.launch.py", *arguments),
        ExitStack() as stack,
    ):
        peers = [Peer(domain, namespace=f"/{name}", remap=rules) for name in ("front", "left")]
        for turn, peer in enumerate(peers):
            stack.callback(peer.close)
            peer.camera = frames.camera_info(fx=(1 + turn) * tiny_student.CANONICAL_FX)
            peer.read(topics.MASK, topics.DEPTH)
            picture = frames.image(frames.rgb(left=3 + turn))
            peer.warm_up(picture)
            answer = peer.ask(picture)
            mask, _ = frames.halves(frames.pixels(answer[topics.MASK]))
            assert set(mask.flat) == {3 + turn}
            near, _ = frames.halves(frames.pixels(answer[topics.DEPTH]))
            np.testing.assert_allclose(
                near, tiny_student.metres(frames.NEAR, 1.0 + turn), rtol=1e-3
            )


def test_ros2_launch_answers_frames_and_ends_on_sigint(
    launched: tuple[int, subprocess.Popen[str]],
) -> None:
    domain, process = launched
    peer = Peer(domain, remap=["camera_info:=info"])
    peer.camera = frames.camera_info()
    peer.read(topics.MASK, topics.DEPTH_CAMERA_INFO)
    peer.warm_up(frames.image())
    assert set(peer.ask(frames.image())) == {topics.MASK, topics.DEPTH_CAMERA_INFO}
    nodes = peer.ros.get_node_names_and_namespaces_with_enclaves()
    assert ("student", "/", "/robot/eye") in nodes
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


@pytest.mark.parametrize("name", ["student", "nav2_semantic"])
@pytest.mark.parametrize(("cameras", "given"), [("", set()), ("front,left", {"front", "left"})])
def test_the_student_gets_the_cameras_that_are_named(
    name: str, cameras: str, given: set[str]
) -> None:
    module = loaded(name)
    from launch_ros.utilities import evaluate_parameters

    from launch import LaunchContext

    context = LaunchContext()
    for argument in module.ARGUMENTS:
        argument.execute(context)
    context.launch_configurations["cameras"] = cameras
    (node,) = module.student(context)
    parameters = evaluate_parameters(context, node._Node__parameters)
    (own,) = (dict(one) for one in parameters if isinstance(one, dict))
    assert set(own.get("cameras", ())) == given


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
