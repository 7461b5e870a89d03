"""What commands of other projects look like, as far as our documents use them: a table.

A command that is not in the table, or an option that its line lacks, fails the test: look it up in
that program's manual, then add it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn


class CommandError(Exception):
    """What is wrong with a command."""


SYNTAX: dict[str, str] = {
    # -- the shell
    "cd": "folder",
    "mkdir": "-p folder+",
    "source": "file",
    ".": "file",
    "pwd": "",
    "echo": "word*",
    "id": "-u -g",
    "nproc": "",
    "df": "-h path*",
    "ls": "-l -a -lh path*",
    "cat": "path+",
    "cp": "-r path+",
    "rm": "-r -f -rf path+",
    "tail": "-n= -f path*",
    "grep": "-n -i -r -E pattern path*",
    "command": "-v name",
    "sudo": "program...",
    "apt-get": "-y verb package*",
    "apt": "-y verb package*",
    # -- getting and building
    "git clone": "--branch= --depth= --recurse-submodules url folder?",
    "git lfs": "verb",
    "git tag": "name",
    "pre-commit": "verb",
    "pip install": "-e|--editable= -r|--requirement= -c|--constraint= --upgrade -U package*",
    "vcs import": "--input= folder?",
    "rosdep": "-y --from-paths=* --ignore-src --rosdistro= --skip-keys= verb",
    "colcon build": "--symlink-install --base-paths=* --packages-select=* --packages-up-to=* "
    "--packages-skip=* --build-base= --install-base= --event-handlers=* --cmake-args=*",
    "colcon test": "--base-paths=* --packages-select=* --build-base= --install-base= "
    "--event-handlers=* --return-code-on-test-failure",
    "colcon test-result": "--verbose --all --test-result-base=",
    "colcon list": "--base-paths=*",
    # -- containers
    "docker build": "-f|--file= -t|--tag= --target= --build-arg= --platform= --progress= folder",
    "docker buildx build": "-f|--file= -t|--tag= --target= --build-arg= --platform= --load folder",
    "docker run": "--rm -i -t -it -d --init --shm-size= --network|--net= --ipc= --gpus= --runtime= "
    "-e|--env= -v|--volume= --device= --name= --user= --read-only -p|--publish= --entrypoint= "
    "image command...",
    "docker compose": "-f|--file= --profile= --env-file= verb rest...",
    "docker exec": "-i -t -it container command...",
    "docker inspect": "-f|--format= name",
    "docker ps": "-a",
    "docker logs": "-f name",
    "docker stop": "name",
    "hadolint": "-c|--config= file+",
    # -- looking
    "nvidia-smi": "",
    "rviz2": "-d|--display-config= -f|--fixed-frame= --ros-args -r=",
    "tensorboard": "--logdir= --port=",
    "pytest": "-k= -m= -q -x path*",
    # -- ROS 2
    "ros2 launch": "-s|--show-args|--show-arguments -d|--debug package file arguments*",
    "ros2 run": "--prefix= package executable arguments...",
    "ros2 param list": "--param-type --include-hidden node?",
    "ros2 param get": "node name",
    "ros2 param describe": "node name+",
    "ros2 param set": "node name value",
    "ros2 param dump": "--output-dir= node",
    "ros2 param load": "node file",
    "ros2 topic list": "-t|--show-types -v|--verbose",
    "ros2 topic hz": "-w|--window= --filter= topic",
    "ros2 topic bw": "-w|--window= topic",
    "ros2 topic delay": "-w|--window= topic",
    "ros2 topic type": "topic",
    "ros2 topic info": "-v|--verbose topic",
    "ros2 topic echo": "--once --field= --no-arr --csv --qos-profile= --qos-reliability= "
    "--qos-durability= --truncate-length= topic type?",
    "ros2 topic pub": "-1|--once -r|--rate= topic type values?",
    "ros2 node list": "",
    "ros2 node info": "node",
    "ros2 lifecycle nodes": "",
    "ros2 lifecycle get": "node?",
    "ros2 lifecycle list": "node",
    "ros2 lifecycle set": "node transition",
    "ros2 service list": "-t|--show-types",
    "ros2 service call": "service type values?",
    "ros2 bag play": "--clock=? -r|--rate= -l|--loop --remap|-m=* --topics=* "
    "--qos-profile-overrides-path= --read-ahead-queue-size= bag",
    "ros2 bag record": "-a|--all -o|--output= -s|--storage= -d|--max-bag-duration= "
    "--compression-mode= --compression-format= --topics=* topic*",
    "ros2 bag info": "bag",
    "ros2 bag reindex": "bag",
    "ros2 interface show": "type",
    "ros2 interface package": "package",
    "ros2 pkg prefix": "--share package",
    "ros2 pkg executables": "package?",
    "ros2 pkg list": "",
    "ros2 daemon": "verb",
    "ros2 doctor": "--report|-r",
    "ros2 multicast": "verb",
    "ros2 component": "verb rest...",
    "ros2 security create_keystore": "root",
    "ros2 security create_enclave": "root enclave",
    "ros2 security create_key": "root enclave",
    "ros2 security create_permission": "root enclave policy",
    "ros2 security generate_artifacts": "-k|--keystore-root-path= -e|--enclaves=* "
    "-p|--policy-files=*",
    "ros2 security generate_policy": "policy",
    "ros2 security list_enclaves": "root",
    "ros2 run tf2_ros": "program arguments...",
    "ros2 run rqt_image_view": "program arguments...",
    "ros2 run rqt_robot_monitor": "program arguments...",
    "ros2 run foxglove_bridge": "program arguments...",
    "ros2 run v4l2_camera": "program arguments...",
    "ros2 run image_proc": "program arguments...",
    "ros2 run nav2_costmap_2d": "program arguments...",
    "ros2 run nav2_util": "program arguments...",
}
"""The words that a command begins with, and what may follow: positional arguments by name (`?` may
be missing, `*` any number, `+` one or more, `...` all the rest) and options (`=` has a value, `=?`
may have one, `=*` has several, `|` another name)."""

COUNTS = {"?": "?", "*": "*", "+": "+"}
OPTIONS: dict[str, dict[str, Any]] = {
    "": {"action": "append", "default": []},
    "?": {"nargs": "?"},
    "*": {"nargs": "+", "default": []},
}


class Strict(argparse.ArgumentParser):
    """A parser that says what is wrong instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise CommandError(message)


def known(words: Sequence[str]) -> str:
    """Return the longest beginning of a command that the table has.

    Raises:
        CommandError: There is none.
    """
    for count in range(min(3, len(words)), 0, -1):
        if (name := " ".join(words[:count])) in SYNTAX:
            return name
    raise CommandError(f"{' '.join(words[:2])!r} is no command that tests/command_syntax.py knows")


def parsed(words: Sequence[str], *, whole: bool = True) -> tuple[str, argparse.Namespace]:
    """Return a command's name in the table, and its arguments by name.

    Args:
        words: The command.
        whole: Nothing that it needs may be missing; prose names commands without.

    Raises:
        CommandError: The command is not known, or its arguments do not fit.
    """
    if not whole and any(one.startswith(f"{' '.join(words)} ") for one in SYNTAX):
        return "", argparse.Namespace()
    name = known(words)
    parser = Strict(prog=name, add_help=False, allow_abbrev=False)
    for word in SYNTAX[name].split():
        add(parser, word)
    if not whole:
        relax(parser)
    rest = list(words[len(name.split()) :])
    if "..." in SYNTAX[name]:  # options of the program that is run are not its own
        return name, parser.parse_args(rest)
    return name, parser.parse_intermixed_args(rest)


def add(parser: argparse.ArgumentParser, word: str) -> None:
    """Add an argument as `SYNTAX` writes it."""
    if word.startswith("-"):
        names, has_value, many = word.partition("=")
        flags = names.split("|")
        kind = OPTIONS[many] if has_value else {"action": "store_true"}
        parser.add_argument(*flags, **kind)
    elif word.endswith("..."):
        parser.add_argument(word.removesuffix("..."), nargs=argparse.REMAINDER)
    else:
        parser.add_argument(word.rstrip("?*+"), nargs=COUNTS.get(word[-1]))


def relax(parser: argparse.ArgumentParser) -> None:
    """Let a parser, and those of its subcommands, need nothing."""
    for one in with_subparsers(parser):
        for action in one._actions:
            action.required = False


def with_subparsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Give a parser and those of its subcommands."""
    yield parser
    for action in parser._actions:  # argparse has no public way to ask
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from with_subparsers(child)
