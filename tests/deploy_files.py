"""The container files as data: stages of the Dockerfile, services of the compose files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
HOME = "/home/robot/mtl_perception"
"""Where the repository lies in an image."""

Instruction = tuple[str, str]


@dataclass(frozen=True)
class Stage:
    """One stage of the Dockerfile: on what it stands, and its instructions."""

    base: str
    instructions: tuple[Instruction, ...]

    def last(self, name: str) -> str:
        """Return what an instruction said the last time; empty if it is not there."""
        return next((text for one, text in reversed(self.instructions) if one == name), "")

    def all(self, name: str) -> list[str]:
        return [text for one, text in self.instructions if one == name]


def instructions() -> list[Instruction]:
    """The Dockerfile's instructions, continued lines joined and comments left out."""
    lines = (DOCKER / "Dockerfile").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    return [(line.split()[0], line.partition(" ")[2]) for line in joined.splitlines() if line]


def arguments() -> dict[str, str]:
    """Defaults of the arguments that stand before the first stage."""
    found = {}
    for name, text in instructions():
        if name == "FROM":
            break
        key, _, value = text.partition("=")
        found[key] = value
    return found


def stages() -> dict[str, Stage]:
    """The Dockerfile's stages by name, arguments in their bases replaced by their defaults."""
    found: dict[str, tuple[str, list[Instruction]]] = {}
    for name, text in instructions():
        if name == "FROM":
            base, _, stage = text.partition(" AS ")
            for key, value in arguments().items():
                base = base.replace(f"${{{key}}}", value)
            here = found.setdefault(stage, (base, []))[1]
        elif found:
            here.append((name, text))
    return {stage: Stage(base, tuple(lines)) for stage, (base, lines) in found.items()}


def compose(name: str) -> Any:
    """A compose file, each variable replaced by its default, as where none is set."""
    text = (DOCKER / name).read_text(encoding="utf-8")
    return yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text))
