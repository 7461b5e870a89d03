"""What has been labelled so far, safe from any end of the process: one SQLite file."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from mtl_bags.closing import Closing
from mtl_bags.errors import AGAIN, BagError, UnfinishedError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS identity (text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS frames (
  time_ns INTEGER NOT NULL,
  nth INTEGER NOT NULL,
  problem TEXT NOT NULL,
  depth_ratio REAL,
  PRIMARY KEY (time_ns, nth)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (
  time_ns INTEGER NOT NULL,
  nth INTEGER NOT NULL,
  topic TEXT NOT NULL,
  msgtype TEXT NOT NULL,
  data BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS of_frame ON messages (time_ns, nth);
"""


_PATIENCE_S = 1.0


class Key(NamedTuple):
    """Which image of a topic: the time of its recording, and how many came before it."""

    time_ns: int
    nth: int


class Message(NamedTuple):
    """A message to be written beside an image."""

    topic: str
    msgtype: str
    data: bytes


@dataclass(frozen=True)
class Outcome:
    """What became of an image.

    Attributes:
        messages: Its labels; none where it could not be read.
        problem: Why it could not be read, or what was ignored; "" = nothing.
        depth_ratio: Median of the sensor's depth over the teacher's; NaN = not known.
    """

    messages: tuple[Message, ...] = ()
    problem: str = ""
    depth_ratio: float = math.nan


class Journal(Closing):
    """Outcomes of images by their key; a context manager.

    Args:
        path: The file, made if there is none.
        identity: What the work is; a file of other work is refused.

    Raises:
        BagError: The file is of other work, damaged, or cannot be written.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Open the file, or begin it."""
        self._path = path
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None)
            # One process at a time; and without shared memory, as network file systems need it.
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode = WAL")
            # After a kill nothing is lost; after a power cut at most the last moments.
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(_SCHEMA)
        self._claim(json.dumps(identity, sort_keys=True))
        self._packer = zstandard.ZstdCompressor(level=1)
        self._unpacker = zstandard.ZstdDecompressor()

    def close(self) -> None:
        """Close the file; what is in it stays."""
        self._database.close()

    def __contains__(self, key: Key) -> bool:
        """Whether an image's outcome is known."""
        with self._translated():
            query = "SELECT 1 FROM frames WHERE time_ns = ? AND nth = ?"
            return self._database.execute(query, key).fetchone() is not None

    def add(self, key: Key, outcome: Outcome) -> None:
        """Keep an image's outcome, whole or not at all."""
        packed = [
            (*key, m.topic, m.msgtype, self._packer.compress(m.data)) for m in outcome.messages
        ]
        with self._translated():
            self._database.execute("BEGIN")
            try:
                self._database.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?)", packed)
                row = (*key, outcome.problem, outcome.depth_ratio)  # SQLite keeps NaN as NULL
                self._database.execute("INSERT INTO frames VALUES (?, ?, ?, ?)", row)
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def messages(self, key: Key) -> Iterator[Message]:
        """An image's labels, in the order in which they were given."""
        query = (
            "SELECT topic, msgtype, data FROM messages WHERE time_ns = ? AND nth = ? ORDER BY rowid"
        )
        with self._translated():
            for topic, msgtype, data in self._database.execute(query, key):
                yield Message(topic, msgtype, self._unpacker.decompress(data))

    def problems(self) -> Counter[str]:
        """How many images had which problem."""
        query = "SELECT problem, COUNT(*) FROM frames WHERE problem != '' GROUP BY problem"
        with self._translated():
            return Counter(dict(self._database.execute(query)))

    def depth_ratios(self) -> list[float]:
        """Of the images with sensor depth, in ascending order."""
        query = "SELECT depth_ratio FROM frames WHERE depth_ratio IS NOT NULL ORDER BY depth_ratio"
        with self._translated():
            return [ratio for (ratio,) in self._database.execute(query)]

    def labelled(self) -> int:
        """How many images have labels."""
        query = "SELECT COUNT(*) FROM (SELECT DISTINCT time_ns, nth FROM messages)"
        with self._translated():
            return int(self._database.execute(query).fetchone()[0])

    def _claim(self, identity: str) -> None:
        with self._translated():
            row = self._database.execute("SELECT text FROM identity").fetchone()
            begun = self._database.execute("SELECT 1 FROM frames LIMIT 1").fetchone()
            if row is None or not begun:
                self._database.execute("DELETE FROM identity")
                self._database.execute("INSERT INTO identity VALUES (?)", (identity,))
                return
        if row[0] != identity:
            before, now = json.loads(row[0]), json.loads(identity)
            changed = [k for k in now if before.get(k) != now[k]]
            self._database.close()
            raise BagError(
                f"{self._path.parent} holds unfinished work of other settings: "
                + "; ".join(f"{k} was {before.get(k)!r}, is {now[k]!r}" for k in changed)
                + ". Give those again, or remove the folder to begin anew."
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as err:
            if "locked" in str(err):
                raise BagError(f"{self._path}: another process is at work on it") from err
            raise self._kept(err) from err
        except (sqlite3.Error, OSError, zstandard.ZstdError) as err:
            raise self._kept(err) from err

    def _kept(self, err: Exception) -> UnfinishedError:
        return UnfinishedError(f"{self._path}: {err}{AGAIN}")
