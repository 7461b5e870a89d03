"""What documents quote of our programs' messages is what the code says: blocks marked `log`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from documents import ROOT, blocks, documents

QUOTED = [
    (block.place, line)
    for path in documents()
    for block in blocks(path)
    if block.kind == "log"
    for line in block.text.splitlines()
]

VALUE_WORDS = 3
"""A single value has no more, such as `classes and depth`."""


@cache
def templates() -> list[re.Pattern[str]]:
    """All texts in the sources, what they put in as groups, and the Makefile's lines."""
    sources = [p for folder in ("src", "training") for p in ROOT.glob(f"{folder}/*/mtl_*/**/*.py")]
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in sources)
    patterns = {pattern for tree in trees for pattern in texts(tree)}
    hints = re.findall(r"^HINT := (.*)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    return [re.compile(p) for p in (*patterns, *map(re.escape, hints))]


def texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        said = [p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str)]
        if re.search("[a-z]{2,}", " ".join(said)):  # else everything would match
            yield "".join(map(pattern_of, parts))


def pattern_of(part: ast.expr) -> str:
    return re.escape(str(part.value)) if isinstance(part, ast.Constant) else "(.*?)"


def is_said(text: str) -> bool:
    """Whether the code says this: a text of it, and in its gaps single values or other texts."""
    found = (pattern.fullmatch(text) for pattern in templates())
    return any(match and all(map(is_value_or_said, match.groups())) for match in found)


def is_value_or_said(text: str) -> bool:
    """Whether a gap holds values, what the code says elsewhere, or the one before the other."""
    if len(text.split()) <= VALUE_WORDS or is_said(text):
        return True
    value, *rest = re.split("; |, |: ", text, maxsplit=1)
    return bool(rest) and len(value.split()) <= VALUE_WORDS and is_value_or_said(rest[0])


@pytest.mark.parametrize(("place", "line"), QUOTED, ids=[place for place, _ in QUOTED])
def test_a_quoted_message_is_one_of_ours(place: str, line: str) -> None:
    assert is_said(line), f"{place}: nothing in the code says: {line}"


@pytest.mark.parametrize(
    "text",
    [
        "no picture on /image for 5 s; nobody publishes it",
        "no image on /image for 5 s; somebody else is at fault",
        "anything at all",
    ],
)
def test_what_the_code_does_not_say_is_noticed(text: str) -> None:
    assert not is_said(text)


def test_messages_are_quoted() -> None:
    assert len(QUOTED) > 10
