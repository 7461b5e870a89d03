"""The messages of `vision_msgs`, which no wheel brings, built as in anybody's workspace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mtl_perception import environment

environment.prepare()  # names the ROS 2 that the package is built on

PACKAGE = "vision_msgs"
MESSAGES = {
    "LabelInfo": """\
std_msgs/Header header
vision_msgs/VisionClass[] class_map
float32 threshold
""",
    "VisionClass": """\
uint16 class_id
string class_name
""",
}

MANIFEST = f"""\
<?xml version="1.0"?>
<package format="3">
  <name>{PACKAGE}</name>
  <version>0.0.0</version>
  <description>The two messages that name the classes of a mask.</description>
  <maintainer email="maintainers@example.org">mtl_perception maintainers</maintainer>
  <license>Apache-2.0</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
  <depend>std_msgs</depend>
  <exec_depend>rosidl_default_runtime</exec_depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export>
    <build_type>ament_cmake</build_type>
  </export>
</package>
"""

# The wheels' targets name Python's and NumPy's headers where they lay when the wheels were built,
# and CMake refuses folders that do not exist. The generator adds those of this Python by itself.
BUILD = f"""\
cmake_minimum_required(VERSION 3.20)
project({PACKAGE})
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
find_package(std_msgs REQUIRED)
foreach(package builtin_interfaces std_msgs)
  set_target_properties(${{package}}::${{package}}__rosidl_generator_py
    PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "")
endforeach()
rosidl_generate_interfaces({PACKAGE} {" ".join(f"msg/{name}.msg" for name in MESSAGES)}
  DEPENDENCIES std_msgs)
ament_package()
"""

FILES = {
    "package.xml": MANIFEST,
    "CMakeLists.txt": BUILD,
    **{f"msg/{name}.msg": text for name, text in MESSAGES.items()},
}

NOT_OURS = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL")
"""How the make that started the tests was called; the one that builds would obey."""

SOURCED = """. "$0" && exec "$1" -c 'import json, os; print(json.dumps(dict(os.environ)))'"""


@dataclass(frozen=True)
class Overlay:
    """An installed workspace.

    Attributes:
        prefix: Where the package is installed.
        environ: What a process needs to find it, as the workspace's own script sets it.
    """

    prefix: Path
    environ: Mapping[str, str]

    def type_hash(self, name: str) -> str:
        """What the generators say a message's definition comes to."""
        path = self.prefix / "share" / PACKAGE / "msg" / f"{name}.json"
        hashes = json.loads(path.read_text())["type_hashes"]
        return str(next(h["hash_string"] for h in hashes if h["type_name"] == full_name(name)))


def full_name(name: str) -> str:
    return f"{PACKAGE}/msg/{name}"


def missing_tools() -> list[str]:
    """Commands that the build needs and that are not there."""
    wanted = ("cmake", "make", os.environ.get("CC", "cc"), os.environ.get("CXX", "c++"))
    return [name for name in wanted if not shutil.which(name, path=search_path())]


def search_path() -> str:
    """Where commands are looked for: beside this Python first, where pip puts CMake."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))


def build(folder: Path) -> Overlay:
    """Builds the package in a workspace of its own below a folder.

    Raises:
        RuntimeError: It cannot be built; says what colcon said.
    """
    for name, text in FILES.items():
        path = folder / "src" / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    command = (
        *(sys.executable, "-m", "colcon", "build", "--event-handlers", "console_direct+"),
        *("--cmake-args", f"-DPython3_EXECUTABLE={sys.executable}"),
    )
    done = subprocess.run(
        command,
        cwd=folder,
        env=build_environ(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{PACKAGE} cannot be built:\n{done.stdout}")
    return Overlay(folder / "install" / PACKAGE, sourced(folder / "install" / "local_setup.sh"))


def build_environ() -> dict[str, str]:
    """This process's environment, with the installed ROS 2 as an underlay for CMake."""
    environ = {name: text for name, text in os.environ.items() if name not in NOT_OURS}
    return {**environ, "PATH": search_path(), "CMAKE_PREFIX_PATH": environ["AMENT_PREFIX_PATH"]}


def sourced(script: Path) -> dict[str, str]:
    """This process's environment after a workspace's script has been sourced."""
    command = ("sh", "-c", SOURCED, str(script), sys.executable)
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))
