"""Writes rosbag2 recordings that appear under their name only when they are complete."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Literal

from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from mtl_bags.errors import BagError

Storage = Literal["mcap", "sqlite3"]

_PLUGINS: dict[str, StoragePlugin] = {
    "mcap": StoragePlugin.MCAP,
    "sqlite3": StoragePlugin.SQLITE3,
}
_METADATA = "metadata.yaml"
_VERSION: Literal[8] = 8
"""Of the metadata: Humble cannot read 9, and all later distributions read 8."""


class BagWriter:
    """A rosbag2 folder being written; a context manager.

    The recording grows in a hidden folder beside `path`, which takes its name when the `with` block
    ends well and is removed when it ends with an exception.

    Args:
        path: The folder to make.
        storage: `mcap`, or `sqlite3` for Humble.
        overwrite: Replace a recording that stands there; anything else is never replaced.

    Raises:
        BagError: `path` is taken, or cannot be written, or the storage is unknown.
    """

    def __init__(
        self, path: str | Path, storage: Storage = "mcap", *, overwrite: bool = False
    ) -> None:
        """Make the hidden folder and opens the recording in it."""
        self.path = Path(path).absolute()
        self._overwrite = overwrite
        if storage not in _PLUGINS:
            raise BagError(f"storage must be one of {', '.join(_PLUGINS)}, got {storage!r}")
        self._check_free()
        self._typestore = get_typestore(Stores.LATEST)
        self._connections: dict[tuple[str, str], Connection] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._hidden = Path(
                tempfile.mkdtemp(prefix=f".{self.path.name}.partial-", dir=self.path.parent)
            )
        except OSError as err:
            raise BagError(f"cannot write a recording at {self.path}: {err}") from err
        self._growing = self._hidden / self.path.name  # the file inside is named after its folder
        self._writer = Writer(self._growing, version=_VERSION, storage_plugin=_PLUGINS[storage])
        self._writer.open()

    def __enter__(self) -> BagWriter:
        """Return the writer, which is open already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete the recording, or removes it after an exception."""
        if kind is None:
            self.close()
        else:
            self.abort()

    def write(self, topic: str, msgtype: str, time_ns: int, data: bytes) -> None:
        """Append a message; a topic begins with its first message.

        Args:
            topic: Full name.
            msgtype: Such as `sensor_msgs/msg/Image`.
            time_ns: Time of recording.
            data: CDR.

        Raises:
            BagError: The type is not known, or the disk does not take the message.
        """
        connection = self._connections.get((topic, msgtype)) or self._connect(topic, msgtype)
        try:
            self._writer.write(connection, time_ns, data)
        except Exception as err:  # sqlite3's errors and the system's share no root
            raise BagError(f"cannot write to {self.path}: {err}") from err

    def close(self) -> None:
        """Complete the recording and gives it its name.

        Raises:
            BagError: The disk does not take it, or the name has been taken meanwhile.
        """
        try:
            self._writer.close()
            self._check_free()
            self._take_name()
        except OSError as err:
            raise BagError(f"cannot complete {self.path}: {err}") from err
        finally:
            shutil.rmtree(self._hidden, ignore_errors=True)

    def abort(self) -> None:
        """Remove what was written."""
        self._writer.abort()
        shutil.rmtree(self._hidden, ignore_errors=True)

    def _take_name(self) -> None:
        """Put what grew in the place of what stands there, which comes back if that fails."""
        replaced = self._hidden / "replaced"
        if not self.path.exists():
            os.rename(self._growing, self.path)
            return
        os.rename(self.path, replaced)
        try:
            os.rename(self._growing, self.path)
        except OSError:
            os.rename(replaced, self.path)
            raise

    def _connect(self, topic: str, msgtype: str) -> Connection:
        if msgtype not in self._typestore.fielddefs:
            raise BagError(f"cannot write {topic}: message type {msgtype!r} is not known")
        connection = self._writer.add_connection(topic, msgtype, typestore=self._typestore)
        self._connections[topic, msgtype] = connection
        return connection

    def _check_free(self) -> None:
        if not self.path.exists():
            return
        if not self._overwrite:
            raise BagError(f"{self.path} exists already")
        if not (self.path / _METADATA).is_file():
            raise BagError(f"{self.path} is not a recording and is not replaced")
