"""SROS 2 policies of the package's nodes: `mtl-policy student > student.policy.xml`.

What a node may read and write is taken from the tables that it works by itself. The files in
`security/` are what this says without options: one camera, no namespace, every parameter's choice.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

from mtl_bags.labelling.names import LabelTopics
from mtl_perception import environment, topics
from mtl_perception.errors import PerceptionError

VERSION = "0.2.0"
"""Of SROS 2's policy schema."""

CLOCK = "/clock"
"""Read with `use_sim_time`."""

EVERY_NODE = ("/rosout", "/parameter_events")
PARAMETERS = (
    *("~/describe_parameters", "~/get_parameter_types", "~/get_parameters", "~/list_parameters"),
    *("~/set_parameters", "~/set_parameters_atomically"),
)
TYPES = "~/get_type_description"
"""Services that rclpy gives a node; TYPES since Jazzy."""

TRANSITIONS = "~/transition_event"
LIFECYCLE = (
    *("~/change_state", "~/get_state", "~/get_available_states", "~/get_available_transitions"),
    "~/get_transition_graph",
)
"""Topic and services that rclpy gives a lifecycle node."""


@dataclass(frozen=True)
class Place:
    """Where a node runs.

    Attributes:
        node: Its name.
        namespace: In which it runs.
        rules: Of its remapping, from and to, as they are given to the node.
        cameras: Its parameter of this name.

    Raises:
        PerceptionError: The namespace does not begin with /.
    """

    node: str
    namespace: str = "/"
    rules: Mapping[str, str] = field(default_factory=dict)
    cameras: tuple[str, ...] = ("",)

    def __post_init__(self) -> None:
        """Refuse what no node could run in."""
        if not self.namespace.startswith("/"):
            got = repr(self.namespace)
            raise PerceptionError(f"namespace: expected one that begins with /, got {got}")

    def full(self, name: str) -> str:
        """Return the full name of a topic or service, as the node itself resolves it."""
        rules = {self._expanded(old): self._expanded(new) for old, new in self.rules.items()}
        expanded = self._expanded(name)
        return rules.get(expanded, expanded)

    def of_cameras(self, names: Iterable[str]) -> list[str]:
        """Return the names of topics that each camera has."""
        return [topics.of_camera(camera, name) for camera in self.cameras for name in names]

    def _expanded(self, name: str) -> str:
        if name.startswith("/"):
            return name
        parent = self.namespace.rstrip("/")
        return f"{parent}/{self.node}{name[1:]}" if name.startswith("~") else f"{parent}/{name}"


@dataclass(frozen=True)
class Rights:
    """What a node does, by names as they stand in its code.

    Attributes:
        publish: Topics.
        subscribe: Topics.
        reply: Services.
    """

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    reply: tuple[str, ...]


def _student(place: Place) -> Rights:
    from mtl_perception.camera import INPUTS, SCALES
    from mtl_perception.outputs import OUTPUTS

    inputs = (*INPUTS.values(), topics.CAMERA_INFO, *(topic for _, topic in SCALES.values()))
    outputs = place.of_cameras((*OUTPUTS, topics.LABEL_INFO))
    return Rights(
        publish=(*EVERY_NODE, TRANSITIONS, topics.DIAGNOSTICS, *outputs),
        subscribe=(CLOCK, *place.of_cameras(inputs)),
        reply=(*PARAMETERS, TYPES, *LIFECYCLE, topics.ENABLE),
    )


def _teacher(place: Place) -> Rights:
    from mtl_perception.teacher import DEPTHS, INPUTS

    labels = vars(LabelTopics.beside(place.full(topics.IMAGE))).values()
    inputs = [topic for _, topic in (*INPUTS.values(), *DEPTHS.values())]
    return Rights(
        publish=(*EVERY_NODE, topics.DIAGNOSTICS, *labels),
        subscribe=(CLOCK, topics.CAMERA_INFO, *inputs),
        reply=(*PARAMETERS, TYPES),
    )


def _health(place: Place) -> Rights:
    return Rights(publish=("/parameter_events",), subscribe=(topics.DIAGNOSTICS,), reply=(TYPES,))


NODES: dict[str, Callable[[Place], Rights]] = {
    "student": _student,
    "teacher": _teacher,
    "mtl_health": _health,
}
"""What each node does, by its name."""


def published(place: Place) -> frozenset[str]:
    """Return the full names of the topics that a node publishes."""
    return frozenset(map(place.full, NODES[place.node](place).publish))


def policy(place: Place, enclave: str = "") -> str:
    """Return a node's policy as an XML text.

    Args:
        place: Which node, and where it runs.
        enclave: Its path; empty: the node's full name.

    Raises:
        PerceptionError: This package has no such node.
    """
    if place.node not in NODES:
        raise PerceptionError(f"expected one of {', '.join(NODES)}, got {place.node!r}")
    rights = NODES[place.node](place)
    root = ElementTree.Element("policy", version=VERSION)
    path = enclave or f"{place.namespace.rstrip('/')}/{place.node}"
    profiles = ElementTree.SubElement(
        ElementTree.SubElement(ElementTree.SubElement(root, "enclaves"), "enclave", path=path),
        "profiles",
    )
    profile = ElementTree.SubElement(profiles, "profile", ns=place.namespace, node=place.node)
    _allow(profile, "service", "reply", map(place.full, rights.reply))
    _allow(profile, "topic", "subscribe", map(place.full, rights.subscribe))
    _allow(profile, "topic", "publish", map(place.full, rights.publish))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def _allow(profile: ElementTree.Element, kind: str, right: str, names: Iterable[str]) -> None:
    group = ElementTree.SubElement(profile, f"{kind}s", {right: "ALLOW"})
    for name in sorted(names):
        ElementTree.SubElement(group, kind).text = name


def main(argv: Sequence[str] | None = None) -> int:
    """Print a policy; returns 0, or 1 if there is none for what was asked."""
    options = _parser().parse_args(argv)
    environment.prepare()  # the nodes' own modules import rclpy
    try:
        rules = dict(_rule(text) for text in options.remap)
        place = Place(options.node, options.namespace, rules, tuple(options.cameras))
        print(policy(place, options.enclave), end="")
    except PerceptionError as err:
        print(f"mtl-policy: {err}", file=sys.stderr)
        return 1
    return 0


def _rule(text: str) -> tuple[str, str]:
    old, sign, new = text.partition(":=")
    if not (old and sign and new):
        raise PerceptionError(f"expected a rule FROM:=TO, got {text!r}")
    return old, new


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mtl-policy", description="Print the SROS 2 policy of one of this package's nodes."
    )
    parser.add_argument("node", choices=NODES)
    parser.add_argument("--namespace", default="/", help="in which the node runs (default: /)")
    parser.add_argument(
        "--cameras", nargs="+", default=[""], metavar="NAME", help="the student's parameter"
    )
    parser.add_argument(
        "-r", "--remap", action="append", default=[], metavar="FROM:=TO", help="as for the node"
    )
    parser.add_argument("--enclave", default="", help="path (default: the node's full name)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
