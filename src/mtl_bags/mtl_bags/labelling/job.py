"""Labels one recording: into a journal, and meanwhile from there into a new recording.

Nothing is lost when the process ends on the way: what the journal holds is not computed again, and
the new recording, which is begun anew, appears under its name when it is complete.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from mtl_bags.compose import cdr_header
from mtl_bags.errors import AGAIN, BagError, DamageError, UnfinishedError
from mtl_bags.frames import RecordedFrame, Tally, recorded_frames
from mtl_bags.labelling.annotate import Annotator, label_info_message
from mtl_bags.labelling.journal import Journal, Key, Message, Outcome
from mtl_bags.labelling.names import LATCHED, LabelTopics
from mtl_bags.labelling.summary import SUMMARY, Identity, Settings, Summary, finished, percentiles
from mtl_bags.reader import BagReader
from mtl_bags.records import Record
from mtl_bags.salvage import is_rosbag2
from mtl_bags.topics import Camera
from mtl_bags.types import LABEL_INFO, described, project_types
from mtl_bags.writer import BagWriter
from mtl_core.labels import LabelMap
from mtl_core.predictor import ModelPredictor
from mtl_core.providers import Runtime
from mtl_core.teacher import Teacher, load_teacher

T = TypeVar("T")
R = TypeVar("R")

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
        self.model, self.settings = load_teacher(model, Runtime(threads=1)), settings
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
            summary = finished(out, identity)
            shutil.rmtree(_work(out), ignore_errors=True)  # if the last run ended just before that
            return summary
        try:
            return self._run(source, out, identity, track)
        except DamageError as err:
            if not is_rosbag2(source):
                raise
            damage = str(err)
        return self._run(source, out, identity, track, damage)

    def _identity(self, source: Path) -> Identity:
        if not source.exists():
            raise BagError(f"{source} does not exist")
        files = sorted(source.iterdir()) if source.is_dir() else [source]
        stats = [(file.name, file.stat()) for file in files if file.is_file()]
        return {
            "source": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats],
            "model": self.model.sha256,
            **asdict(self.settings),
        }

    def _run(
        self, source: Path, out: Path, identity: Identity, track: Track, damage: str = ""
    ) -> Summary:
        """Label a recording; a damaged one in the order in which it is salvaged."""
        work = _work(out)
        growing = work / out.name
        # Images come in another order then, and have other keys.
        journal_path = work / ("salvaged.sqlite" if damage else "journal.sqlite")
        with ExitStack() as stack:
            # Two readers: labelling goes ahead of writing.
            reader, original = (
                stack.enter_context(BagReader(source, salvage=bool(damage))) for _ in range(2)
            )
            camera = Camera.find(reader, self.settings.colour, self.settings.depth)
            topics = LabelTopics.beside(camera.colour.name)
            _check_unlabelled(reader, topics)
            journal = stack.enter_context(Journal(journal_path, identity))
            _remove_partial(work)
            damages = (damage, *reader.damage) if damage else ()
            run = _Run(self, reader, original, camera, topics, journal, damages)
            summary = run.write(source, out, growing, identity, track)
        try:
            os.rename(growing, out)
        except OSError as err:
            raise UnfinishedError(f"cannot complete {out}: {err}{AGAIN}") from err
        shutil.rmtree(work, ignore_errors=True)
        return summary

    def teacher(self) -> Teacher:
        """One for each thread: pre-processing has a tensor that is used again for each image."""
        predictor = ModelPredictor(self.model)
        return Teacher(predictor, self.settings.flip, self.settings.everywhere)


@dataclass(frozen=True)
class _Run:
    """One recording on its way to a labelled one.

    Attributes:
        labeller: Labels it.
        reader: The recording, for frames to label.
        original: The same, for what is passed through.
        camera: Its topics that are labelled.
        topics: Where labels go.
        journal: What has been labelled.
        damage: What is known to be wrong with the recording, in sentences.
    """

    labeller: Labeller
    reader: BagReader
    original: BagReader
    camera: Camera
    topics: LabelTopics
    journal: Journal
    damage: tuple[str, ...]

    def write(
        self, source: Path, out: Path, growing: Path, identity: Identity, track: Track
    ) -> Summary:
        """Label, and write the new recording.

        Raises:
            BagError: The disk does not take it; what was labelled is kept.
        """
        storage, tally = self.labeller.settings.storage, Tally()
        try:
            with BagWriter(growing, storage, overwrite=True, compress=True) as writer:
                self._describe(writer)
                with closing(self._labelled(track, tally)) as labelled:
                    self._copy(writer, labelled)
                self._check_count(tally)
                summary = self._summary(source, out, tally)
                writer.note("mtl_labels", f"{summary.model} sha256:{summary.model_sha256}")
                writer.attach(SUMMARY, summary.to_json(identity))
        except (DamageError, UnfinishedError):
            raise
        except BagError as err:
            raise UnfinishedError(f"{err}{AGAIN}") from err
        return summary

    def _labelled(self, track: Track, tally: Tally) -> Generator[Key, None, None]:
        """Yield the images' keys, in their order, as soon as the journal holds their outcomes."""
        own = threading.local()
        settings, workers = self.labeller.settings, self.labeller.workers

        def annotate(keyed: tuple[Key, RecordedFrame | None]) -> Outcome | None:
            _, frame = keyed
            if frame is None:
                return None
            if not hasattr(own, "annotator"):
                teacher, fx = self.labeller.teacher(), settings.fx
                own.annotator = Annotator(self.reader.deserialize, teacher, self.topics, fx)
            outcome: Outcome = own.annotator(frame)
            return outcome

        frames = _keyed(recorded_frames(self.reader, self.camera, settings.slop_ns, tally))
        tracked = track(frames, self.camera.colour.count)
        lacking = ((key, None if key in self.journal else frame) for key, frame in tracked)
        with ThreadPoolExecutor(workers) as pool:
            for (key, _), outcome in in_order(pool, annotate, lacking, 2 * workers):
                if outcome:
                    self.journal.add(key, outcome)
                yield key

    def _check_count(self, tally: Tally) -> None:
        """Refuse to take for whole what lacks images, unless that is known."""
        read, colour = tally.paired + tally.alone, self.camera.colour
        if read < colour.count and not self.damage:
            raise DamageError(
                f"{self.reader.path}: {colour.count} messages of {colour.name} expected, "
                f"{read} are read"
            )

    def _summary(self, source: Path, out: Path, tally: Tally) -> Summary:
        """What has become of the recording."""
        return Summary(
            source=str(source),
            out=str(out),
            model=self.labeller.model.card.name,
            model_sha256=self.labeller.model.sha256,
            settings=asdict(self.labeller.settings),
            topics={k: v.name if v else None for k, v in vars(self.camera).items()},
            frames=tally.paired + tally.alone,
            labelled=self.journal.labelled(),
            problems=dict(self.journal.problems()),
            tally=asdict(tally),
            depth_ratio=percentiles(self.journal.depth_ratios()),
            damage=list(self.damage),
        )

    def _describe(self, writer: BagWriter) -> None:
        for topic in self.reader.topics:
            description = self.reader.description(topic.name, topic.msgtype)
            writer.describe(topic.name, topic.msgtype, description)
        info = described(LABEL_INFO, project_types(), qos=[LATCHED])
        writer.describe(self.topics.label_info, LABEL_INFO, info)

    def _copy(self, writer: BagWriter, labelled: Iterator[Key]) -> None:
        """The original messages, and after each image its labels."""
        labels_only, colour = self.labeller.settings.labels_only, self.camera.colour.name
        told = False
        for record in self.original.messages([colour] if labels_only else None):
            if not labels_only:
                writer.write(record.topic, record.msgtype, record.time_ns, record.data)
            if record.topic != colour:
                continue
            key = next(labelled, None)
            if key is None or key.time_ns != record.time_ns:
                raise self._changed()
            labels = list(self.journal.messages(key))
            if labels and not told:
                labels, told = [self._label_info(record), *labels], True
            for message in labels:
                writer.write(message.topic, message.msgtype, record.time_ns, message.data)
        if next(labelled, None):
            raise self._changed()

    def _changed(self) -> DamageError:
        return DamageError(f"{self.reader.path}: read twice, it has other images each time")

    def _label_info(self, image: Record) -> Message:
        return label_info_message(self.topics, self.labeller.label_map, cdr_header(image.data))


def _keyed(frames: Iterable[RecordedFrame]) -> Iterator[Keyed]:
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


def _work(out: Path) -> Path:
    """Where work stands until it is complete."""
    return out.with_name(f".{out.name}.labelling")


def _remove_partial(work: Path) -> None:
    """Remove what earlier runs had begun to write."""
    for path in work.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _check_unlabelled(reader: BagReader, topics: LabelTopics) -> None:
    there = {topic.name for topic in reader.topics} & set(vars(topics).values())
    if there:
        raise BagError(
            f"{reader.path} has labels already ({', '.join(sorted(there))}): "
            "expected the recording without them"
        )
