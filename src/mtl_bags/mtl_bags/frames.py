"""The frames of a recorded camera: each image with its camera_info and its depth."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from mtl_bags.compose import cdr_stamp_ns
from mtl_bags.pairing import Pair, Pairer
from mtl_bags.reader import BagReader
from mtl_bags.records import Record
from mtl_bags.topics import Camera

SLOP_NS = 20_000_000
"""How far apart depth and colour of one frame may be: more than half a period at 30 Hz."""

PATIENCE_NS = 1_000_000_000

_RECENT = 64
"""How many camera_infos are looked through for one of an image's stamp."""

_HEADER_BYTES = 12


@dataclass(frozen=True)
class RecordedFrame:
    """An image of a recording, with the camera_info and the depth that belong to it."""

    stamp_ns: int
    image: Record
    camera_info: Record | None
    depth: Record | None = None


@dataclass
class Tally:
    """What was counted of a recording's frames.

    Attributes:
        paired: Images with depth.
        alone: Images without.
        unused_depth: Depth images that belong to none.
        backwards: How often stamps went backwards.
        repeated: Images whose stamp is that of the one before.
        empty: Messages too short for a header.
    """

    paired: int = 0
    alone: int = 0
    unused_depth: int = 0
    backwards: int = 0
    repeated: int = 0
    empty: int = 0


@dataclass
class _Infos:
    """The newest camera_infos; the first one stands for what came before it."""

    by_stamp: OrderedDict[int, Record] = field(default_factory=OrderedDict)
    first: Record | None = None
    latest: Record | None = None

    def add(self, record: Record) -> None:
        self.by_stamp[stamp_of(record)] = self.latest = record
        self.first = self.first or record
        if len(self.by_stamp) > _RECENT:
            self.by_stamp.popitem(last=False)


@dataclass(frozen=True)
class _Image:
    record: Record
    info: Record | None


class Frames:
    """Puts frames together from a camera's messages as they come: from a recording, or live.

    The camera_info is that of the image's stamp, else the last one that came before, else the first
    one. The depth is the nearest by stamp; see `pairing.Pairer`. Frames leave in the order of their
    images, as soon as all that belongs to them is known. What waits stays bounded.

    Args:
        has_info: Whether the camera has a camera_info.
        has_depth: Whether it has depth images.
        slop_ns: The largest difference between the stamps of colour and depth.
        tally: Counts are added to it.
    """

    def __init__(
        self,
        has_info: bool,
        has_depth: bool,
        slop_ns: int = SLOP_NS,
        tally: Tally | None = None,
    ) -> None:
        """Begin without any message."""
        self._has_info, self._has_depth = has_info, has_depth
        self._pairer: Pairer[_Image, Record] = Pairer(slop_ns, PATIENCE_NS)
        self._infos, self.tally = _Infos(), tally or Tally()
        self._waiting: deque[Pair[_Image, Record]] = deque()
        self._previous: int | None = None

    def image(self, record: Record) -> Iterator[RecordedFrame]:
        """Take an image; yield the frames that are whole now."""
        if _is_empty(record):  # it keeps its place among the others, and is refused later
            self.tally.empty += 1
            stamp_ns = record.time_ns if self._previous is None else self._previous
        else:
            stamp_ns = stamp_of(record)
            self.tally.repeated += stamp_ns == self._previous
        self._previous = stamp_ns
        item = _Image(record, self._infos.latest)
        alone: list[Pair[_Image, Record]] = [Pair(stamp_ns, item)]
        self._waiting.extend(self._pairer.first(stamp_ns, item) if self._has_depth else alone)
        yield from self._whole()

    def depth(self, record: Record) -> Iterator[RecordedFrame]:
        """Take a depth image; yield the frames that are whole now."""
        if _is_empty(record):
            self.tally.empty += 1
            return
        self._waiting.extend(self._pairer.second(stamp_of(record), record))
        yield from self._whole()

    def info(self, record: Record) -> Iterator[RecordedFrame]:
        """Take a camera_info; yield the frames that are whole now."""
        if _is_empty(record):
            self.tally.empty += 1
            return
        self._infos.add(record)
        while self._waiting and self._waiting[0].stamp_ns in self._infos.by_stamp:
            yield self._frame(self._waiting.popleft())

    def flush(self) -> Iterator[RecordedFrame]:
        """Yield all that waits, as if nothing more came."""
        self._waiting.extend(self._pairer.flush())
        while self._waiting:
            yield self._frame(self._waiting.popleft())
        self.tally.unused_depth, self.tally.backwards = self._pairer.unused, self._pairer.backwards

    def _whole(self) -> Iterator[RecordedFrame]:
        while self._waiting and self._is_whole(self._waiting[0].stamp_ns):
            yield self._frame(self._waiting.popleft())

    def _is_whole(self, stamp_ns: int) -> bool:
        """Whether the camera_info is known; that of the stamp may come after the image."""
        if not self._has_info or stamp_ns in self._infos.by_stamp:
            return True
        return len(self._waiting) > (1 if self._infos.latest else _RECENT)

    def _frame(self, pair: Pair[_Image, Record]) -> RecordedFrame:
        if pair.second:
            self.tally.paired += 1
        else:
            self.tally.alone += 1
        image = pair.first
        info = self._infos.by_stamp.get(pair.stamp_ns) or image.info or self._infos.first
        return RecordedFrame(pair.stamp_ns, image.record, info, pair.second)


def recorded_frames(
    reader: BagReader, camera: Camera, slop_ns: int = SLOP_NS, tally: Tally | None = None
) -> Iterator[RecordedFrame]:
    """Yield the frames of a recorded camera; see `Frames`.

    Args:
        reader: The recording.
        camera: Its topics.
        slop_ns: The largest difference between the stamps of colour and depth.
        tally: Counts are added to it.

    Raises:
        BagError: The recording is damaged.
    """
    frames = Frames(camera.info is not None, camera.depth is not None, slop_ns, tally)
    take = {camera.colour.name: frames.image}
    if camera.info:
        take[camera.info.name] = frames.info
    if camera.depth:
        take[camera.depth.name] = frames.depth
    for record in reader.messages(list(take)):
        yield from take[record.topic](record)
    yield from frames.flush()


def stamp_of(record: Record) -> int:
    """The stamp in a message's header, or the time of its recording if it is too short for one."""
    return record.time_ns if _is_empty(record) else cdr_stamp_ns(record.data)


def _is_empty(record: Record) -> bool:
    return len(record.data) < _HEADER_BYTES
