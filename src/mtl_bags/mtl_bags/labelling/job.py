"""Labels one recording: all of its images first, into a journal; then a new recording is written.

Nothing is lost when the process ends on the way: what the journal holds is not computed again, and
the new recording appears under its name when it is complete.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mtl_bags.compose import cdr_header
from mtl_bags.errors import BagError, DamageError
from mtl_bags.frames import SLOP_NS, RecordedFrame, Tally, recorded_frames
from mtl_bags.labelling.annotate import Annotator, label_info_message
from mtl_bags.labelling.journal import Journal, Key, Outcome
from mtl_bags.labelling.names import LATCHED, LabelTopics
from mtl_bags.reader import BagReader
from mtl_bags.salvage import is_rosbag2
from mtl_bags.topics import Camera
from mtl_bags.types import LABEL_INFO, described, project_types
from mtl_bags.writer import BagWriter, Storage
from mtl_core.labels import LabelMap
from mtl_core.predictor import ModelPredictor
from mtl_core.teacher import Teacher, load_teacher

T = TypeVar("T")
R = TypeVar("R")

_AGAIN = "; what is done is kept, run the same command again to go on"

SUMMARY = "mtl_labels.json"
"""In the new recording's folder: what was done, and how."""


@dataclass(frozen=True)
class Settings:
    """How recordings are labelled.

    Attributes:
        colour: Topic of the colour images; None = found by type and name.
        depth: Topic of the depth images, `none` for none; None = likewise.
        slop_ns: The largest difference between the stamps of colour and depth of a frame.
        flip: Ask the teacher for the mirror image too.
        everywhere: Offer depth also where the sensor has some.
        labels_only: Leave the original messages out.
        storage: Of the new recording.
        fx: Focal length where no camera_info says it, pixels; 0 = the model's own.
    """

    colour: str | None = None
    depth: str | None = None
    slop_ns: int = SLOP_NS
    flip: bool = True
    everywhere: bool = False
    labels_only: bool = False
    storage: Storage = "mcap"
    fx: float = 0.0


@dataclass(frozen=True)
class Summary:
    """What became of a recording.

    Attributes:
        source: The recording.
        out: The new one.
        model: Name of the teacher.
        model_sha256: Of its file.
        settings: How it was labelled.
        topics: What was read.
        frames: Images that there were.
        labelled: Images with labels.
        problems: How many images had which problem.
        tally: Pairs of colour and depth, stamps that repeat or go backwards.
        depth_ratio: The sensor's depth over the teacher's, by percentile over images: where it is
            not about 1, the camera's focal length is not what camera_info says, or the scenes are
            not what the teacher knows. Empty without a sensor.
        damage: What of the recording could not be read.
    """

    source: str
    out: str
    model: str
    model_sha256: str
    settings: dict[str, Any]
    topics: dict[str, str | None]
    frames: int
    labelled: int
    problems: dict[str, int]
    tally: dict[str, int]
    depth_ratio: dict[str, float]
    damage: list[str]


Keyed = tuple[Key, RecordedFrame]
Track = Callable[[Iterable[Keyed], int], Iterable[Keyed]]
"""Passes frames on; it is told how many there are."""


class Labeller:
    """A teacher and settings, for any number of recordings.

    Args:
        model: The teacher's ONNX file.
        settings: How to label.
        workers: Frames that are worked on at once, each on one core; 0 = as many as cores.

    Raises:
        ModelError: The file is no teacher.
    """

    def __init__(self, model: Path, settings: Settings, workers: int = 0) -> None:
        """Load the model."""
        self.model, self.settings = load_teacher(model, threads=1), settings
        self.sha256 = sha256(model.read_bytes()).hexdigest()
        self.workers = workers or os.cpu_count() or 1

    @property
    def label_map(self) -> LabelMap:
        """The classes of its masks."""
        label_map = self.model.card.label_map
        if label_map is None:
            raise BagError(f"{self.model.path}: a teacher of segmentation expected")
        return label_map

    def label(self, source: Path, out: Path, track: Track = lambda frames, _: frames) -> Summary:
        """Label a recording; again after an interruption, it goes on where it was.

        Args:
            source: A rosbag2 folder or file, or a ROS 1 bag.
            out: The rosbag2 folder to make. Until it is complete, work stands beside it.
            track: Wraps the frames that are labelled, such as in a progress bar.

        Returns:
            Of this run, or of an earlier one that has done the same.

        Raises:
            BagError: Nothing can be read, no colour topic is found, another result stands at
                `out`, or the disk is full.
        """
        identity = self._identity(source)
        if out.exists():
            summary = _finished(out, identity)
            shutil.rmtree(_work(out), ignore_errors=True)  # if the last run ended just before that
            return summary
        try:
            return self._run(source, out, identity, track)
        except DamageError as err:
            if not is_rosbag2(source):
                raise
            return self._run(source, out, identity, track, damage=str(err))

    def _identity(self, source: Path) -> dict[str, Any]:
        """What the result depends on."""
        if not source.exists():
            raise BagError(f"{source} does not exist")
        files = sorted(source.iterdir()) if source.is_dir() else [source]
        stats = [(file.name, file.stat()) for file in files if file.is_file()]
        return {
            "source": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats],
            "model": self.sha256,
            **asdict(self.settings),
        }

    def _run(
        self, source: Path, out: Path, identity: dict[str, Any], track: Track, damage: str = ""
    ) -> Summary:
        """Label a recording; a damaged one in the order in which it is salvaged."""
        work = _work(out)
        growing = work / out.name
        # Images come in another order then, and have other keys.
        journal_path = work / ("salvaged.sqlite" if damage else "journal.sqlite")
        with BagReader(source, salvage=bool(damage)) as reader:
            camera = find_camera(reader, self.settings)
            topics = LabelTopics.beside(camera.colour.name)
            _check_unlabelled(reader, topics)
            with Journal(journal_path, identity) as journal:
                _remove_partial(work)
                tally = self._fill(journal, reader, camera, topics, track)
                if not damage:
                    _check_count(reader, camera, tally)
                summary = self._summary(source, out, reader, camera, journal, tally, damage)
                self._write(growing, reader, camera, topics, journal, summary, identity)
        try:
            os.rename(growing, out)
        except OSError as err:
            raise BagError(f"cannot complete {out}: {err}{_AGAIN}") from err
        shutil.rmtree(work, ignore_errors=True)
        return summary

    def _fill(
        self,
        journal: Journal,
        reader: BagReader,
        camera: Camera,
        topics: LabelTopics,
        track: Track,
    ) -> Tally:
        """Label the images that the journal lacks."""
        tally = Tally()
        annotators = threading.local()

        def annotate(keyed: tuple[Key, RecordedFrame]) -> Outcome:
            if not hasattr(annotators, "own"):
                annotators.own = Annotator(
                    reader.deserialize, self.teacher(), topics, self.settings.fx
                )
            outcome: Outcome = annotators.own(keyed[1])
            return outcome

        frames = keyed(recorded_frames(reader, camera, self.settings.slop_ns, tally))
        lacking = (one for one in track(frames, camera.colour.count) if one[0] not in journal)
        with ThreadPoolExecutor(self.workers) as pool:
            for (key, _), outcome in in_order(pool, annotate, lacking, 2 * self.workers):
                journal.add(key, outcome)
        return tally

    def teacher(self) -> Teacher:
        """One for each thread: pre-processing has a tensor that is used again for each image."""
        predictor = ModelPredictor(self.model)
        return Teacher(predictor, self.settings.flip, self.settings.everywhere)

    def _summary(
        self,
        source: Path,
        out: Path,
        reader: BagReader,
        camera: Camera,
        journal: Journal,
        tally: Tally,
        damage: str,
    ) -> Summary:
        return Summary(
            source=str(source),
            out=str(out),
            model=self.model.card.name,
            model_sha256=self.sha256,
            settings=asdict(self.settings),
            topics={k: v.name if v else None for k, v in vars(camera).items()},
            frames=tally.paired + tally.alone,
            labelled=journal.labelled(),
            problems=dict(journal.problems()),
            tally=asdict(tally),
            depth_ratio=_percentiles(journal.depth_ratios()),
            damage=[damage, *reader.damage] if damage else [],
        )

    def _write(
        self,
        out: Path,
        reader: BagReader,
        camera: Camera,
        topics: LabelTopics,
        journal: Journal,
        summary: Summary,
        identity: dict[str, Any],
    ) -> None:
        """Write the new recording.

        Raises:
            BagError: The disk does not take it; what was labelled is kept.
        """
        try:
            self._copy(out, reader, camera, topics, journal, summary, identity)
        except DamageError:
            raise
        except BagError as err:
            raise BagError(f"{err}{_AGAIN}") from err

    def _copy(
        self,
        out: Path,
        reader: BagReader,
        camera: Camera,
        topics: LabelTopics,
        journal: Journal,
        summary: Summary,
        identity: dict[str, Any],
    ) -> None:
        only = [camera.colour.name] if self.settings.labels_only else None
        with BagWriter(out, self.settings.storage, overwrite=True, compress=True) as writer:
            for topic in reader.topics:
                description = reader.description(topic.name, topic.msgtype)
                writer.describe(topic.name, topic.msgtype, description)
            info = described(LABEL_INFO, project_types(), qos=[LATCHED])
            writer.describe(topics.label_info, LABEL_INFO, info)
            count, told = 0, False
            for record in reader.messages(only):
                if not self.settings.labels_only:
                    writer.write(record.topic, record.msgtype, record.time_ns, record.data)
                if record.topic != camera.colour.name:
                    continue
                key = Key(record.time_ns, count)
                count += 1
                for message in journal.messages(key):
                    if not told:
                        header = cdr_header(record.data)
                        first = label_info_message(topics, self.label_map, header)
                        writer.write(first.topic, first.msgtype, record.time_ns, first.data)
                        told = True
                    writer.write(message.topic, message.msgtype, record.time_ns, message.data)
            writer.note("mtl_labels", f"{summary.model} sha256:{summary.model_sha256}")
            text = json.dumps({"identity": identity, **asdict(summary)}, indent=1)
            writer.attach(SUMMARY, text)


def find_camera(reader: BagReader, settings: Settings) -> Camera:
    """The camera to label; depth that was found and not named must be registered to it.

    Raises:
        BagError: There is none, several are as likely, or the depth is another camera's view.
    """
    camera = Camera.find(reader, settings.colour, settings.depth)
    if camera.depth is None or settings.depth:
        return camera
    frames = []
    for topic in (camera.colour, camera.depth):
        record = next(reader.messages([topic.name]), None)
        if record is None:
            raise DamageError(f"{reader.path}: {topic.count} messages of {topic.name} expected")
        try:
            frames.append(cdr_header(record.data).frame_id)
        except ValueError:
            return camera  # it is counted among what cannot be read
    if frames[0] != frames[1]:
        raise BagError(
            f"{reader.path}: depth {camera.depth.name} is in frame {frames[1]!r}, colour "
            f"{camera.colour.name} in {frames[0]!r}: expected depth that is registered to the "
            f"colour image. Name it (--depth {camera.depth.name}) if it is, or pass --depth none"
        )
    return camera


def keyed(frames: Iterable[RecordedFrame]) -> Iterator[tuple[Key, RecordedFrame]]:
    """Frames with their keys."""
    for number, frame in enumerate(frames):
        yield Key(frame.image.time_ns, number), frame


def in_order(
    pool: ThreadPoolExecutor, do: Callable[[T], R], items: Iterable[T], ahead: int
) -> Iterator[tuple[T, R]]:
    """Do something with each item, at most so many ahead; yield results in the items' order."""
    running: deque[tuple[T, Future[R]]] = deque()
    try:
        for item in items:
            running.append((item, pool.submit(do, item)))
            if len(running) > ahead:
                done, future = running.popleft()
                yield done, future.result()
        while running:
            done, future = running.popleft()
            yield done, future.result()
    finally:
        for _, future in running:
            future.cancel()


def _percentiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    points = (5, 25, 50, 75, 95)
    found = np.percentile(values, points).tolist()
    return {str(point): round(value, 4) for point, value in zip(points, found, strict=True)}


def _work(out: Path) -> Path:
    """Where work stands until it is complete."""
    return out.with_name(f".{out.name}.labelling")


def _remove_partial(work: Path) -> None:
    """Remove what earlier runs had begun to write."""
    for path in work.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _check_count(reader: BagReader, camera: Camera, tally: Tally) -> None:
    read, expected = tally.paired + tally.alone, camera.colour.count
    if read < expected:
        raise DamageError(
            f"{reader.path}: {expected} messages of {camera.colour.name} expected, {read} are read"
        )


def _check_unlabelled(reader: BagReader, topics: LabelTopics) -> None:
    there = {topic.name for topic in reader.topics} & set(vars(topics).values())
    if there:
        raise BagError(
            f"{reader.path} has labels already ({', '.join(sorted(there))}): "
            "expected the recording without them"
        )


def read_summary(labelled: Path) -> tuple[Summary, dict[str, Any]]:
    """What was done to make a labelled recording, and what its work is known by.

    Raises:
        BagError: It is none.
    """
    try:
        found = json.loads((labelled / SUMMARY).read_text(encoding="utf-8"))
        identity = found.pop("identity")
        return Summary(**found), identity
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise BagError(f"{labelled} exists, and is no labelled recording: {err}") from err


def _finished(out: Path, identity: dict[str, Any]) -> Summary:
    """The summary of what stands there, if it is what is asked for."""
    summary, before = read_summary(out)
    if before != json.loads(json.dumps(identity)):
        changed = [k for k in identity if before.get(k) != json.loads(json.dumps(identity[k]))]
        raise BagError(
            f"{out} exists, made of or with something else ({', '.join(changed)}): "
            "remove it or name another folder"
        )
    return summary
