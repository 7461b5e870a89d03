"""Command line of the demo."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tqdm import tqdm

from mtl_bags.errors import BagError
from mtl_bags.reader import BagReader
from mtl_bags.synthetic import DEFAULT_INTRINSICS, Progress, write_room_bag
from mtl_bags.topics import NONE, Camera
from mtl_core.errors import MtlError
from mtl_perception import environment
from mtl_perception.demo.process import running
from mtl_perception.demo.replay import Replay
from mtl_perception.demo.score import Summary, score
from mtl_perception.demo.sheet import write_sheet
from mtl_perception.domain import own_domain
from mtl_perception.errors import PerceptionError
from mtl_perception.models import find_model
from mtl_perception.student_predictor import StudentPredictor

NODE = "mtl_perception.student_node"
ENOUGH = 0.99
"""Share of the frames that must be answered for the demo to succeed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; return 0 when nearly all frames were answered."""
    options = _parser().parse_args(argv)
    try:
        with _domain():
            summary = _run(options)
    except (PerceptionError, BagError, MtlError, OSError) as err:
        print(f"mtl-demo: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("mtl-demo: interrupted", file=sys.stderr)
        return 130
    return _verdict(summary, options.out)


@contextmanager
def _domain() -> Iterator[None]:
    """Keep away from a robot on the network, unless the user chose a domain."""
    if os.environ.get("ROS_DOMAIN_ID"):
        yield
        return
    with own_domain() as domain:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        try:
            yield
        finally:
            del os.environ["ROS_DOMAIN_ID"]


def _run(options: argparse.Namespace) -> Summary:
    environment.prepare()
    options.out.mkdir(parents=True, exist_ok=True)
    summary_path, sheet_path = options.out / "summary.json", options.out / "contact_sheet.png"
    for path in (summary_path, sheet_path):
        path.unlink(missing_ok=True)  # a demo that fails leaves no results, not the last ones
    model = find_model(options.model)
    label_map = StudentPredictor(model).label_map
    answers_path = options.out / "answers"
    with BagReader(options.bag or _rendered(options)) as recording:
        camera = Camera.find(recording, options.image_topic, NONE)
        arguments, log = _node_arguments(camera, model), options.out / "node.log"
        progress = _progress("replay over DDS", camera.colour.count)
        with running(NODE, arguments, log) as node:
            hz = None if options.lock_step else options.hz
            ledger = Replay(recording, camera, node, hz).run(answers_path, progress)
        with BagReader(answers_path) as answers:
            summary = Summary.of(ledger, score(recording, answers, label_map))
            write_sheet(sheet_path, recording, camera.colour.name, answers, label_map)
    summary_path.write_text(f"{summary.to_json()}\n", encoding="utf-8")
    return summary


def _rendered(options: argparse.Namespace) -> Path:
    path: Path = options.out / "recording"
    intrinsics = DEFAULT_INTRINSICS.resized(*options.size)
    progress = _progress(f"render room {options.seed}", options.frames)
    write_room_bag(
        path,
        options.seed,
        options.frames,
        options.hz,
        intrinsics,
        overwrite=True,
        progress=progress,
    )
    return path


def _node_arguments(camera: Camera, model: Path) -> list[str]:
    parameters = {"image_transport": camera.transport, "model": str(model.absolute())}
    pairs = (("-p", f"{name}:={value}") for name, value in parameters.items())
    return ["--ros-args", *(word for pair in pairs for word in pair)]


def _progress(title: str, total: int) -> Progress:
    return partial(tqdm, total=total, desc=title, unit="frame")


def _verdict(summary: Summary, out: Path) -> int:
    print(_table(summary))
    print(f"\n{out}: summary.json, contact_sheet.png, answers (a recording), node.log")
    sent, answered = summary.frames_sent, summary.frames_answered
    if answered >= ENOUGH * sent:
        return 0
    print(
        f"mtl-demo: {sent - answered} of {sent} frames went unanswered, more than "
        f"{1 - ENOUGH:.0%}: the node is too slow for this rate, or images were lost",
        file=sys.stderr,
    )
    return 1


def _table(summary: Summary) -> str:
    rows = {
        "frames sent": summary.frames_sent,
        "frames answered": summary.frames_answered,
        **{f"latency {name} [ms]": value for name, value in summary.latency_ms.items()},
        "mIoU over classes present": summary.scores.miou,
        "depth AbsRel": summary.scores.absrel,
        "depth delta1": summary.scores.delta1,
    }
    return "\n".join(f"  {name:<28}{_cell(value):>12}" for name, value in rows.items())


def _cell(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mtl-demo",
        description="Play a recording to the student node over DDS in real time, record what it "
        "publishes, and score it where the truth is known. Without --bag, a synthetic room is "
        "rendered first.",
    )
    parser.add_argument("--bag", type=Path, help="recording with a colour topic, raw or compressed")
    parser.add_argument("--image-topic", help="default: the one that looks like the colour camera")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="default: %(default)s")
    parser.add_argument("--model", default="", help="ONNX file or name; default: the package's")
    parser.add_argument("--hz", type=_positive, default=5.0, help="default: %(default)s")
    parser.add_argument(
        "--lock-step",
        action="store_true",
        help="send a frame when the last one has been answered, however slow the machine is",
    )
    rendering = parser.add_argument_group("synthetic room")
    rendering.add_argument("--seed", type=int, default=7, help="default: %(default)s")
    rendering.add_argument("--frames", type=_count, default=60, help="default: %(default)s")
    rendering.add_argument(
        "--size", type=_size, default=(640, 480), metavar="WxH", help="default: 640x480"
    )
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1000:
        raise argparse.ArgumentTypeError(f"expected a number above 0 and below 1000, got {text}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {text}")
    return value


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return _count(width), _count(height)
