"""What `colcon build` installs, run as `ros2 run` does: from its own folder, in a bare environment.

Built as on a robot with a .venv over its ROS 2: colcon is the system's, the .venv is active.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import frames
import room_frame
from mtl_bags.synthetic import DEFAULT_INTRINSICS
from mtl_perception import topics
from mtl_perception.domain import own_domain
from peer import NodeProcess, Peer

pytestmark = pytest.mark.ros

ROOT = Path(__file__).parents[2]
BARE = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/tmp")}
SYSTEM = Path(sys.base_prefix, "bin", "python{}.{}".format(*sys.version_info))


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The install folder of a workspace."""
    if sys.prefix == sys.base_prefix:
        pytest.skip("these tests do not run in a virtual environment")
    folder = tmp_path_factory.mktemp("workspace")
    environ = os.environ | {
        "VIRTUAL_ENV": sys.prefix,
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "CMAKE_PREFIX_PATH": sys.prefix,
    }
    environ.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)
    command = [SYSTEM, "-m", "colcon", "--log-base", folder / "log", "build"]
    command += ["--base-paths", ROOT / "src", "--build-base", folder / "build"]
    command += ["--install-base", folder / "install"]
    built = subprocess.run(command, env=environ, text=True, capture_output=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "install"


def test_scripts_run_with_the_virtual_environment_that_was_active(install: Path) -> None:
    scripts = list(install.glob("mtl_*/lib/mtl_*/*"))
    assert len(scripts) >= 7
    for script in scripts:
        interpreter = script.read_text(encoding="utf-8").splitlines()[0].removeprefix("#!")
        assert Path(interpreter).parent == Path(sys.prefix, "bin"), script


@pytest.fixture
def node(install: Path, tmp_path: Path) -> Iterator[tuple[int, NodeProcess]]:
    """The installed student, its workspace sourced and nothing else."""
    run = f'. "{install}/setup.bash" && exec "{install}/mtl_perception/lib/mtl_perception/$0" "$@"'
    command = ("bash", "-c", run, "student_node")
    with (
        own_domain() as domain,
        NodeProcess(tmp_path / "log", domain, environ=BARE, command=command) as node,
    ):
        yield domain, node


def test_the_installed_node_labels_a_room(node: tuple[int, NodeProcess], install: Path) -> None:
    domain, process = node
    truth = room_frame.frame()
    peer = Peer(domain, process)
    try:
        camera = DEFAULT_INTRINSICS
        peer.camera = frames.camera_info(camera.width, camera.height, camera.fx)
        peer.read(topics.MASK, topics.DEPTH)
        picture = frames.image(truth.image)
        peer.warm_up(picture)
        answer = peer.ask(picture)
        model = peer.values["model"]
    finally:
        peer.close()
    mask = frames.pixels(answer[topics.MASK])
    assert room_frame.miou([(mask, truth.labels)]) >= room_frame.MIOU
    depth = frames.pixels(answer[topics.DEPTH])
    assert np.median(np.abs(depth - truth.depth) / truth.depth) < 0.25
    assert Path(model).is_relative_to(install)
    assert process.end() == 0
