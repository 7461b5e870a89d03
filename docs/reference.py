"""Writes the tables in docs/ that say what the code says: `make docs`.

A page marks where a table stands by two comments, `<!-- begin NAME: ... -->` and `<!-- end -->`;
what lies between them is replaced.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from lifecycle_msgs.msg import TransitionEvent
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_sensor_data,
)
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool

from mtl_bags.labelling.names import LabelTopics
from mtl_bags.messages import COLOUR_ENCODINGS
from mtl_bags.types import LABEL_INFO
from mtl_perception import camera, outputs, teacher, topics
from mtl_perception.label_info import LATCHED
from mtl_perception.parameter_tables import STUDENT, TEACHER
from mtl_perception.parameters import Spec

FOLDER = Path(__file__).parent
PAGES = ("parameters.md", "topics.md")

BLOCK = re.compile(r"(<!-- begin ([\w ]+): [^>]*-->\n)(.*?)(<!-- end -->)", re.DOTALL)

TYPES: Mapping[type, str] = {
    bool: "bool",
    int: "integer",
    float: "double",
    str: "string",
    list: "string[]",
}
"""What ROS calls a parameter of a default's type."""

CHANGES = {
    "always": "any time",
    "while unconfigured": "while unconfigured",
    "at start": "at start only",
}


class Topic(NamedTuple):
    """A row of a table of topics.

    Attributes:
        name: As the node says it, before remapping.
        kind: Of its messages.
        qos: As the node asks for or offers it; None for a service.
        content: What a message says, with its unit.
        when: It is subscribed or published.
    """

    name: str
    kind: str
    qos: QoSProfile | None
    content: str
    when: str


def reliable(depth: int) -> QoSProfile:
    """Return the QoS of a topic that serves every subscriber."""
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE)


EACH = "each frame that is answered"
SOME_DEPTH = f"{EACH}, where depth is missing somewhere"
CAMERA_NEEDED = f"{EACH}, while camera_info is of the image's size and has a focal length"
CAMERA_KNOWN = f"{EACH}, while camera_info is of the image's size"

STUDENT_OUTPUTS: Mapping[str, tuple[str, str]] = {
    topics.MASK: ("mono8: class ids, 255 = unlabelled", EACH),
    topics.CONFIDENCE: ("mono8: probability of the class times 255, 0 where unlabelled", EACH),
    topics.OVERLAY: ("bgr8: the classes' colours over the image, for people", EACH),
    topics.SEGMENTATION_CAMERA_INFO: ("the camera, at the size of the mask", CAMERA_KNOWN),
    topics.DEPTH: ("32FC1 metres, or 16UC1 millimetres (`depth_encoding`), along Z", EACH),
    topics.DEPTH_CAMERA_INFO: ("the camera, at the size of the depth image", CAMERA_KNOWN),
    topics.UNCERTAINTY: (
        "32FC1: standard deviation of the depth, metres",
        f"{EACH}; not offered for a model that does not say it",
    ),
    topics.POINTS: (
        "x y z (float32, metres), rgb, label and confidence (uint8) of each pixel, organised",
        CAMERA_NEEDED,
    ),
}
"""Content of each of the student's outputs, and when it is published."""

SCALE_INPUTS = {
    topics.SCALE_DEPTH: "depth registered to the image: 32FC1 metres or 16UC1 millimetres",
    topics.SCALE_POINTS: "points in the camera's optical frame, metres",
}

LABEL_OUTPUTS: Mapping[str, tuple[type | None, str, str]] = {
    "mask": (Image, "mono8: class ids", EACH),
    "confidence": (Image, "mono8: probability of being right times 255", EACH),
    "label_info": (None, "names of the ids", "with the first mask; where vision_msgs is installed"),
    "segmentation_camera_info": (CameraInfo, "that of the image", CAMERA_KNOWN),
    "depth": (
        Image,
        "16UC1: millimetres; 0 where the sensor has measured (`depth_everywhere`: everywhere)",
        SOME_DEPTH,
    ),
    "depth_confidence": (
        Image,
        "mono8: probability of being right within a factor of 1.25, times 255",
        SOME_DEPTH,
    ),
    "depth_camera_info": (CameraInfo, "that of the image", "with each depth image, as above"),
}
"""Type, content and time of each of the teacher's outputs, by their names in `LabelTopics`."""

DIAGNOSTICS = Topic(
    topics.DIAGNOSTICS,
    "diagnostic_msgs/msg/DiagnosticArray",
    reliable(1),
    "see Diagnostics, below",
    "once a second, in every state",
)


def ros_name(kind: type, folder: str = "msg") -> str:
    """Return what ROS calls a type, such as `sensor_msgs/msg/Image`."""
    return f"{kind.__module__.partition('.')[0]}/{folder}/{kind.__name__}"


def student_inputs() -> Iterator[Topic]:
    """List what the student subscribes."""
    rows = [
        (topics.IMAGE, Image, "rectified colour", "`image_transport` is raw"),
        (
            topics.compressed(topics.IMAGE),
            CompressedImage,
            "the same as JPEG or PNG",
            "`image_transport` is compressed",
        ),
        (topics.CAMERA_INFO, CameraInfo, "the newest one counts; P, or K where P is empty", ""),
    ]
    rows += [
        (topic, kind, SCALE_INPUTS[topic], f"`scale_source` is {source}")
        for source, (kind, topic) in camera.SCALES.items()
    ]
    for name, kind, content, when in rows:
        yield Topic(name, ros_name(kind), qos_profile_sensor_data, content, when or "always")


def student_outputs() -> Iterator[Topic]:
    """List what the student publishes and offers."""
    check_keys(STUDENT_OUTPUTS, outputs.OUTPUTS)
    for name, (content, when) in STUDENT_OUTPUTS.items():
        kind, _ = outputs.OUTPUTS[name]
        yield Topic(name, ros_name(kind), reliable(outputs.QUEUE), content, when)
    yield Topic(
        topics.LABEL_INFO,
        LABEL_INFO,
        LATCHED,
        "names of the ids; `threshold` is `min_confidence`",
        "when the node is activated, and when a new model has other classes; where vision_msgs is "
        "installed",
    )
    yield DIAGNOSTICS
    yield Topic(
        "~/transition_event",
        ros_name(TransitionEvent),
        reliable(10),
        "the node's lifecycle",
        "at each transition",
    )
    yield Topic(
        topics.ENABLE,
        ros_name(SetBool, "srv"),
        None,
        "false: frames are not looked at; true: they are again",
        "service",
    )


def teacher_inputs() -> Iterator[Topic]:
    """List what the teacher subscribes."""
    for parameter, table in (("image", teacher.INPUTS), ("depth", teacher.DEPTHS)):
        what = "colour" if parameter == "image" else "the sensor's depth, registered to the image"
        for transport, (kind, name) in table.items():
            when = f"`{parameter}_transport` is {transport}"
            yield Topic(name, kind, reliable(teacher.HISTORY), what, when)
    yield Topic(
        topics.CAMERA_INFO,
        ros_name(CameraInfo),
        reliable(teacher.HISTORY),
        "the newest one of the image's time",
        "always",
    )


def teacher_outputs() -> Iterator[Topic]:
    """List what the teacher publishes, for an `image` that is not remapped."""
    names = LabelTopics.beside(topics.IMAGE)
    check_keys(LABEL_OUTPUTS, LabelTopics.__dataclass_fields__)
    for field, (kind, content, when) in LABEL_OUTPUTS.items():
        name = str(getattr(names, field)).lstrip("/")
        yield Topic(
            name,
            ros_name(kind) if kind else LABEL_INFO,
            reliable(teacher.HISTORY) if kind else LATCHED,
            content,
            when,
        )
    yield DIAGNOSTICS


def check_keys(described: Collection[str], known: Collection[str]) -> None:
    """Refuse a description that leaves something out or speaks of what there is not.

    Raises:
        KeyError: It does.
    """
    if difference := sorted(set(described) ^ set(known)):
        raise KeyError(f"described or known, not both: {', '.join(difference)}")


def parameter_table(specs: Iterable[Spec]) -> str:
    """Return the table of a node's parameters."""
    rows = (
        (
            f"`{spec.name}`",
            TYPES[type(spec.default)],
            shown(spec.default),
            allowed(spec),
            CHANGES[spec.change],
            spec.description,
        )
        for spec in specs
    )
    return table(("name", "type", "default", "values", "may be set", "what it does"), rows)


def shown(value: object) -> str:
    """Return a value as YAML has it."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return f"`[{', '.join(map(shown_text, value))}]`"
    return f"`{shown_text(value) if isinstance(value, str) else value}`"


def shown_text(text: str) -> str:
    """Return a text as YAML has it."""
    return text or '""'


def allowed(spec: Spec) -> str:
    """Return which values a parameter takes."""
    if spec.choices:
        return ", ".join(f"`{choice}`" for choice in spec.choices)
    return "{:g} to {:g}".format(*spec.limits) if spec.limits else ""


def topic_table(rows: Iterable[Topic]) -> str:
    """Return a table of topics."""
    cells = ((f"`{t.name}`", f"`{t.kind}`", policy(t.qos), t.content, t.when) for t in rows)
    return table(("name", "type", "QoS", "content", "when"), cells)


def policy(qos: QoSProfile | None) -> str:
    """Return a QoS in words."""
    if qos is None:
        return ""
    if qos.history != HistoryPolicy.KEEP_LAST:
        raise ValueError(f"expected a history that keeps the last messages, got {qos.history}")
    words = [qos.reliability.name.lower().replace("_", " ")]
    if qos.durability == DurabilityPolicy.TRANSIENT_LOCAL:
        words.append("transient local")
    return ", ".join([*words, f"last {qos.depth}"])


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    names = list(head)
    lines = [names, ["---"] * len(names), *(list(row) for row in rows)]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in lines
    )


def encodings() -> str:
    """Return the encodings of raw colour images."""
    return ", ".join(f"`{name}`" for name in COLOUR_ENCODINGS) + "\n"


BLOCKS: Mapping[str, Callable[[], str]] = {
    "student parameters": lambda: parameter_table(STUDENT),
    "teacher parameters": lambda: parameter_table(TEACHER),
    "student inputs": lambda: topic_table(student_inputs()),
    "student outputs": lambda: topic_table(student_outputs()),
    "teacher inputs": lambda: topic_table(teacher_inputs()),
    "teacher outputs": lambda: topic_table(teacher_outputs()),
    "encodings": encodings,
}


def written(page: str) -> str:
    """Return a page with its tables as the code has them."""
    return BLOCK.sub(lambda found: found[1] + BLOCKS[found[2]]() + found[4], page)


def main() -> int:
    """Write the pages anew."""
    for name in PAGES:
        path = FOLDER / name
        path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
