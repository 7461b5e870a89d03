"""What the Dockerfile says, and what runs while an image is built; no Docker is needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy_files import DOCKER, HOME, ROOT, arguments, instructions, stages

FINAL = ("node", "camera", "training")
"""Stages that somebody runs; the others are what they stand on."""

KINDS = ("cpu", "cuda", "jetson")


def beside(name: str) -> str:
    """A tool that pip put beside this Python."""
    return str(Path(sys.executable).with_name(name))


@pytest.mark.parametrize(
    ("command", "bad"),
    [
        (["hadolint", "-"], "FROM ubuntu\nRUN cd /tmp\n"),
        (["shellcheck", "-"], "#!/bin/sh\nrm $1\n"),
    ],
)
def test_what_lints_the_container_files_finds_faults(command: list[str], bad: str) -> None:
    run = subprocess.run(
        [beside(command[0]), *command[1:]], input=bad, text=True, capture_output=True, check=False
    )
    assert run.returncode == 1
    assert run.stdout


def test_container_files_have_no_such_faults() -> None:
    subprocess.run([beside("hadolint"), str(DOCKER / "Dockerfile")], check=True)
    scripts = sorted(map(str, DOCKER.glob("*.sh")))
    assert len(scripts) == 2
    subprocess.run([beside("shellcheck"), *scripts], check=True)


def test_every_base_is_a_stage_or_an_image_with_a_version() -> None:
    found = stages()
    for name, stage in found.items():
        tag = stage.base.rpartition(":")[2]
        assert stage.base in found or (tag != stage.base and tag != "latest"), name
    copied = [text for _, text in instructions() if "--from=" in text]
    assert copied
    for text in copied:
        assert text.split("--from=")[1].split()[0] in found


def test_there_is_a_base_for_each_kind_of_node() -> None:
    assert {name for name in stages() if name.startswith("base-")} == {f"base-{k}" for k in KINDS}
    assert stages()["node"].base == "base-cpu"


@pytest.mark.parametrize("name", FINAL)
def test_nothing_runs_as_root(name: str) -> None:
    user = stages()[name].last("USER")
    install = (DOCKER / "install.sh").read_text(encoding="utf-8")
    assert user == "1000:1000"
    assert f"uid={user.partition(':')[0]}\n" in install


@pytest.mark.parametrize("name", ["node", "training"])
def test_whatever_runs_goes_through_the_entry_point(name: str) -> None:
    (entry,) = json.loads(stages()[name].last("ENTRYPOINT"))
    assert entry == f"{HOME}/docker/entrypoint.sh"
    assert stages()[name].last("WORKDIR") == HOME
    assert os.access(ROOT / Path(entry).relative_to(HOME), os.X_OK)


def test_the_health_check_waits_longer_than_it_needs() -> None:
    from mtl_perception.healthcheck import PATIENCE_S

    options, _, command = stages()["node"].last("HEALTHCHECK").partition(" CMD ")
    said = dict(option.removeprefix("--").split("=") for option in options.split())
    assert json.loads(command) == [f"{HOME}/docker/entrypoint.sh", "mtl-health"]
    assert float(said["timeout"].removesuffix("s")) >= PATIENCE_S + 5
    assert float(said["interval"].removesuffix("s")) > float(said["timeout"].removesuffix("s"))


def context(stage: str, folder: Path) -> Path:
    """What a stage copies of the repository, laid out as in the image; what git leaves out too."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    known = [name for name in listed.stdout.split("\0") if name]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for text in stages()[stage].all("COPY"):
        *sources, target = (word for word in text.split() if not word.startswith("--"))
        assert target == "./" or sources == [target]
        for source in sources:
            assert f"!{source}" in ignored
            for name in known:
                if name == source or name.startswith(f"{source}/"):
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.parametrize(
    ("stage", "environ", "expected"),
    [
        ("node", {"ROS_DISTRO": "jazzy"}, ("constraints/onnxruntime.txt", "constraints/sourced")),
        ("node", {"ROS_DISTRO": "jazzy", "GPU": "1"}, ("constraints/onnxruntime-gpu.txt",)),
        ("training", {}, ("--editable training", "constraints/runtime.txt")),
    ],
)
def test_what_an_image_copies_is_what_its_making_needs(
    stage: str, environ: dict[str, str], expected: tuple[str, ...], tmp_path: Path
) -> None:
    """Make says what it would do; it stops where a file is missing, or a target."""
    entry, *command = json.loads(stages()[stage].all("RUN")[-1])
    assert (entry, command[0]) == ("docker/entrypoint.sh", "make")
    kept = {key: os.environ[key] for key in ("PATH", "HOME")}
    if environ:  # as where a setup.bash was sourced
        environ = {**environ, "AMENT_PREFIX_PATH": "/opt/ros/jazzy"}
    run = subprocess.run(
        [entry, *command, "--dry-run", f"PYTHON={sys.executable}"],
        cwd=context(stage, tmp_path),
        env={**kept, **environ},
        text=True,
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    for text in (*expected, *(["colcon"] if stage == "node" else [])):
        assert text in run.stdout
    assert ("--system-site-packages" in run.stdout) == (stage == "node")


# ---- install.sh: root's part, which no test may do; what it would call notes its arguments ------
CALLED = ("apt-get", "rosdep", "userdel", "useradd", "install", "rm")


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder with nothing but a shell and what notes how it is called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in CALLED:
        script = folder / name
        script.write_text(f'#!/bin/bash\necho "{name} $*" >> "{tmp_path}/calls"\n')
        script.chmod(0o755)
    for name in ("bash", "cut"):
        (folder / name).symlink_to(shutil.which(name) or "")
    (folder / "getent").write_text("#!/bin/bash\n[[ $2 == 1000 ]] && echo ubuntu:x:1000:1000::/:\n")
    (folder / "getent").chmod(0o755)
    return folder


def called(folder: Path, *words: str, **environ: str) -> list[str]:
    command = [shutil.which("bash") or "", str(DOCKER / "install.sh"), *words]
    subprocess.run(command, env={"PATH": str(folder), **environ}, check=True)
    return (folder.parent / "calls").read_text().splitlines()


def test_an_image_with_ros_gets_what_the_packages_ask_for(commands: Path) -> None:
    extra = ("libnvinfer10=10", "libnvonnxparsers10=10")
    update, install, *rosdep, tidy, userdel, useradd, own = called(
        commands, *extra, ROS_DISTRO="jazzy"
    )
    assert update == "apt-get update"
    packages = {"make", "python3-venv", "ros-jazzy-ros-base", *extra}
    assert packages <= set(install.split())
    assert [line.split()[1] for line in rosdep if not line.endswith(" init")] == [
        "update",
        "install",
    ]
    assert "--from-paths src --ignore-src" in rosdep[-1]
    assert tidy.startswith("rm -rf /var/lib/apt/lists/")
    assert userdel == "userdel --remove ubuntu"
    assert useradd == "useradd --create-home --uid 1000 robot"
    assert own.startswith("install --directory --owner robot /home/robot ")


def test_an_image_without_ros_gets_no_more_than_make(commands: Path) -> None:
    said = called(commands)
    assert said[1] == "apt-get install --yes --no-install-recommends make"
    assert not any(line.startswith("rosdep") for line in said)


def test_tensorrt_is_the_one_that_onnxruntime_is_built_for() -> None:
    """libnvinfer.so.10 and CUDA 13 are what the file pinned in constraints/ is linked against."""
    extra = next(text for text in stages()["base-cuda"].all("ENV") if "APT_EXTRA" in text)
    assert "libnvinfer10=10." in extra
    assert extra.count("+cuda13.0") == extra.count("lib") == 2
    assert arguments()["CUDA_IMAGE"].startswith("nvidia/cuda:13.0.")


# ---- entrypoint.sh -------------------------------------------------------------------------------
@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository's folder with an entry point, and what is sourced says so."""
    root = tmp_path / "repository"
    for name in ("docker", ".venv/bin", "build/install"):
        (root / name).mkdir(parents=True)
    shutil.copy(DOCKER / "entrypoint.sh", root / "docker")
    (root / ".venv/bin/activate").write_text('SEEN="$SEEN venv"\n')
    (root / "build/install/local_setup.bash").write_text('SEEN="$SEEN workspace"\n')
    (tmp_path / "setup.bash").write_text('export SEEN=$UNSET_IS_FINE"ros"\n')
    return root


def entered(tree: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        [tree / "docker/entrypoint.sh", *command],
        env={**kept, **environ},
        text=True,
        capture_output=True,
        check=False,
    )


def test_each_layer_is_sourced_over_the_one_below(tree: Path) -> None:
    underlay = str(tree.parent / "setup.bash")
    run = entered(tree, "bash", "-c", 'echo "$SEEN"', UNDERLAY=underlay)
    assert run.stdout == "ros venv workspace\n"


def test_a_layer_that_is_not_there_is_left_out(tree: Path) -> None:
    shutil.rmtree(tree / ".venv")
    shutil.rmtree(tree / "build")
    assert entered(tree, "echo", "a word", "and another").stdout == "a word and another\n"


def test_an_underlay_that_is_asked_for_has_to_be_there(tree: Path) -> None:
    run = entered(tree, "true", UNDERLAY="/nowhere/setup.bash")
    assert run.returncode == 1
    assert "no such file: /nowhere/setup.bash" in run.stderr


def test_the_command_takes_the_place_of_the_entry_point(tree: Path) -> None:
    """So that signals reach it, and its exit status is the container's."""
    script = tree / "docker/entrypoint.sh"
    with subprocess.Popen([script, "sh", "-c", "echo $$; exit 7"], stdout=subprocess.PIPE) as run:
        assert run.stdout
        assert int(run.stdout.read()) == run.pid
    assert run.returncode == 7
