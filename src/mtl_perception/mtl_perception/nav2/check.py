"""`mtl-check-nav2`: whether topics and parameters keep the rules of Nav2's semantic layer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtl_perception import environment
from mtl_perception.errors import PerceptionError
from mtl_perception.nav2.costmap import TOPICS
from mtl_perception.nav2.parameter_file import Layer, Source, read_layers
from mtl_perception.nav2.rules import in_parameters, on_topics
from mtl_perception.nav2.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from mtl_perception.nav2.heard import Heard

PROG = "mtl-check-nav2"

FRAMES = 10
TIMEOUT_S = 30.0

OPTIONS = {
    "mask": "segmentation_topic",
    "confidence": "confidence_topic",
    "labels": "labels_topic",
    "points": "pointcloud_topic",
}
"""Options that name a topic, and the layer's parameters which name it otherwise."""


OURS = {parameter: f"/{topic}" for parameter, topic in TOPICS.items()}

Topics = tuple[tuple[str, str], ...]
"""Names by the layer's parameter."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0; 1 if a rule is broken, or the file has no semantic layer.
    """
    options = _parser().parse_args(argv)
    try:
        layers = read_layers(options.costmap)
        verdicts = list(_verdicts(layers, options))
    except PerceptionError as err:
        print(f"{PROG}: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    counts = {one: sum(v.outcome is one for v in verdicts) for one in Outcome}
    print(
        f"{counts[Outcome.PASS]} passed, {counts[Outcome.FAIL]} failed, "
        f"{counts[Outcome.SKIP]} not checked"
    )
    return 1 if counts[Outcome.FAIL] else 0


def _verdicts(layers: Sequence[Layer], options: argparse.Namespace) -> Iterator[Verdict]:
    """Judge and print, one by one."""
    heard: dict[str, Heard] = {}
    if not options.parameters_only:
        for topics, sources in _streams(layers, options).items():
            print(f"topics of {', '.join(source.where for source in sources)}", flush=True)
            got = _listen(dict(topics), options)
            heard.update({source.where: got for source in sources})
            yield from _printed(on_topics(got, sources))
    for layer in layers:
        print(f"layer {layer.where}", flush=True)
        yield from _printed(in_parameters(layer, heard))


def _printed(verdicts: Sequence[Verdict]) -> Iterator[Verdict]:
    for verdict in verdicts:
        print(verdict, flush=True)
        yield verdict


def _streams(layers: Sequence[Layer], options: argparse.Namespace) -> dict[Topics, list[Source]]:
    """Return what to listen to, and who reads it: costmaps may share topics.

    Raises:
        PerceptionError: A topic is named twice.
    """
    given = {parameter: getattr(options, name) for name, parameter in OPTIONS.items()}
    chosen = {parameter: topic for parameter, topic in given.items() if topic}
    found: dict[Topics, list[Source]] = {}
    for source in (source for layer in layers for source in layer.sources()):
        named = {**(source.topics() if source.parameters else OURS), **chosen}
        topics = [topic for topic in named.values() if topic]
        if len(set(topics)) < len(topics):
            raise PerceptionError(f"{source.where}: expected a topic each, got {named}")
        found.setdefault(tuple(named.items()), []).append(source)
    return found


def _listen(topics: Mapping[str, str], options: argparse.Namespace) -> Heard:
    environment.prepare()  # rclpy reads the environment when it is imported
    from mtl_perception.nav2.listener import Listener

    with Listener(topics) as listener:
        return listener.listen(options.frames, options.timeout)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROG,
        description="Check what a running node publishes, and a costmap's parameters, against the "
        "seven rules of Nav2's semantic segmentation layer (docs/nav2.md). Says of each PASS, "
        "FAIL with what was got and what was expected, or SKIP; ends with 1 if one failed.",
    )
    add = parser.add_argument
    add("costmap", type=Path, metavar="COSTMAP_YAML", help="such as mtl-costmap-config writes")
    for name, parameter in OPTIONS.items():
        add(
            f"--{name}",
            metavar="TOPIC",
            help=f"default: {parameter} of each source; if it has no parameters, "
            f"/{TOPICS[parameter]}",
        )
    add(
        "--frames",
        type=_count,
        default=FRAMES,
        help=f"that are looked at; default: {FRAMES}",
    )
    add(
        "--timeout",
        type=float,
        default=TIMEOUT_S,
        metavar="SECONDS",
        help=f"the longest wait for them; default: {TIMEOUT_S:.0f}",
    )
    add("--parameters-only", action="store_true", help="rules 6 and 7, without ROS")
    return parser


def _count(text: str) -> int:
    if (value := int(text)) < 2:
        raise argparse.ArgumentTypeError(f"expected a number from 2, got {text}")
    return value


if __name__ == "__main__":
    raise SystemExit(main())
