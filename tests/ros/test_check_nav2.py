"""`mtl-check-nav2` passes on the running student, and names the rule that a saboteur breaks.

All checks run at once, each a process of its own, beside one student and one saboteur: it takes
what the student publishes and publishes it again, each time with one thing wrong.
"""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import frames
from interface_package import Overlay
from mtl_core.labels import UNLABELLED
from mtl_perception import topics
from mtl_perception.nav2 import config
from mtl_perception.nav2.verdict import LAWS
from peer import PATIENCE_S, NodeProcess, Peer, student, until

pytestmark = [pytest.mark.ros, pytest.mark.slow]

TESTS = str(Path(frames.__file__).parent)
OPTIONS = {topics.MASK: "--mask", topics.CONFIDENCE: "--confidence", topics.POINTS: "--points"}
REPEATED = "/bad/label_info"
DECAY_S = 1800.0
"""Of all costmaps here. Rules 6 and 7 compare it with the rate and the age of the masks, which
depend on the machine; this one is far above what any takes, and below the hour of `an_hour_ago`."""

Layer = dict[str, Any]
Spoil = Callable[[Any], object]


def smaller(cloud: Any) -> None:
    cloud.width //= 2
    cloud.row_step //= 2
    del cloud.data[cloud.row_step * cloud.height :]


def two_bytes_a_pixel(mask: Any) -> None:
    mask.encoding, mask.step = "mono16", 2 * mask.width
    mask.data.frombytes(bytes(len(mask.data)))


def a_millisecond_off(message: Any) -> None:
    message.header.stamp.nanosec = (message.header.stamp.nanosec + 1_000_000) % 10**9


def an_hour_ago(message: Any) -> None:
    message.header.stamp.sec -= 3600


def never_quite_unsure(confidence: Any) -> None:
    values = np.frombuffer(confidence.data, np.uint8)
    values[:] = np.maximum(values, 7)


@dataclass(frozen=True)
class Sabotage:
    """One thing that is wrong.

    Attributes:
        breaks: The laws that do not hold then.
        says: What is said of it.
        spoils: What is done to messages, by topic; the check is told of the spoilt ones.
        edit: What is done to the layer's parameters.
        words: More for the command.
    """

    breaks: tuple[str, ...]
    says: str
    spoils: Mapping[str, Spoil] = field(default_factory=dict)
    edit: Callable[[Layer], object] = lambda layer: None
    words: tuple[str, ...] = ()


def name_no_topics(layer: Layer) -> None:
    for name in ("segmentation_topic", "confidence_topic", "pointcloud_topic"):
        del layer["camera"][name]


def name_no_valid_topic(layer: Layer) -> None:
    layer["camera"]["segmentation_topic"] = "/a mask"


def lethal(name: str, value: Any) -> Callable[[Layer], object]:
    """Sets a parameter of the lethal group."""
    return lambda layer: layer["camera"]["lethal"].update({name: value})


SABOTAGES = {
    "size": Sabotage(
        ("rule 1",),
        "points of 48x64, expected the mask's 96x64",
        {topics.POINTS: smaller},
    ),
    "bytes": Sabotage(
        ("rule 2", "encoding"),
        "mask of 96x64 has step 192 and 12288 bytes, expected 96 and 6144",
        {topics.MASK: two_bytes_a_pixel},
    ),
    "stamp": Sabotage(
        ("rule 3",),
        r"points comes no nearer to a mask's stamp than \d+\.\d+ ms; expected the same stamp",
        {topics.POINTS: a_millisecond_off},
    ),
    "repeated": Sabotage(
        ("rule 4",), r"\d+ messages arrived, expected 1", words=("--labels", REPEATED)
    ),
    "uncovered": Sabotage(
        ("rule 4",),
        r"no costs in local_costmap\.local_costmap\.semantic_layer\.camera for window, expected",
        edit=lambda layer: layer["camera"]["lethal"]["classes"].remove("window"),
    ),
    "confident": Sabotage(
        ("rule 5",),
        r"(\d+) of \1 pixels of mask 255 have a confidence above 0, expected 0",
        {topics.CONFIDENCE: never_quite_unsure},
    ),
    "mark": Sabotage(
        ("rule 6",),
        r"camera\.lethal: mark_confidence is 255, expected a whole number from 0 to 254",
        edit=lethal("mark_confidence", 255),
    ),
    "list": Sabotage(
        ("rule 7",),
        r"observation_sources is \['camera'\], expected one string",
        edit=lambda layer: layer.update(observation_sources=["camera"]),
    ),
    "replay": Sabotage(
        ("rule 7",),
        r"masks are 36\d\d\.\d s old .* decay at once .* expected use_sim_time true",
        dict.fromkeys(OPTIONS, an_hour_ago),
    ),
    "unnamed": Sabotage(
        ("topics", "rule 7"),
        "no segmentation_topic to listen to, expected a topic's name; no pointcloud_topic to",
        edit=name_no_topics,
    ),
    "invalid": Sabotage(
        ("topics",),
        r"segmentation_topic is '/a mask', expected a topic's name: Invalid topic name",
        edit=name_no_valid_topic,
    ),
    "mismatch": Sabotage(
        ("topics",),
        r"1 publishers \(/student: sensor_msgs/msg/CameraInfo, reliable, volatile\), "
        r"sensor_msgs/msg/PointCloud2, best_effort, volatile asked for",
        words=("--points", f"/{topics.SEGMENTATION_CAMERA_INFO}", "--timeout", "5"),
    ),
}

NOTHING = Sabotage((), "0 failed, 0 not checked")
WITHOUT_TYPES = Sabotage((), "0 failed, 2 not checked")


class Saboteur:
    """Publishes what the student published, with what each sabotage does to it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._publishers = {
            (name, topic): peer.ros.create_publisher(type(message), f"/bad/{name}/{topic}", 20)
            for topic, message in self._answer().items()
            for name, sabotage in SABOTAGES.items()
            if topic in sabotage.spoils
        }

    def _answer(self) -> dict[str, Any]:
        """What the student says of a frame of now."""
        stamp = self._peer.send(frames.image(), time.time_ns())
        self._peer.wait(
            lambda: all(stamp in self._peer.got[topic] for topic in OPTIONS), f"answers of {stamp}"
        )
        return {topic: self._peer.got[topic].pop(stamp) for topic in OPTIONS}

    def work(self) -> None:
        """One frame, and all that becomes of it."""
        answer = self._answer()
        for (name, topic), publisher in self._publishers.items():
            message = copy.deepcopy(answer[topic])
            SABOTAGES[name].spoils[topic](message)
            publisher.publish(message)


@dataclass(frozen=True)
class Report:
    status: int
    said: str

    def laws(self, outcome: str) -> set[str]:
        """What was found of an outcome."""
        return {law for law in LAWS if re.search(rf"^{outcome}  {law} ", self.said, re.MULTILINE)}


def costmap(folder: Path, name: str, sabotage: Sabotage, model: Path) -> Path:
    """The generated parameters with a decay of `DECAY_S`, and what a sabotage makes of them."""
    path = folder / f"{name}.yaml"
    assert config.main(["--model", str(model), "--out", str(path)]) == 0
    content = yaml.safe_load(path.read_text())
    layers = [content[name][name]["ros__parameters"]["semantic_layer"] for name in content]
    for layer in layers:
        layer["camera"]["tile_map_decay_time"] = DECAY_S
    sabotage.edit(layers[0])
    path.write_text(yaml.safe_dump(content))
    return path


def check(path: Path, name: str, sabotage: Sabotage, environ: Mapping[str, str]) -> Any:
    topic_words = [(OPTIONS[topic], f"/bad/{name}/{topic}") for topic in sabotage.spoils]
    words = [*sum(topic_words, ()), *sabotage.words]
    return subprocess.Popen(
        [sys.executable, "-m", "mtl_perception.nav2.check", path, "--frames", "4", *words],
        env=dict(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def reports(
    overlay: Overlay, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Report]]:
    """What the checks say, by what is wrong."""
    folder = tmp_path_factory.mktemp("nav2")
    words = ("-p", f"model:={model}", "-p", "min_confidence:=0.25")
    beside = os.pathsep.join((TESTS, overlay.environ["PYTHONPATH"]))
    with student(folder / "log", *words, environ=overlay.environ) as peer, ExitStack() as stack:
        domain = peer.ros.context.get_domain_id()
        writer = NodeProcess(
            *(folder / "writer", domain, "-r", f"label_info:={REPEATED}"),
            module="label_info_writer",
            environ={**overlay.environ, "PYTHONPATH": beside},
        )
        stack.enter_context(writer)
        peer.camera = frames.camera_info()
        peer.read(*OPTIONS)
        peer.warm_up(frames.image())
        saboteur = Saboteur(peer)
        started = {
            name: check(costmap(folder, name, sabotage, model), name, sabotage, environ)
            for name, sabotage, environ in (
                ("nothing", NOTHING, overlay.environ),
                ("types", WITHOUT_TYPES, os.environ),
                *((name, sabotage, overlay.environ) for name, sabotage in SABOTAGES.items()),
            )
            for environ in [{**environ, "ROS_DOMAIN_ID": str(domain)}]
        }
        for process in started.values():
            stack.callback(process.kill)
        until(
            lambda: all(process.poll() is not None for process in started.values()),
            "end of all checks",
            peer.node,
            saboteur.work,
        )
        said = {
            name: process.communicate(timeout=PATIENCE_S)[0] for name, process in started.items()
        }
        yield {name: Report(started[name].returncode, text) for name, text in said.items()}
        assert "Traceback" not in peer.node.log


def test_the_running_student_and_its_generated_parameters_pass(reports: dict[str, Report]) -> None:
    report = reports["nothing"]
    assert report.status == 0, report.said
    assert report.laws("PASS") == set(LAWS)
    assert NOTHING.says in report.said
    unlabelled = re.search(r"(\d+) unlabelled pixels", report.said)
    assert unlabelled, report.said
    assert int(unlabelled[1]) > 0, f"no pixel of {UNLABELLED} was looked at"


def test_without_the_type_label_info_is_not_checked(reports: dict[str, Report]) -> None:
    report = reports["types"]
    assert report.status == 0, report.said
    assert report.laws("SKIP") == {"rule 4", "classes"}
    assert "vision_msgs is not installed" in report.said


@pytest.mark.parametrize("name", SABOTAGES)
def test_a_sabotage_is_named(reports: dict[str, Report], name: str) -> None:
    report, sabotage = reports[name], SABOTAGES[name]
    assert report.status == 1, report.said
    assert report.laws("FAIL") == set(sabotage.breaks), report.said
    assert re.search(sabotage.says, report.said), report.said
