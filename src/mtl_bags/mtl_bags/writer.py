"""Writes rosbag2 recordings that appear under their name only when they are complete."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Literal

from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from mtl_bags.errors import BagError
from mtl_bags.records import Description
from mtl_bags.types import described, standard_types

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
        compress: Compress the chunks of an mcap file with zstd; sqlite3 knows no such thing.

    Raises:
        BagError: `path` is taken, or cannot be written, or the storage is unknown.
    """

    def __init__(
        self,
        path: str | Path,
        storage: Storage = "mcap",
        *,
        overwrite: bool = False,
        compress: bool = False,
    ) -> None:
        """Make the hidden folder and opens the recording in it."""
        self.path = Path(path).absolute()
        self._overwrite = overwrite
        if storage not in _PLUGINS:
            raise BagError(f"storage must be one of {', '.join(_PLUGINS)}, got {storage!r}")
        if storage == "sqlite3" and (odd := sorted(set("#?%") & set(str(self.path)))):
            # rosbags puts the path into a URI as it is, and would write another file.
            raise BagError(f"{self.path}: sqlite3 takes no path with {' '.join(odd)}; mcap does")
        self._check_free()
        self._connections: dict[tuple[str, str], Connection] = {}
        self._described: dict[tuple[str, str], Description] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._hidden = Path(
                tempfile.mkdtemp(prefix=f".{self.path.name}.partial-", dir=self.path.parent)
            )
        except OSError as err:
            raise BagError(f"cannot write a recording at {self.path}: {err}") from err
        self._growing = self._hidden / self.path.name  # the file inside is named after its folder
        self._writer = Writer(self._growing, version=_VERSION, storage_plugin=_PLUGINS[storage])
        if compress and storage == "mcap":
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        try:
            self._writer.open()
        except Exception as err:  # sqlite3's errors and the system's share no root
            shutil.rmtree(self._hidden, ignore_errors=True)
            raise BagError(f"cannot write a recording at {self.path}: {err}") from err

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

    def describe(self, topic: str, msgtype: str, description: Description) -> None:
        """Say how a topic is to be described, before its first message; else as ROS 2 does."""
        self._described[topic, msgtype] = description

    def note(self, key: str, text: str) -> None:
        """Put a text into the metadata's custom data."""
        self._writer.set_custom_data(key, text)

    def attach(self, name: str, text: str) -> None:
        """Put a file beside the recording's own.

        Raises:
            BagError: The disk does not take it.
        """
        try:
            (self._growing / name).write_text(text, encoding="utf-8")
        except OSError as err:
            raise BagError(f"cannot write to {self.path}: {err}") from err

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
        try:
            connection = self._connections.get((topic, msgtype)) or self._connect(topic, msgtype)
            self._writer.write(connection, time_ns, data)
        except BagError:
            raise
        except Exception as err:  # sqlite3's errors and the system's share no root
            raise BagError(f"cannot write to {self.path}: {err}") from err

    def close(self) -> None:
        """Complete the recording and gives it its name.

        Raises:
            BagError: The disk does not take it, or the name has been taken meanwhile.
        """
        try:
            self._writer.close()
            self._to_disk()
            self._check_free()
            self._take_name()
        except BagError:
            raise
        except Exception as err:
            raise BagError(f"cannot complete {self.path}: {err}") from err
        finally:
            shutil.rmtree(self._hidden, ignore_errors=True)

    def abort(self) -> None:
        """Remove what was written."""
        self._writer.abort()
        shutil.rmtree(self._hidden, ignore_errors=True)

    def _to_disk(self) -> None:
        """So that after a power cut, what has the name is whole."""
        for path in (*self._growing.iterdir(), self._growing):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

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
        description = self._described.get((topic, msgtype))
        if description is None:
            if msgtype not in standard_types().fielddefs:
                raise BagError(f"cannot write {topic}: message type {msgtype!r} is not known")
            description = described(msgtype, standard_types())
        connection = self._writer.add_connection(
            topic,
            msgtype,
            msgdef=description.definition,
            rihs01=description.type_hash,
            offered_qos_profiles=description.qos,
        )
        self._connections[topic, msgtype] = connection
        return connection

    def _check_free(self) -> None:
        if not self.path.exists():
            return
        if not self._overwrite:
            raise BagError(f"{self.path} exists already")
        if not (self.path / _METADATA).is_file():
            raise BagError(f"{self.path} is not a recording and is not replaced")
