"""What the project itself offers, read from its files: programs, make targets, launch arguments."""

from __future__ import annotations

import argparse
import ast
import importlib
import io
import re
import runpy
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from command_syntax import CommandError, relax, with_subparsers
from documents import ROOT
from mtl_perception.parameter_tables import STUDENT, TEACHER
from mtl_perception.parameters import Spec

NODES: Mapping[str, tuple[Spec, ...]] = {"student": STUDENT, "teacher": TEACHER}
EXECUTABLES = {"student_node": "student", "teacher_node": "teacher"}
"""Nodes by what starts them; their arguments are ROS's."""

OF_ALL_NODES: Mapping[str, type] = {"use_sim_time": bool}
"""Parameters that every node has."""


# ---- programs ------------------------------------------------------------------------------------
@cache
def scripts() -> Mapping[str, str]:
    """Return the module and function behind each command that the packages install."""
    found = {}
    for path in ROOT.glob("src/*/setup.py"):
        found |= dict(re.findall(r'"([\w-]+) = ([\w.]+:\w+)"', path.read_text(encoding="utf-8")))
    text = (ROOT / "training/pyproject.toml").read_text(encoding="utf-8")
    return found | tomllib.loads(text)["project"]["scripts"]


def package_of(script: str) -> str:
    """Return the package that installs a command."""
    return scripts()[script].partition(".")[0]


def function_of(script: str) -> Callable[[list[str]], Any]:
    """Return what a command runs."""
    module, _, name = scripts()[script].partition(":")
    return getattr(importlib.import_module(module), name)


def function_in(path: str) -> Callable[[list[str]], Any] | None:
    """Return the `main` of a program in the repository that takes arguments, if it has one."""
    main = runpy.run_path(str(ROOT / path)).get("main")
    return main if main and main.__code__.co_argcount else None


class Parsed(BaseException):
    """Arguments that a program has understood; what would have followed is left out."""


def parse(main: Callable[[list[str]], Any], words: Sequence[str], *, whole: bool = True) -> None:
    """Let a program read its arguments, and no more.

    Args:
        main: The program.
        words: Its arguments.
        whole: Nothing that it needs may be missing.

    Raises:
        CommandError: It refuses them.
    """
    said = io.StringIO()
    try:
        with stopping_after_arguments(whole), redirect_stderr(said), redirect_stdout(io.StringIO()):
            main(list(words))
    except Parsed:
        return
    except SystemExit as err:
        if err.code:
            raise CommandError(said.getvalue().strip().splitlines()[-1]) from None
        return  # --help
    raise CommandError("the program did not read its arguments by argparse")


@contextmanager
def stopping_after_arguments(whole: bool) -> Iterator[None]:
    """End every program as soon as it has read its arguments."""
    real = argparse.ArgumentParser.parse_args

    def parse_args(parser: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> Any:
        for one in with_subparsers(parser):
            one.allow_abbrev = False  # what is short today may be ambiguous tomorrow
        if not whole:
            relax(parser)
        raise Parsed(real(parser, args, namespace))

    argparse.ArgumentParser.parse_args = parse_args  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        argparse.ArgumentParser.parse_args = real  # type: ignore[method-assign]


# ---- make ----------------------------------------------------------------------------------------
@cache
def make_targets() -> Mapping[str, frozenset[str]]:
    """Return the targets that `make help` lists, and the variables that each one reads."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    settable = set(re.findall(r"^([A-Z_]+) \?=", text, re.MULTILINE))
    recipes = re.findall(r"^([a-z][a-z-]*):.*##.*\n((?:\t.*\n)*)", text, re.MULTILINE)
    return {
        name: frozenset(settable | set(re.findall(r"\$\(([A-Z]+)\)", recipe)))
        for name, recipe in recipes
    }


# ---- launch --------------------------------------------------------------------------------------
@cache
def launch_arguments(package: str, name: str) -> Mapping[str, tuple[str, ...]]:
    """Return a launch file's arguments and their choices, from its text: launch may be missing.

    Raises:
        CommandError: There is no such file.
    """
    path = ROOT / "src" / package / "launch" / name
    if not path.is_file():
        known = sorted(path.name for path in ROOT.glob(f"src/{package}/launch/*.launch.py"))
        raise CommandError(f"{package} has no launch file {name}, it has: {', '.join(known)}")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return declared(tree, tree) | declared_elsewhere(tree)


def launch_files() -> list[Path]:
    """List the launch files that our packages install."""
    return sorted(ROOT.glob("src/*/launch/*.launch.py"))


def launch_arguments_of(path: Path) -> Mapping[str, tuple[str, ...]]:
    """Return the arguments of one of `launch_files`."""
    return launch_arguments(path.parents[1].name, path.name)


def declared_elsewhere(tree: ast.Module) -> dict[str, tuple[str, ...]]:
    """Return what a file takes over from the package's modules."""
    found: dict[str, tuple[str, ...]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mtl_perception."):
            path = ROOT / "src/mtl_perception" / f"{str(node.module).replace('.', '/')}.py"
            module = ast.parse(path.read_text(encoding="utf-8"))
            for alias in node.names:
                found |= declared_by(module, alias.name)
    return found


def declared_by(module: ast.Module, name: str) -> dict[str, tuple[str, ...]]:
    """Return the arguments in what a module calls `name`, and in what that names in turn."""
    for node in module.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if name in (*names, getattr(node, "name", None)):
            used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} - {name}
            found = declared(node, module)
            for other in used:
                found |= declared_by(module, other)
            return found
    return {}


def declared(code: ast.AST, module: ast.Module) -> dict[str, tuple[str, ...]]:
    """Return the arguments that are declared in a piece of a module's code."""
    constants = {
        target.id: node.value.value
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    calls = (node for node in ast.walk(code) if isinstance(node, ast.Call))
    found = {}
    for call in calls:
        if getattr(call.func, "id", "") == "DeclareLaunchArgument":
            choices = [key.value for key in call.keywords if key.arg == "choices"]
            name = constant(call.args[0])
            found[str(constants.get(name, name))] = literal(choices[0]) if choices else ()
    return found


def constant(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else ast.unparse(node)


def literal(node: ast.expr) -> tuple[str, ...]:
    """Return a list of texts; nothing where it is computed."""
    if not isinstance(node, (ast.List, ast.Tuple)):
        return ()
    return tuple(str(constant(item)) for item in node.elts)


def is_placeholder(word: str) -> bool:
    """Whether a word stands for what the reader puts in, such as NAME."""
    return bool(re.fullmatch(r"[A-Z_]+", word))


# ---- parameters ----------------------------------------------------------------------------------
def check_parameter(specs: Sequence[Spec], name: str, text: str | None) -> None:
    """Judge a parameter as a node would at start.

    Args:
        specs: Of the node.
        name: The parameter.
        text: Its value in YAML; None for any.

    Raises:
        CommandError: The node has no such parameter, or refuses the value.
    """
    known = {spec.name: spec for spec in specs}
    if name not in known and name not in OF_ALL_NODES:
        raise CommandError(
            f"no parameter {name}, expected one of {', '.join((*known, *OF_ALL_NODES))}"
        )
    if text is None or is_placeholder(text):
        return
    value = yaml.safe_load(text)
    expected = type(known[name].default) if name in known else OF_ALL_NODES[name]
    if type(value) is not expected:
        raise CommandError(f"{name}: got {value!r}, expected {expected.__name__}")
    if name in known and (
        refusal := known[name].refusal(value, "unconfigured") or outside(known[name], value)
    ):
        raise CommandError(refusal)


def outside(spec: Spec, value: Any) -> str:
    """Why a number is out of range, which rclpy judges itself."""
    if spec.limits is None or spec.limits[0] <= value <= spec.limits[1]:
        return ""
    return f"{spec.name}: got {value}, expected {spec.limits[0]:g} to {spec.limits[1]:g}"
