"""Labelled recordings, read back: each image with its labels."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtl_bags.closing import Closing
from mtl_bags.errors import BagError
from mtl_bags.frames import SLOP_NS, RecordedFrame, Tally, recorded_frames, stamp_of
from mtl_bags.labelling.names import MASK, PREFIX, LabelTopics
from mtl_bags.labelling.summary import SUMMARY, read_summary
from mtl_bags.reader import BagReader
from mtl_bags.records import COMPRESSED_IMAGE, IMAGE, Record
from mtl_bags.topics import NONE, NOT_COLOUR, Camera, words
from mtl_core.labels import LabelMap

_RECENT = 64
"""Images whose labels are kept, should they come out of order."""

LAG_NS = 10_000_000_000
"""How much later than its image a live teacher's label may have been recorded."""

Group = dict[str, Record]
"""Labels of one image by topic."""


@dataclass(frozen=True)
class LabelledFrame:
    """An image and its labels, as recorded.

    Attributes:
        frame: Image, camera_info and the sensor's depth.
        mask: Class ids.
        confidence: Of the classes.
        depth: Pseudo-depth; None where none was offered.
        depth_confidence: Likewise.
    """

    frame: RecordedFrame
    mask: Record
    confidence: Record
    depth: Record | None
    depth_confidence: Record | None


Track = Callable[[Iterable[LabelledFrame], int], Iterable[LabelledFrame]]
"""Passes frames on, such as through a progress bar; it is told how many images there are."""


class LabelledBag(Closing):
    """An open labelled recording; a context manager.

    Which topics were labelled, and how they were paired, says the summary that `mtl-bags label`
    leaves in it; what a live teacher's labels were recorded in has none.

    Args:
        path: A rosbag2 folder or file.
        colour: Topic of the colour images; None = those that were labelled.
        depth: Topic of the sensor's depth, `none` for none; None = that which was used.

    Raises:
        BagError: It cannot be read, has no labels, or has those of several cameras.

    Attributes:
        camera: The topics that were labelled.
        label_map: What the masks' ids mean.
        tally: Counts of the frames that were read.
        unlabelled: How many of them had no labels.
    """

    def __init__(self, path: Path, colour: str | None = None, depth: str | None = None) -> None:
        """Open the recording."""
        self.path, self.tally, self.unlabelled = path, Tally(), 0
        summary = read_summary(path)[0] if (path / SUMMARY).is_file() else None
        if summary:
            colour = colour or summary.topics["colour"]
            depth = depth or summary.topics["depth"] or NONE
        self._slop_ns = summary.settings["slop_ns"] if summary else SLOP_NS
        self._offline = summary is not None
        with ExitStack() as stack:
            # Two readers: one may go ahead of the other.
            self.reader = stack.enter_context(BagReader(path))
            self._labels = stack.enter_context(BagReader(path))
            self.camera = Camera.find(self.reader, colour or _labelled_topic(self.reader), depth)
            self.topics = LabelTopics.beside(self.camera.colour.name)
            self.label_map = self._label_map()
            self._open = stack.pop_all()

    def close(self) -> None:
        """Close the recording."""
        self._open.close()

    def __iter__(self) -> Iterator[LabelledFrame]:
        """Yield the images that have labels, in the order of their recording."""
        names = {topic.name for topic in self.reader.topics}
        wanted = [
            topic
            for topic in (
                self.topics.mask,
                self.topics.confidence,
                self.topics.depth,
                self.topics.depth_confidence,
            )
            if topic in names
        ]
        records = self._labels.messages(wanted)
        labels = _Written(records) if self._offline else _Recorded(records)
        self.tally, self.unlabelled = Tally(), 0
        for frame in recorded_frames(self.reader, self.camera, self._slop_ns, self.tally):
            found = labels.of(frame)
            if not {self.topics.mask, self.topics.confidence} <= found.keys():
                self.unlabelled += 1
                continue
            yield LabelledFrame(
                frame,
                found[self.topics.mask],
                found[self.topics.confidence],
                found.get(self.topics.depth),
                found.get(self.topics.depth_confidence),
            )

    def deserialize(self, record: Record) -> Any:
        """Return the message in a record; see `BagReader.deserialize`."""
        return self.reader.deserialize(record)

    def _label_map(self) -> LabelMap:
        if self.topics.label_info not in {topic.name for topic in self.reader.topics}:
            raise BagError(f"{self.path}: no {self.topics.label_info}, so nobody knows the classes")
        record = next(self.reader.messages([self.topics.label_info]), None)
        if record is None:
            raise BagError(f"{self.path}: {self.topics.label_info} is empty")
        info = self.reader.deserialize(record)
        return LabelMap.of_classes({c.class_id: c.class_name for c in info.class_map})


class _Written:
    """Labels as `mtl-bags label` writes them: at the image's time, in the images' order."""

    def __init__(self, records: Iterator[Record]) -> None:
        self._records = records
        self._next = next(records, None)

    def of(self, frame: RecordedFrame) -> Group:
        """The labels of an image."""
        found: Group = {}
        place = (frame.image.time_ns, frame.stamp_ns)
        while self._next and self._next.time_ns < place[0]:
            self._next = next(self._records, None)
        while (
            self._next
            and (self._next.time_ns, stamp_of(self._next)) == place
            and self._next.topic not in found
        ):
            found[self._next.topic] = self._next
            self._next = next(self._records, None)
        return found


class _Recorded:
    """Labels of a live teacher: by the stamp of their image, some time later.

    Where stamps repeat, the first labels belong to the first image.
    """

    def __init__(self, records: Iterator[Record]) -> None:
        self._records = records
        self._waiting: OrderedDict[int, deque[Group]] = OrderedDict()
        self._next = next(records, None)

    def of(self, frame: RecordedFrame) -> Group:
        """The labels of an image, read as far as is needed."""
        while self._next and self._may_belong(self._next, frame):
            groups = self._waiting.setdefault(stamp_of(self._next), deque())
            if not groups or self._next.topic in groups[-1]:
                groups.append({})
            groups[-1][self._next.topic] = self._next
            self._next = next(self._records, None)
        if len(self._waiting) > _RECENT:
            self._waiting.popitem(last=False)
        groups = self._waiting.get(frame.stamp_ns, deque())
        found = groups.popleft() if groups else {}
        if not groups:
            self._waiting.pop(frame.stamp_ns, None)
        return found

    def _may_belong(self, record: Record, frame: RecordedFrame) -> bool:
        if record.time_ns > frame.image.time_ns + LAG_NS:
            return False
        stamp, there = stamp_of(record), self._waiting.get(frame.stamp_ns)
        if stamp == frame.stamp_ns:
            return not there or record.topic not in there[-1]
        return stamp < frame.stamp_ns and not there


def _labelled_topic(reader: BagReader) -> str:
    """The colour topic that has labels beside it."""
    names = {topic.name for topic in reader.topics}
    masks = [t for t in reader.topics if t.name.endswith(f"/{PREFIX}/{MASK}") and t.count]
    if not masks:
        raise BagError(f"{reader.path} has no labels: no topic .../{PREFIX}/{MASK}")
    found = [
        topic.name
        for topic in reader.topics
        if topic.msgtype in (IMAGE, COMPRESSED_IMAGE)
        and LabelTopics.beside(topic.name).mask in names
        and not NOT_COLOUR & words(topic.name)
    ]
    if len(masks) > 1:
        listed = ", ".join(found)
        raise BagError(f"{reader.path} has labels of several cameras, name one: {listed}")
    if not found:
        raise BagError(f"{reader.path} has labels and no images beside them: {masks[0].name}")
    return found[0]
