"""Show in Rerun what the student sees: live topics, or those of a recording.

mtl-view                          live, in a new window of the viewer
mtl-view --namespace front --image /front/color/image_raw
mtl-view walks/monday             a recording that holds an image and its labels
mtl-view --save out/view.rrd      into a file, until Ctrl-C
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from mtl_bags.arguments import own_words
from mtl_bags.drawing import Drawing
from mtl_bags.errors import BagError
from mtl_bags.labelling.names import LabelTopics
from mtl_bags.reader import BagReader
from mtl_bags.records import COMPRESSED_IMAGE, IMAGE, Record
from mtl_bags.topics import find_camera_info_topic, find_colour_topic
from mtl_bags.types import LABEL_INFO
from mtl_core.errors import MtlError
from mtl_perception import environment, topics
from mtl_perception.errors import PerceptionError
from mtl_perception.process import SIGNALS
from mtl_perception.scene import Scene

KINDS = {"raw": IMAGE, "compressed": COMPRESSED_IMAGE}
"""Message type of each transport of images."""


def main(argv: Sequence[str] | None = None) -> int:
    """Show until the recording's end, or a signal; returns 0, or 1 if there is nothing to show."""
    options = _parser().parse_args(own_words(argv))
    try:
        drawing = Drawing("mtl_view", options.bag.resolve().name if options.bag else "live")
        target = drawing.saved(options.save) if options.save else drawing.shown(options.connect)
        with target:
            _show_recording(drawing, options) if options.bag else _show_live(drawing, options)
    except (BagError, MtlError, PerceptionError) as err:
        print(f"mtl-view: {err}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mtl-view",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bag", nargs="?", type=Path, help="a recording (default: live topics)")
    parser.add_argument(
        "--image",
        metavar="TOPIC",
        help=f"the camera's (default: {topics.IMAGE} in the namespace; of a recording: found)",
    )
    parser.add_argument(
        "--transport",
        choices=KINDS,
        help="of live images (default: compressed if the topic's name ends so, else raw)",
    )
    parser.add_argument(
        "--camera-info",
        metavar="TOPIC",
        help=f"the intrinsics (default: {topics.CAMERA_INFO} beside the image)",
    )
    parser.add_argument(
        "--namespace",
        metavar="NAME",
        help="of the student's outputs (default: none; of a recording: found)",
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="an .rrd instead of a window")
    parser.add_argument(
        "--connect", default="", metavar="URL", help="of a viewer that runs (default: start one)"
    )
    return parser


def _show_live(drawing: Drawing, options: argparse.Namespace) -> None:
    """Draw what comes, until a signal."""
    stop = threading.Event()
    for number in SIGNALS:
        signal.signal(number, lambda *_: stop.set())
    environment.prepare()  # rclpy reads the environment when it is imported
    from mtl_perception.label_info import LATCHED
    from mtl_perception.player import CAMERA_QOS, Station

    namespace = _absolute(options.namespace or "")
    image = options.image or f"{namespace}/{topics.IMAGE}"
    beside = topics.camera_info_beside(topics.uncompressed(image))
    named = "compressed" if image == topics.compressed(topics.uncompressed(image)) else "raw"
    kind = KINDS[options.transport or named]
    scene = Scene(drawing, image, kind, options.camera_info or beside, namespace)
    begun: set[str] = set()

    def take(record: Record, _: float) -> None:
        if record.topic not in begun:
            begun.add(record.topic)
            print(f"mtl-view: {record.topic} comes", flush=True)
        scene.take(record)

    with Station("mtl_view", {}, take) as station:
        for topic, kind in scene.topics.items():
            with _left_out(topic, kind):
                station.listen(topic, kind, LATCHED if kind == LABEL_INFO else CAMERA_QOS)
        station.spin_until(stop.is_set, math.inf)


@contextmanager
def _left_out(topic: str, kind: str) -> Iterator[None]:
    """Go on without a topic whose type's package is not installed."""
    try:
        yield
    except (ImportError, AttributeError):
        print(f"mtl-view: {topic} left out: {kind} is not installed", file=sys.stderr)


def _absolute(namespace: str) -> str:
    name = namespace.strip("/")
    return f"/{name}" if name else ""


def _show_recording(drawing: Drawing, options: argparse.Namespace) -> None:
    """Draw all that a recording holds of one camera and its labels."""
    with BagReader(options.bag) as reader:
        colour = reader.topic(options.image) if options.image else find_colour_topic(reader)
        beside = find_camera_info_topic(reader, colour)
        info = options.camera_info or (beside.name if beside else "")
        names = {topic.name for topic in reader.topics}
        namespace = options.namespace
        if namespace is None:
            namespace = _labelled_namespace(names, colour.name)
        place = _absolute(namespace)
        scene = Scene(drawing, colour.name, colour.msgtype, info, place, reader.deserialize)
        shown = names & scene.topics.keys()
        total = sum(topic.count for topic in reader.topics if topic.name in shown)
        for record in tqdm(reader.messages(shown), total=total, unit="message", disable=None):
            scene.take(record)


def _labelled_namespace(names: Iterable[str], colour: str) -> str:
    """Where a recording's labels lie: beside the colour image as `mtl-bags` writes them, or alone.

    Raises:
        PerceptionError: There are several, none of them beside the colour image.
    """
    ending = f"/{topics.MASK}"
    found = [name.removesuffix(ending) for name in sorted(names) if name.endswith(ending)]
    written = LabelTopics.beside(colour).mask.removesuffix(ending)
    beside = [name for name in found if name == written]
    if len(found) > 1 and not beside:
        raise PerceptionError(f"several have labels, name one as --namespace: {', '.join(found)}")
    return (beside or found or [""])[0]


if __name__ == "__main__":
    raise SystemExit(main())
