"""The project's documents as tests read them: code blocks, inline code, links, headings."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

from mtl_perception import environment

ROOT = Path(__file__).parents[1]
PLACES = ("*.md", "docs/**/*.md", "src/**/*.md", "docker/**/*.md", "constraints/*.md")
HISTORY = "CHANGELOG.md"
"""What it speaks of need not be so any more; only its links are checked."""

SHELL = "sh"
KINDS = {"": SHELL, "bash": SHELL, "shell": SHELL}
"""What a block is of which the fence says so, or nothing."""


class Code(NamedTuple):
    """Code in a document.

    Attributes:
        path: The document, relative to the repository.
        line: Its first line, from 1.
        kind: `SHELL`, `toml`, `text`, ...
        text: Its lines, or what stands between backticks.
    """

    path: str
    line: int
    kind: str
    text: str

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.path}:{self.line}"


def documents() -> list[str]:
    """List all documents, relative to the repository."""
    found = {path for place in PLACES for path in ROOT.glob(place)}
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


@cache
def tokens(path: str) -> list[Token]:
    """Return a document's parts."""
    parser = MarkdownIt("commonmark").enable("table")
    return parser.parse((ROOT / path).read_text(encoding="utf-8"))


def blocks(path: str) -> Iterator[Code]:
    """Give a document's code blocks; an indented one is shell, since no fence can say otherwise."""
    for token in tokens(path):
        if token.type not in ("fence", "code_block"):
            continue
        fenced = token.type == "fence"
        words = token.info.split() if fenced else []
        kind = KINDS.get(" ".join(words[:1]))
        first = line_of(token) + fenced
        yield Code(path, first, words[0] if kind is None else kind, token.content)


def inline(path: str) -> Iterator[Code]:
    """Give what a document has between backticks, tables included."""
    line = 1
    for token in tokens(path):
        line = line_of(token) if token.map else line
        for child in token.children or ():
            if child.type == "code_inline":
                yield Code(path, line, "inline", child.content)


def line_of(token: Token) -> int:
    return token.map[0] + 1 if token.map else 1


def links(path: str) -> Iterator[Code]:
    """Give the targets of a document's links and images."""
    names = {"link_open": "href", "image": "src"}
    for token in tokens(path):
        for child in token.children or ():
            if child.type in names:
                yield Code(path, line_of(token), "link", str(child.attrs[names[child.type]]))


def anchors(path: str) -> set[str]:
    """List a document's headings as GitHub names them in links."""
    every = tokens(path)
    titles = [every[i + 1].content for i, t in enumerate(every) if t.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@cache
def reference() -> ModuleType:
    """Return docs/reference.py, which writes the generated tables."""
    environment.prepare()  # before rclpy is imported
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["reference"] = module
    spec.loader.exec_module(module)
    return module
