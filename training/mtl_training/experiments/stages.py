"""Stages: what an experiment consists of, each done once, in a folder of its own.

A stage's folder is named by what it is and by a hash of all that decides its product, including the
stages that it builds on. So methods share what they have in common, and a method or a seed that is
added later finds what is there. `stage.json` says what a folder's product was made from: a stage is
run again when that of a stage that it builds on has become another, or when its product is gone and
something is still to be built on it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console

from mtl_training.data.files import read_json
from mtl_training.errors import ConfigError
from mtl_training.files import atomic, write_json
from mtl_training.learning.machine import Machine
from mtl_training.provenance import commit

RECORD = "stage.json"
STAGES = "stages"
"""Folder of the stages in that of an experiment."""


@dataclass(frozen=True)
class Stage(ABC):
    """One step of an experiment. Its `run` can be killed, and goes on when it is called again.

    Attributes:
        products: Files that it leaves, by whose contents later stages know it.
    """

    products: ClassVar[tuple[str, ...]]

    @property
    @abstractmethod
    def label(self) -> str:
        """In words that may stand in a folder's name."""

    @property
    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """All that decides the product beside `parents`, as plain types."""

    @property
    def parents(self) -> tuple[Stage, ...]:
        """Stages that must be done before."""
        return ()

    @abstractmethod
    def run(self, workshop: Workshop) -> None:
        """Make the products, or go on with them, in `workshop.at(self)`."""

    @cached_property
    def name(self) -> str:
        """Of its folder."""
        what = [type(self).__name__, self.identity, [parent.name for parent in self.parents]]
        return f"{self.label}-{short_hash(what)}"

    def ancestry(self) -> Iterator[Stage]:
        """The stages that it builds on, and itself last; some may come twice."""
        for parent in self.parents:
            yield from parent.ancestry()
        yield self


def short_hash(what: Any) -> str:
    """Ten hexadecimal digits that change when plain types change."""
    text = json.dumps(what, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Workshop:
    """Where stages are done.

    Attributes:
        folder: Holds the stages' folders.
        machine: Trains the networks.
        say: Takes a line about what happens.
    """

    folder: Path
    machine: Machine
    say: Callable[[str], None]

    @cached_property
    def device(self) -> str:
        """Where torch runs what is trained."""
        return str(self.machine.fabric().device)

    def at(self, stage: Stage) -> Path:
        """A stage's folder."""
        return self.folder / stage.name

    def done(self, stage: Stage) -> bool:
        """Whether its product is there, and made from what those it builds on have left."""
        folder = self.at(stage)
        return self._stands(stage) and all((folder / name).is_file() for name in stage.products)

    def _stands(self, stage: Stage) -> bool:
        """Whether it was done, and what it builds on is still what it was made from."""
        record = self._record(stage)
        made = bool(record.get("digest")) and record["parents"] == self._parents(stage)
        return made and all(map(self._stands, stage.parents))

    def lacking(self, stage: Stage) -> Iterator[Stage]:
        """What is to be done for a stage, itself last, as far as can be told beforehand."""
        if not self.done(stage):
            for parent in stage.parents:
                yield from self.lacking(parent)
            yield stage

    def make(self, stage: Stage) -> Path:
        """Do a stage, and before it those that it builds on, as far as they are not done.

        Returns:
            Its folder.
        """
        folder = self.at(stage)
        if self.done(stage):
            return folder
        # What is done again mostly comes out as before: then this stands, and needs nothing else.
        for prepare in (self._settle, self.make):
            for parent in stage.parents:
                prepare(parent)
            if self.done(stage):
                return folder
        if folder.exists() and self._record(stage).get("parents") != self._parents(stage):
            shutil.rmtree(folder)
        there = (folder / RECORD).exists()
        self.say(f"{'going on with' if there else 'begins'}: {stage.name}")
        self._write(stage, "")
        stage.run(self)
        self._write(stage, _digest(folder, stage.products))
        return folder

    def _settle(self, stage: Stage) -> None:
        """Do again what no longer stands, without products that nothing needs."""
        for parent in stage.parents:
            self._settle(parent)
        if not self._stands(stage):
            self.make(stage)

    def copy_from(self, other: Workshop, stage: Stage, *, products: bool) -> None:
        """Copy another workshop's record of a stage, after its products or without them."""
        for name in (*(stage.products if products else ()), RECORD):
            with atomic(self.at(stage) / name) as part:
                shutil.copyfile(other.at(stage) / name, part)

    def differs(self, other: Workshop, stage: Stage) -> bool:
        """Whether a stage has come out here, and otherwise than in another workshop."""
        outcome = self._record(stage).get("digest")
        return bool(outcome) and outcome != other._record(stage).get("digest")

    def _record(self, stage: Stage) -> dict[str, Any]:
        path = self.at(stage) / RECORD
        found: dict[str, Any] = read_json(path) if path.exists() else {}
        return found

    def _parents(self, stage: Stage) -> dict[str, str]:
        """Digests of what it builds on."""
        return {parent.name: self._record(parent).get("digest", "") for parent in stage.parents}

    def _write(self, stage: Stage, digest: str) -> None:
        record = {
            "stage": type(stage).__name__,
            "identity": stage.identity,
            "parents": self._parents(stage),
            "commit": commit(),
            "digest": digest,
        }
        write_json(self.at(stage) / RECORD, record)


def stages_in(out: Path) -> Path:
    """Where the stages of an experiment's folder lie.

    Runs record where their labels come from: alike, through whatever link a study finds them.
    """
    return (out / STAGES).resolve()


def open_workshop(out: Path, machine: Machine) -> Workshop:
    """The workshop in an experiment's folder, which says on the terminal what it does.

    Raises:
        ConfigError: There are several devices.
    """
    if machine.devices != 1:
        raise ConfigError(
            f"an experiment trains each network on one device, got {machine.devices}; "
            "the commands teacher, pseudo-label and student take several"
        )
    return Workshop(stages_in(out), machine, Console(stderr=True, highlight=False).print)


def _digest(folder: Path, names: tuple[str, ...]) -> str:
    """SHA-256 over files."""
    found = hashlib.sha256()
    for name in names:
        found.update((folder / name).read_bytes())
    return found.hexdigest()
