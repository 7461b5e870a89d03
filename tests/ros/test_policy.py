"""What SROS 2 lets the nodes do is what they do, no more and no less."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest
from lifecycle_msgs.msg import Transition

import tiny_student
from mtl_perception import topics
from mtl_perception.domain import own_domain
from mtl_perception.errors import PerceptionError
from mtl_perception.healthcheck import NODE
from mtl_perception.policy import NODES, Place, main, policy
from mtl_perception.resources import share_path
from peer import NodeProcess, Peer

pytestmark = pytest.mark.ros

Did = set[tuple[str, str]]
"""What a node does, and with what: ("publish", "/depth/image")."""

RIGHTS = {"topics": ("publish", "subscribe"), "services": ("reply", "request")}
LABEL_INFO = topics.LABEL_INFO.rpartition("/")[2]
ROBOT = Place("student", "/robot", {"front/image": "/eye/image_raw"}, ("front", "left"))


def shipped(node: str) -> str:
    return share_path("security", f"{node}.policy.xml").read_text(encoding="utf-8")


def allowed(text: str) -> Did:
    """What a policy allows; it denies nothing by name, since all else is denied."""
    found: Did = set()
    for group in ElementTree.fromstring(text).iter():
        for right in RIGHTS.get(group.tag, ()):
            if right in group.attrib:
                assert group.attrib[right] == "ALLOW"
                found |= {(right, element.text or "") for element in group}
    return found


def without_label_info(rights: Did) -> Did:
    """Those that can be had where nothing brings the type of label_info."""
    if find_spec("vision_msgs"):
        return rights
    return {(right, name) for right, name in rights if not name.endswith(f"/{LABEL_INFO}")}


def done(peer: Peer, place: Place) -> Did:
    """What a node does now, as the ROS graph tells it."""
    ros, where = peer.ros, (place.node, place.namespace)
    asked = {
        "publish": ros.get_publisher_names_and_types_by_node,
        "subscribe": ros.get_subscriber_names_and_types_by_node,
        "reply": ros.get_service_names_and_types_by_node,
        "request": ros.get_client_names_and_types_by_node,
    }
    return {(right, name) for right, ask in asked.items() for name, _ in ask(*where)}


def subscribes(peer: Peer, place: Place, names: Iterable[str]) -> None:
    """Wait for the last of what a node subscribes, when all that came before is known, too."""
    wanted = {("subscribe", place.full(name)) for name in names}
    here = (place.node, place.namespace)
    peer.wait(lambda: here in peer.ros.get_node_names_and_namespaces(), f"node {here}")
    peer.wait(lambda: wanted <= done(peer, place), f"subscriptions of {wanted}")


def arguments(place: Place, **values: object) -> list[str]:
    rules = [text for old, new in place.rules.items() for text in ("-r", f"{old}:={new}")]
    given = {**values, "use_sim_time": True}
    set_to = [text for name, value in given.items() for text in ("-p", f"{name}:={value}")]
    return ["-r", f"__ns:={place.namespace}", *rules, *set_to]


def seen_at_work(place: Place, model: Path, folder: Path) -> Did:
    """What a student does with one choice of each of its inputs, and then with the other."""
    settings = {"model": model, "lazy": False, "scale_source": "depth"}
    settings["cameras"] = "['{}']".format("', '".join(place.cameras))
    with (
        own_domain() as domain,
        NodeProcess(folder / "log", domain, *arguments(place, **settings)) as node,
    ):
        peer = Peer(domain, node, place.namespace)
        try:
            subscribes(peer, place, place.of_cameras([topics.SCALE_DEPTH]))
            one = done(peer, place)
            assert peer.change(Transition.TRANSITION_DEACTIVATE)
            assert peer.change(Transition.TRANSITION_CLEANUP)
            assert peer.set(scale_source="points", image_transport="compressed") == ""
            assert peer.change(Transition.TRANSITION_CONFIGURE)
            assert peer.change(Transition.TRANSITION_ACTIVATE)
            subscribes(peer, place, place.of_cameras([topics.SCALE_POINTS]))
            other = done(peer, place)
        finally:
            peer.close()
        assert one != other
        return one | other


@pytest.mark.parametrize("place", [Place("student"), ROBOT], ids=["one camera", "two, remapped"])
def test_the_student_may_do_what_it_does_and_nothing_else(
    place: Place, model: Path, tmp_path: Path
) -> None:
    rights = allowed(policy(place))
    assert seen_at_work(place, model, tmp_path) == without_label_info(rights)


def test_the_teacher_may_do_what_it_does_and_nothing_else(tmp_path: Path) -> None:
    """Two at once, of all choices between them, and each seen from its own namespace."""
    model = tiny_student.write_teacher(tmp_path / "tiny-teacher.onnx")
    packed = topics.compressed_depth(topics.DEPTH_IMAGE)
    choices = [
        (Place("teacher", "/one"), "raw", "raw", topics.DEPTH_IMAGE),
        (Place("teacher", "/other"), "compressed", "compressedDepth", packed),
    ]
    did: Did = set()
    with own_domain() as domain, ExitStack() as stack:
        peer = Peer(domain)
        stack.callback(peer.close)
        for place, image, depth, _ in choices:
            words = arguments(place, model=model, image_transport=image, depth_transport=depth)
            log = tmp_path / f"{image}.log"
            stack.enter_context(
                NodeProcess(log, domain, *words, module="mtl_perception.teacher_node")
            )
        for place, *_, last in choices:
            subscribes(peer, place, [last])
            here = done(peer, place)
            did |= {(right, name.removeprefix(place.namespace)) for right, name in here}
    assert did == without_label_info(allowed(policy(Place("teacher"))))


def test_the_health_check_may_do_what_it_does_and_nothing_else() -> None:
    place = Place(NODE)
    with own_domain() as domain:
        peer = Peer(domain)
        command = [sys.executable, "-m", "mtl_perception.healthcheck", "/nobody", "--timeout", "60"]
        environ = {**os.environ, "ROS_DOMAIN_ID": str(domain)}
        with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as process:
            try:
                subscribes(peer, place, [topics.DIAGNOSTICS])
                did = done(peer, place)
            finally:
                process.terminate()
                peer.close()
    assert did == allowed(policy(place))


@pytest.mark.parametrize("node", NODES)
def test_the_file_that_ships_is_what_the_command_says(
    node: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([node]) == 0
    assert capsys.readouterr().out == shipped(node)


def test_the_command_takes_what_the_node_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    rules = [text for old, new in ROBOT.rules.items() for text in ("-r", f"{old}:={new}")]
    where = ["--namespace", ROBOT.namespace, "--cameras", *ROBOT.cameras]
    assert main(["student", *where, *rules, "--enclave", "/fleet/eyes"]) == 0
    assert capsys.readouterr().out == policy(ROBOT, "/fleet/eyes")


def test_policies_have_the_form_that_sros2_reads() -> None:
    for text in (policy(ROBOT, "/fleet/eyes"), *map(shipped, NODES)):
        root = ElementTree.fromstring(text)
        assert (root.tag, root.attrib) == ("policy", {"version": "0.2.0"})
        ways = {"/".join(path) for path in below(root)}
        profile = "enclaves/enclave/profiles/profile"
        assert ways == {f"{profile}/{group}/{group[:-1]}" for group in RIGHTS}


def below(element: ElementTree.Element) -> Iterable[list[str]]:
    """The way to each leaf."""
    for child in element:
        yield from ([child.tag, *way] for way in below(child)) if len(child) else ([child.tag],)


def test_an_enclave_is_called_as_the_node_unless_it_is_named() -> None:
    def path(text: str) -> str:
        return ElementTree.fromstring(text)[0][0].attrib["path"]

    assert path(policy(ROBOT)) == "/robot/student"
    assert path(policy(ROBOT, "/fleet/eyes")) == "/fleet/eyes"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--namespace", "robot"], "expected one that begins with /, got 'robot'"),
        (["--remap", "image"], "expected a rule FROM:=TO, got 'image'"),
    ],
)
def test_what_cannot_be_is_refused(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["student", *words]) == 1
    said = capsys.readouterr()
    assert not said.out
    assert reason in said.err


def test_a_node_that_is_not_ours_has_no_policy() -> None:
    with pytest.raises(PerceptionError, match="expected one of student, teacher, mtl_health"):
        policy(Place("pupil"))
