"""Blocks of shell in documents, as simple commands: no shell runs, nothing is executed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from typing import NamedTuple

from documents import Code

ENDS = frozenset({"&&", "||", "|", ";", "&", "(", ")"})
REDIRECTION = re.compile(r"&?[<>]{1,2}&?")
ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
VARIABLE = re.compile(r"\$(\w+|\{\w+\})")
SUBSTITUTION = re.compile(r"\$\(([^()]*)\)")
COMMENT = re.compile(r"(?:^|\s)#.*")


class Command(NamedTuple):
    """A simple command.

    Attributes:
        place: Where it stands.
        words: Program and arguments, unquoted, with known variables put in.
        setting: Variables for this command alone, or for the shell where there is no program.
        files: What it reads or writes by redirection.
    """

    place: str
    words: list[str]
    setting: dict[str, str]
    files: list[str]


def commands(
    block: Code, value_of: Callable[[str], str] = lambda _: "SUBSTITUTED"
) -> Iterator[Command]:
    """Give the commands of a block, those of `$(...)` before the ones they stand in.

    Args:
        block: Shell.
        value_of: What a command in `$(...)` prints.
    """
    variables: dict[str, str] = {}
    for line, text in logical_lines(block):
        place = f"{block.path}:{line}"
        for inner in SUBSTITUTION.findall(text):
            yield from simple(place, inner, variables)
        text = SUBSTITUTION.sub(lambda found: value_of(found[1]), text)
        for command in simple(place, text, variables):
            if not command.words:
                variables.update(command.setting)
            yield command


def logical_lines(block: Code) -> Iterator[tuple[int, str]]:
    """Give a block's lines that say something, continued ones as one, each with its number."""
    whole, start = "", block.line
    for number, line in enumerate(block.text.splitlines(), block.line):
        start = start if whole else number
        whole += line.rstrip()
        if whole.endswith("\\"):
            whole = whole[:-1]
            continue
        if COMMENT.sub("", whole).strip():
            yield start, whole
        whole = ""
    if whole:
        yield start, whole


def simple(place: str, text: str, variables: dict[str, str]) -> Iterator[Command]:
    """Give a line's simple commands."""
    words: list[str] = []
    for word in [*split(text), ";"]:
        if word not in ENDS:
            words.append(word)
        elif words:
            yield command_of(place, words, variables)
            words = []


def split(text: str) -> list[str]:
    """Split a line as a shell does, operators apart."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return list(lexer)


def command_of(place: str, words: list[str], variables: dict[str, str]) -> Command:
    known, files, setting = [], [], {}
    rest = iter(words)
    for word in rest:
        if REDIRECTION.fullmatch(word):
            if known and known[-1] in "012":
                known.pop()
            files.append(expand(next(rest, ""), variables))
        elif not known and (found := ASSIGNMENT.fullmatch(word)):
            setting[found[1]] = expand(found[2], variables)
        else:
            known.append(expand(word, variables))
    return Command(place, known, setting, files)


def expand(word: str, variables: dict[str, str]) -> str:
    """Put in what a variable stands for; one that nobody set stays as it is."""
    return VARIABLE.sub(lambda found: variables.get(found[1].strip("{}"), found[0]), word)
