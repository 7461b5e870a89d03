"""Rules that hold for the repository as a whole."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from catkin_pkg.package import parse_package

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(path.parent.name for path in ROOT.glob("src/*/package.xml"))
ROS_MODULE = re.compile(r"rclpy|launch(_\w+)?|ament_index_python|\w+_(msgs|srvs|interfaces)")
INDEX_HOST = re.compile(r"\b(pypi|pythonhosted|npmjs|anaconda)\.(org|com)|--(extra-)?index-url")


def text(path: str | Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, text=True, capture_output=True, check=False)


def stated(pattern: str, path: str) -> str:
    found = re.search(pattern, text(path), re.MULTILINE)
    return found[1] if found else f"no version in {path}"


def test_one_version_everywhere() -> None:
    versions = {
        "training": tomllib.loads(text("training/pyproject.toml"))["project"]["version"],
        "CHANGELOG.md": stated(r"^## \[?([0-9]+\.[0-9]+\.[0-9]+)", "CHANGELOG.md"),
    }
    for name in PACKAGES:
        for pattern, file in (
            (r"<version>(.+)</version>", "package.xml"),
            (r'version="(.+)"', "setup.py"),
        ):
            versions[f"{name}/{file}"] = stated(pattern, f"src/{name}/{file}")
    for path in ROOT.glob("*/**/mtl_*/__init__.py"):
        if "__version__" in path.read_text(encoding="utf-8"):
            name = str(path.relative_to(ROOT))
            versions[name] = stated(r'^__version__ = "(.+)"', name)
    assert len(set(versions.values())) == 1, versions


def test_colcon_takes_every_package_for_an_ament_package() -> None:
    listed = run(sys.executable, "-m", "colcon", "list")
    assert listed.returncode == 0, listed.stderr
    rows = [line.split("\t") for line in listed.stdout.splitlines()]
    assert rows == [[name, f"src/{name}", "(ros.ament_python)"] for name in PACKAGES]


def test_colcon_meta_names_every_package() -> None:
    assert sorted(json.loads(text("colcon.meta"))["names"]) == PACKAGES


def imported_modules(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


@pytest.mark.parametrize("name", PACKAGES)
def test_package_description_names_every_ros_package_that_is_imported(name: str) -> None:
    description = ElementTree.parse(ROOT / "src" / name / "package.xml")
    declared = {element.text for element in description.iter("exec_depend")}
    folders = [ROOT / "src" / name / part for part in (name, "launch")]
    imported = {module for folder in folders for module in imported_modules(folder)}
    ours = imported & (set(PACKAGES) - {name})
    assert {module for module in imported if ROS_MODULE.fullmatch(module)} | ours <= declared


DISTRIBUTIONS = ("humble", "jazzy", "kilted", "lyrical")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what catkin_pkg parses with
@pytest.mark.parametrize("name", PACKAGES)
def test_package_description_is_valid_for_each_distribution(name: str) -> None:
    for distribution in DISTRIBUTIONS:
        description = parse_package(ROOT / "src" / name / "package.xml")
        description.evaluate_conditions({"ROS_DISTRO": distribution})
        asked = [one for one in description.exec_depends if one.evaluated_condition]
        assert (distribution == "humble" and name == "mtl_bags") == (
            "rosbag2_storage_mcap" in {one.name for one in asked}
        )


def test_what_is_imported_from_source_is_pinned() -> None:
    files = sorted(ROOT.glob("*.repos"))
    assert [path.name for path in files] == [
        "ros2_ws.humble.repos",
        "ros2_ws.lyrical.repos",
        "ros2_ws.repos",
    ]
    found = {path: yaml.safe_load(path.read_text())["repositories"] for path in files}
    for repositories in found.values():
        for one in repositories.values():
            assert one["type"] == "git"
            assert one["url"].startswith("https://github.com/")
            assert re.fullmatch(r"[0-9a-f]{40}|[0-9]+\.[0-9]+\.[0-9]+", one["version"])
    layers = [one["semantic_segmentation_layer"] for one in found.values()]
    assert len({one["url"] for one in layers}) == 1
    assert len({one["version"] for one in layers}) == 3


def test_python_of_humble_reads_what_a_robot_runs() -> None:
    paths = sorted(ROOT.glob("src/**/*.py"))
    assert len(paths) > 100
    for path in paths:
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 10))


def requirements(path: str) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in text(path).splitlines())
    return [line for line in lines if line]


def distribution(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def test_whatever_is_asked_for_has_one_version() -> None:
    pins = requirements("constraints/versions.txt")
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", pin) for pin in pins)
    names = [distribution(pin) for pin in pins]
    assert len(set(names)) == len(names)
    training = tomllib.loads(text("training/pyproject.toml"))["project"]["dependencies"]
    asked = {distribution(line) for line in training} - {"mtl-core"}
    for file in ("runtime", "onnxruntime", "dev", "interfaces"):
        asked |= {distribution(line) for line in requirements(f"constraints/{file}.txt")}
    assert asked <= set(names)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all packages side by side, with the contracts that import-linter holds."""
    folder = tmp_path_factory.mktemp("sources")
    for package in (*(f"src/{name}/{name}" for name in PACKAGES), "training/mtl_training"):
        shutil.copytree(
            ROOT / package,
            folder / Path(package).name,
            ignore=shutil.ignore_patterns("__pycache__"),  # others may write there
        )
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("mtl_core", "mtl_bags"),
        ("mtl_core", "rosbags"),
        ("mtl_bags", "mtl_perception"),
        ("mtl_bags", "rclpy"),
        ("mtl_perception", "torch"),
        ("mtl_training", "mtl_bags"),
    ],
)
def test_an_import_against_the_arrows_is_caught(
    sources: Path, importer: str, imported: str
) -> None:
    intruder = sources / importer / "intruder.py"
    intruder.write_text(f"import {imported}\n", encoding="utf-8")
    try:
        lint = run(Path(sys.executable).with_name("lint-imports"), "--no-cache", cwd=sources)
    finally:
        intruder.unlink()
    assert lint.returncode == 1
    assert f"{importer}.intruder -> {imported}" in lint.stdout


def test_no_file_names_a_package_index() -> None:
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    suspects = [path for path in paths if path.is_file() and path != Path(__file__)]
    assert not [path for path in suspects if INDEX_HOST.search(path.read_text(errors="ignore"))]
