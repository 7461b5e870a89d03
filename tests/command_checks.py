"""Judges commands in documents against the code: `check` finds by the program how.

A new program of our own needs nothing here, if its package's setup.py names it and argparse reads
its arguments; another project's goes to `command_syntax.SYNTAX`.
"""

from __future__ import annotations

import ast
import re
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial

import yaml

import our_programs
from command_syntax import CommandError, parsed
from documents import ROOT, reference
from mtl_core.errors import MtlError
from our_programs import EXECUTABLES, NODES, check_parameter, is_placeholder
from shell import Command

VENV = ".venv/bin/"
OF_OTHERS = re.compile(
    r"/(camera\w*|tf|tf_static|clock|rosout|diagnostics_agg|local_costmap|global_costmap|odom|scan)\b.*"
)
"""Topics of other nodes, by how they begin."""

ENVIRONMENT = frozenset(
    {
        "AMENT_PREFIX_PATH",
        "CUDA_VISIBLE_DEVICES",
        "FASTDDS_BUILTIN_TRANSPORTS",
        "FASTDDS_DEFAULT_PROFILES_FILE",
        "FASTRTPS_DEFAULT_PROFILES_FILE",
        "MTL_DATA",
        "OMP_NUM_THREADS",
        "PATH",
        "PWD",
        "RMW_IMPLEMENTATION",
        "ROS_AUTOMATIC_DISCOVERY_RANGE",
        "ROS_DISTRO",
        "ROS_DOMAIN_ID",
        "ROS_LOCALHOST_ONLY",
        "ROS_LOG_DIR",
        "ROS_SECURITY_ENABLE",
        "ROS_SECURITY_ENCLAVE_OVERRIDE",
        "ROS_SECURITY_KEYSTORE",
        "ROS_SECURITY_STRATEGY",
        "XDG_CACHE_HOME",
    }
)
"""Variables that documents may set for the programs that they name."""

CLONE = re.compile(r"(~/ws/|\./)?(src/mtl(/|$))?")
"""How a path begins in a ROS 2 workspace, where this repository is `src/mtl`."""

SOURCED = re.compile(
    r"\.venv/bin/activate|/opt/ros/(\w+|\$ROS_DISTRO)/setup\.bash|(build/)?install/(local_)?setup\.bash"
)

LAUNCHED_BY_OTHERS: Mapping[tuple[str, str], frozenset[str]] = {
    ("nav2_bringup", "navigation_launch.py"): frozenset(
        {"params_file", "use_sim_time", "autostart", "namespace"}
    ),
    ("nav2_bringup", "bringup_launch.py"): frozenset(
        {"params_file", "use_sim_time", "autostart", "namespace", "map", "slam"}
    ),
    ("foxglove_bridge", "foxglove_bridge_launch.xml"): frozenset({"port", "address"}),
    ("realsense2_camera", "rs_launch.py"): frozenset(
        {"align_depth.enable", "camera_name", "camera_namespace"}
    ),
}
"""Launch files of other packages, and those of their arguments that our documents give."""

SERVICES: Mapping[str, str] = {
    f"/student/{t.name.removeprefix('~/')}": t.kind
    for t in reference().student_outputs()
    if t.qos is None
}


@cache
def topics(node: str) -> frozenset[str]:
    """Return the names of a node's topics and services as it says them."""
    tables = reference()
    inputs, outputs = getattr(tables, f"{node}_inputs"), getattr(tables, f"{node}_outputs")
    return frozenset(topic.name for topic in (*inputs(), *outputs()))


def check_topic(name: str) -> None:
    """Judge a topic that a document names: one of ours, or of a node that it speaks of.

    Raises:
        CommandError: It is neither.
    """
    if is_placeholder(name) or (OF_OTHERS.fullmatch(name) and "/mtl/" not in name):
        return
    every = {topic.lstrip("~/") for node in NODES for topic in topics(node)}
    if not any(f"/{name}".endswith(f"/{topic}") for topic in every):
        raise CommandError(
            f"no topic {name}: none of ours ({', '.join(sorted(every))}), nor of others"
        )


def check_node(name: str) -> Sequence[our_programs.Spec] | None:
    """Return the parameters of a node; None where it is another project's.

    Raises:
        CommandError: There is no such node.
    """
    last = name.rpartition("/")[2]
    if last in NODES:
        return NODES[last]
    if is_placeholder(name) or OF_OTHERS.fullmatch(name):
        return None
    raise CommandError(f"no node {name}, expected one of {', '.join(NODES)}")


# ---- arguments of nodes --------------------------------------------------------------------------
def check_ros_arguments(node: str, words: Sequence[str]) -> None:
    """Judge what follows a node's executable.

    Raises:
        CommandError: ROS or the node would refuse it, or it names what the node has not.
    """
    rest = iter(words)
    if (first := next(rest, "--ros-args")) != "--ros-args":
        raise CommandError(f"{first}: a node's arguments begin with --ros-args")
    for option in rest:
        if option not in ROS_ARGUMENTS:
            raise CommandError(f"{option} is none of {', '.join(ROS_ARGUMENTS)}")
        value = next(rest, None)
        if value is None:
            raise CommandError(f"{option} without a value")
        ROS_ARGUMENTS[option](node, value)


def check_remapping(node: str, text: str) -> None:
    source, separator, target = text.partition(":=")
    if not separator or not target:
        raise CommandError(f"{text}: expected FROM:=TO")
    named = [source, *(source.partition("/")[2:] if "/" in source else ())]
    if source not in ("__node", "__ns", "__name") and not topics(node) & set(named):
        raise CommandError(f"{source}: {node} has {', '.join(sorted(topics(node)))}")


def check_setting(node: str, text: str) -> None:
    name, separator, value = text.partition(":=")
    if not separator:
        raise CommandError(f"{text}: expected NAME:=VALUE")
    check_parameter(NODES[node], name, value)


def anything(node: str, text: str) -> None:
    """Accept a value."""


ROS_ARGUMENTS: Mapping[str, Callable[[str, str], None]] = {
    "-r": check_remapping,
    "--remap": check_remapping,
    "-p": check_setting,
    "--param": check_setting,
    "--params-file": anything,
    "--log-level": anything,
    "--enclave": anything,
}


# ---- commands of others, where they speak of ours ------------------------------------------------
def check_launch(found: Namespace) -> None:
    if found.file and is_placeholder(found.file):
        return
    given = [word.partition(":=") for word in found.arguments or ()]
    known = launch_arguments(found.package, found.file)
    for name, separator, value in given:
        if not separator or name not in known:
            raise CommandError(
                f"{name} is no argument of {found.file}, expected {', '.join(known)}"
            )
        choices = known[name]
        if choices and not is_placeholder(value) and value not in choices:
            raise CommandError(f"{name}: got {value}, expected one of {', '.join(choices)}")


def launch_arguments(package: str, name: str) -> Mapping[str, Sequence[str]]:
    if name is None or package is None:
        return {}
    if (package, name) in LAUNCHED_BY_OTHERS:
        return dict.fromkeys(LAUNCHED_BY_OTHERS[package, name], ())
    return our_programs.launch_arguments(package, name)


def check_run(found: Namespace) -> None:
    if (script := found.executable) is None:
        return
    if script not in our_programs.scripts() or our_programs.package_of(script) != found.package:
        raise CommandError(f"{found.package} has no executable {script}")
    check_ours(script, found.arguments or [], whole=True)


def check_parameter_of(found: Namespace) -> None:
    specs = check_node(found.node) if found.node else None
    names = found.name if isinstance(found.name, list) else [found.name]
    for name in names if specs else ():
        if name and not is_placeholder(name):
            check_parameter(specs, name, getattr(found, "value", None))
            refuse_fixed(specs, name, hasattr(found, "value"))


def refuse_fixed(specs: Sequence[our_programs.Spec], name: str, is_set: bool) -> None:
    fixed = {spec.name for spec in specs if spec.change == "at start"}
    if is_set and name in fixed:
        raise CommandError(f"{name} can be set at start only")


def check_some_node(found: Namespace) -> None:
    if found.node:
        check_node(found.node)


def check_some_topic(found: Namespace) -> None:
    if found.topic:
        check_topic(found.topic)


def check_service(found: Namespace) -> None:
    service = found.service
    if service and SERVICES.get(service) != found.type:
        raise CommandError(f"{service} {found.type}: the student has {SERVICES}")
    yaml.safe_load(found.values or "{}")


def check_transition(found: Namespace) -> None:
    check_some_node(found)
    known = ("configure", "activate", "deactivate", "cleanup", "shutdown")
    if found.transition and found.transition not in known:
        raise CommandError(f"{found.transition}: expected one of {', '.join(known)}")


def check_sourced(found: Namespace) -> None:
    if not SOURCED.fullmatch(CLONE.sub("", found.file, count=1)):
        raise CommandError(f"{found.file}: expected {SOURCED.pattern}")


MEANING: Mapping[str, Callable[[Namespace], None]] = {
    "source": check_sourced,
    ".": check_sourced,
    "ros2 launch": check_launch,
    "ros2 run": check_run,
    **dict.fromkeys(
        ("ros2 param get", "ros2 param describe", "ros2 param set"), check_parameter_of
    ),
    **dict.fromkeys(("ros2 param list", "ros2 param dump", "ros2 param load"), check_some_node),
    **dict.fromkeys(
        ("ros2 node info", "ros2 lifecycle get", "ros2 lifecycle list"), check_some_node
    ),
    "ros2 lifecycle set": check_transition,
    **dict.fromkeys(
        (f"ros2 topic {verb}" for verb in ("hz", "bw", "delay", "type", "info", "echo", "pub")),
        check_some_topic,
    ),
    "ros2 service call": check_service,
}
"""What a command of another project has to say of ours, beside its syntax."""


# ---- commands of ours ----------------------------------------------------------------------------
def check_make(words: Sequence[str], *, whole: bool) -> None:
    targets = our_programs.make_targets()
    words = words[2:] if words[:1] == ["-C"] else words
    given = [word for word in words if "=" in word]
    asked = [word for word in words if "=" not in word]
    for name in asked:
        if name not in targets and not is_placeholder(name):
            raise CommandError(f"no make target {name}, expected {', '.join(targets)}")
    known = frozenset().union(*(targets.get(name, frozenset()) for name in asked))
    for name in (word.partition("=")[0] for word in given):
        if name not in known:
            raise CommandError(
                f"make {' '.join(asked)} reads no {name}, but {', '.join(sorted(known))}"
            )


def check_ours(script: str, words: Sequence[str], *, whole: bool) -> None:
    """Judge the arguments of a command that our packages install."""
    if script in EXECUTABLES:
        check_ros_arguments(EXECUTABLES[script], words)
    else:
        our_programs.parse(our_programs.function_of(script), words, whole=whole)


def check_python(words: Sequence[str], *, whole: bool) -> None:
    """Judge `python -c`, `python -m` and `python FILE`."""
    if not words:
        return
    if words[0] == "-c":
        ast.parse(words[1])
    elif words[0] == "-m":
        check_module(words[1], words[2:])
    elif main := our_programs.function_in(words[0]):
        our_programs.parse(main, words[1:], whole=whole)


MODULES: Mapping[str, str] = {"pip": "pip", "venv": "", "pytest": "pytest", "colcon": "colcon"}


def check_module(name: str, words: Sequence[str]) -> None:
    if name not in MODULES:
        raise CommandError(f"python -m {name}: expected one of {', '.join(MODULES)}")
    if MODULES[name]:
        parsed([MODULES[name], *words])


def check_export(words: Sequence[str], *, whole: bool) -> None:
    for word in words:
        check_variable(word.partition("=")[0])


@cache
def of_containers() -> frozenset[str]:
    """Return the variables that the files of docker/ read."""
    texts = (path.read_text(encoding="utf-8") for path in ROOT.glob("docker/*.yaml"))
    return frozenset(name for text in texts for name in re.findall(r"\$\{([A-Z_]+)", text))


def check_variable(name: str) -> None:
    if name not in ENVIRONMENT | of_containers():
        raise CommandError(
            f"the variable {name} is not known, expected {', '.join(sorted(ENVIRONMENT))}"
        )


OURS: Mapping[str, Callable[..., None]] = {
    "make": check_make,
    "python": check_python,
    "python3": check_python,
    "export": check_export,
    "unset": check_export,
    **{name: partial(check_ours, name) for name in our_programs.scripts()},
}


# ---- all -----------------------------------------------------------------------------------------
def check(command: Command) -> None:
    """Judge a command.

    Raises:
        CommandError: It would not work as it stands, or nothing here knows it.
    """
    if not command.words:
        return
    for name in command.setting:
        check_variable(name)
    check_words(command.words, whole=True)


def check_words(words: Sequence[str], *, whole: bool) -> None:
    program, rest = words[0].removeprefix(VENV), words[1:]
    try:
        if program in OURS:
            OURS[program](rest, whole=whole)
            return
        name, found = parsed([program, *rest], whole=whole)
        if name in MEANING:
            MEANING[name](found)
    except (MtlError, SyntaxError, yaml.YAMLError) as err:
        raise CommandError(str(err)) from err


PATH = re.compile(
    r"(?:^|:=|=)((?:(?:src|docs|training|docker|tests|benchmarks|constraints)/|ros2_ws\.)[^:,]*)$"
)


def check_path(word: str) -> None:
    """Judge a word that names a file of the repository.

    Raises:
        CommandError: There is none.
    """
    found = PATH.search(CLONE.sub("", word, count=1))
    if found and not any(ROOT.glob(found[1].rstrip("/").replace("$ROS_DISTRO", "*"))):
        raise CommandError(f"{found[1]}: no such file in the repository")
