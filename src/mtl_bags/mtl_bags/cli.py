"""Command line of mtl_bags: `mtl-bags`."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from mtl_bags.arguments import own_words
from mtl_bags.compose import cdr_header
from mtl_bags.errors import BagError
from mtl_bags.export import Selection, export
from mtl_bags.frames import SLOP_NS
from mtl_bags.labelled import LabelledBag
from mtl_bags.labelling.engines import Result, Task, by_ray, one_by_one, shards
from mtl_bags.labelling.job import Labeller
from mtl_bags.labelling.summary import SUMMARY, Settings, Summary, read_summary
from mtl_bags.reader import BagReader
from mtl_bags.report import SURE, report
from mtl_bags.rerun_file import write_rerun
from mtl_bags.topics import NONE, Camera
from mtl_core.errors import MtlError

T = TypeVar("T")

_SAID = {
    "repeated": "an image with the stamp of the one before",
    "backwards": "stamps that go backwards",
    "empty": "a message too short to be one",
}

DAMAGED = 3
"""Exit status: what could be read of a damaged recording was labelled."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns its exit status."""
    options = _parser().parse_args(own_words(argv))
    try:
        return int(options.run(options))
    except (BagError, MtlError, OSError) as err:
        print(f"mtl-bags: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("mtl-bags: interrupted; run the same command again to go on", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mtl-bags", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_label(commands.add_parser("label", help="pseudo-labels beside the original messages"))
    _add_export(commands.add_parser("export", help="labelled recordings to a training set"))
    _add_report(commands.add_parser("report", help="how far labels can be trusted, as HTML"))
    _add_info(commands.add_parser("info", help="what a recording holds"))
    _add_camera(commands.add_parser("camera", help="a recording's camera, as JSON"))
    return parser


def _add_label(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_label)
    parser.add_argument("recordings", nargs="+", type=Path, metavar="IN", help="rosbag2 or ROS 1")
    parser.add_argument("--out", type=Path, required=True, help="folder for the new recordings")
    parser.add_argument("--model", type=Path, required=True, help="the teacher's ONNX file")
    _add_topics(parser)
    parser.add_argument(
        "--slop",
        type=_amount,
        default=SLOP_NS / 1e9,
        metavar="S",
        help="between the stamps of a pair",
    )
    parser.add_argument("--no-flip", action="store_true", help="half the time, somewhat worse")
    parser.add_argument(
        "--depth-everywhere", action="store_true", help="also where the sensor has measured"
    )
    parser.add_argument("--labels-only", action="store_true", help="without original messages")
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap")
    parser.add_argument("--fx", type=_amount, default=0.0, help="where no camera_info says it")
    parser.add_argument(
        "--shard",
        type=_shard,
        default=(1, 1),
        metavar="I/N",
        help="the Ith of N parts of about equal size",
    )
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="ray: spread over a cluster"
    )
    parser.add_argument("--ray-address", default="", help="of the cluster (default: start one)")
    parser.add_argument("--workers", type=_count, default=0, help="frames at once (default: cores)")


def _label(options: argparse.Namespace) -> int:
    settings = Settings(
        colour=options.colour,
        depth=options.depth,
        slop_ns=round(options.slop * 1e9),
        flip=not options.no_flip,
        everywhere=options.depth_everywhere,
        labels_only=options.labels_only,
        storage=options.storage,
        fx=options.fx,
    )
    if len({_name(source) for source in options.recordings}) < len(options.recordings):
        raise BagError("two recordings have one name, so that their results would have one too")
    index, count = options.shard
    # In one order, wherever they are mounted, so that all machines divide alike.
    sources = sorted(options.recordings, key=_name)
    every = [Task(source, options.out / _name(source)) for source in sources]
    tasks = sorted(shards(every, count, Task.size)[index - 1], key=every.index)
    if options.engine == "ray":
        workers = options.workers or 1
        results = by_ray(options.model, settings, workers, tasks, options.ray_address)
    else:
        labeller = Labeller(options.model, settings, options.workers)
        results = one_by_one(labeller, tasks, _track)
    statuses = [_reported(result) for result in results]
    return next((status for status in (1, DAMAGED) if status in statuses), 0)


def _reported(result: Result) -> int:
    """Say what became of a recording; returns its status."""
    if not isinstance(result, Summary):
        print(f"mtl-bags: {result}", file=sys.stderr)
        return 1
    _print_summary(result)
    return DAMAGED if result.damage else 0


def _track(frames: Iterable[T], total: int) -> Iterable[T]:
    return tqdm(frames, total=total, unit="frame")


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_export)
    parser.add_argument("recordings", nargs="+", type=Path, metavar="IN", help="labelled ones")
    _add_topics(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for the training set")
    parser.add_argument("--split", default="train", help="name of the split (default: train)")
    parser.add_argument(
        "--min-confidence", type=_amount, default=0.0, help="least mean confidence of a frame, 0..1"
    )
    parser.add_argument(
        "--min-change",
        type=_amount,
        default=0.0,
        help="least change of brightness, 0..1",
    )
    parser.add_argument(
        "--pseudo-depth", action="store_true", help="the teacher's depth, not the sensor's"
    )


def _export(options: argparse.Namespace) -> int:
    selection = Selection(
        options.split, options.min_confidence, options.min_change, not options.pseudo_depth
    )
    done = export(
        options.recordings,
        options.out,
        selection,
        _track,
        colour=options.colour,
        depth=options.depth,
    )
    print(f"{options.out}: {done.samples} samples")
    for reason, count in sorted(done.left_out.items()):
        print(f"  {count} x {reason}")
    return 0


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_report_page)
    parser.add_argument("recording", type=Path, metavar="IN", help="a labelled one")
    _add_topics(parser)
    parser.add_argument("--out", type=Path, required=True, help="the HTML file")
    parser.add_argument("--rerun", type=Path, metavar="FILE", help="and an .rrd for Rerun")


def _report_page(options: argparse.Namespace) -> int:
    found = report(
        options.recording, options.out, _track, colour=options.colour, depth=options.depth
    )
    print(
        f"{options.out}: {found.frames} frames, coverage {found.coverage(SURE):.1%} at {SURE:.0%}"
    )
    if options.rerun:
        with LabelledBag(options.recording, options.colour, options.depth) as bag:
            print(f"{options.rerun}: {write_rerun(bag, options.rerun, _track)} frames")
    return 0


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_info)
    parser.add_argument("recording", type=Path, metavar="IN")


def _info(options: argparse.Namespace) -> int:
    try:
        reader = BagReader(options.recording)
    except BagError:
        reader = BagReader(options.recording, salvage=True)
    with reader:
        width = max((len(topic.name) for topic in reader.topics), default=0)
        for topic in reader.topics:
            print(f"{topic.count:8} {topic.name:{width}}  {topic.msgtype}")
        try:
            camera = Camera.find(reader)
        except BagError as err:
            print(f"camera: {err}")
        else:
            named = {key: topic.name if topic else "none" for key, topic in vars(camera).items()}
            print("camera: " + ", ".join(f"{key} {name}" for key, name in named.items()))
        for damage in reader.damage:
            print(f"damaged: {damage}")
    summary = options.recording / SUMMARY
    if summary.is_file():
        _print_summary(read_summary(options.recording)[0])
    return DAMAGED if reader.damage else 0


def _add_camera(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_camera)
    parser.add_argument("recording", type=Path, metavar="IN")
    parser.add_argument("--colour", metavar="TOPIC", help="colour images (default: found)")


def _camera(options: argparse.Namespace) -> int:
    with BagReader(options.recording) as reader:
        camera = Camera.find(reader, options.colour, NONE)
        first = next(iter(reader.messages([camera.colour.name])), None)
    found = {
        "image": camera.colour.name,
        "transport": camera.transport,
        "camera_info": camera.info.name if camera.info else "",
        "frame_id": cdr_header(first.data).frame_id if first else "",
    }
    print(json.dumps(found))
    return 0


def _amount(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, got {text!r}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text!r}")
    return value


def _add_topics(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--colour", metavar="TOPIC", help="colour images (default: found)")
    parser.add_argument("--depth", metavar="TOPIC", help="depth images, or none (default: found)")


def _shard(text: str) -> tuple[int, int]:
    """`3/16`: the third of 16 parts."""
    index, slash, count = text.partition("/")
    if not (slash and index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise argparse.ArgumentTypeError(f"expected I/N with 1 <= I <= N, got {text!r}")
    return int(index), int(count)


def _name(source: Path) -> str:
    """Of a recording, and of the labelled one."""
    return source.resolve().stem if source.is_file() else source.resolve().name


def _print_summary(summary: Summary) -> None:
    tally = summary.tally
    print(f"{summary.out}: {summary.labelled} of {summary.frames} images labelled")
    print(f"  colour {summary.topics['colour']}, depth {summary.topics['depth'] or 'none'}", end="")
    print(f" ({tally['paired']} with depth, {tally['unused_depth']} depth images unused)")
    for name, said in _SAID.items():
        if tally[name]:
            print(f"  {tally[name]} x {said}")
    if summary.depth_ratio:
        median = summary.depth_ratio["50"]
        print(f"  the sensor's depth is {median:.2f} times the teacher's (median over images)")
    for problem, count in sorted(summary.problems.items()):
        print(f"  {count} x {problem}")
    for damage in summary.damage:
        print(f"  damaged: {damage}")
