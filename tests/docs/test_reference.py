"""Generated tables are as the code has them, and as running nodes say."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

import frames
import tiny_student
from documents import ROOT, inline, reference
from mtl_perception import topics
from mtl_perception.domain import own_domain
from peer import NodeProcess, Peer, student, until

TABLES = reference()
HAS_LABEL_INFO = importlib.util.find_spec("vision_msgs") is not None
OF_EVERY_NODE = re.compile(
    r"/(rosout|parameter_events)|.*/(\w+_parameter(s\w*|_types)|get_type_description)"
)
OF_LIFECYCLE = re.compile(r".*/(change_state|get_\w*(state|transition)\w*)")


@pytest.mark.parametrize("name", TABLES.PAGES)
def test_a_page_is_what_make_docs_writes(name: str) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert page == TABLES.written(page), "run `make docs`"


def test_every_table_stands_in_a_page() -> None:
    pages = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in TABLES.PAGES]
    found = [block[1] for page in pages for block in TABLES.BLOCK.findall(page)]
    assert sorted(found) == sorted(TABLES.BLOCKS)


def test_a_topic_that_nobody_described_is_refused() -> None:
    with pytest.raises(KeyError, match="described or known, not both: depth/normals"):
        TABLES.check_keys(["depth/image"], ["depth/image", "depth/normals"])


# ---- running nodes -------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder = tmp_path_factory.mktemp("student")
    model = tiny_student.write(folder / "tiny.onnx")
    settings = (f"model:={model}", "lazy:=false", "scale_source:=depth")
    with student(folder / "log.txt", *(word for s in settings for word in ("-p", s))) as peer:
        peer.read(topics.MASK)
        peer.camera = frames.camera_info()
        peer.warm_up(frames.image())
        yield peer


@pytest.fixture(scope="module")
def running_teacher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder = tmp_path_factory.mktemp("teacher")
    model = tiny_student.write_teacher(folder / "tiny.onnx")
    settings = (f"model:={model}", "depth_transport:=raw")
    arguments = [word for setting in settings for word in ("-p", setting)]
    module = "mtl_perception.teacher_node"
    with (
        own_domain() as domain,
        NodeProcess(folder / "log.txt", domain, *arguments, module=module) as node,
    ):
        peer = Peer(domain, node)
        try:
            peer.wait(lambda: peer.statuses, "diagnostics")
            yield peer
        finally:
            peer.close()


def expected(rows: Iterable[Any], node: str, *, but: Iterable[str] = ()) -> set[tuple[Any, ...]]:
    """Rows of a table as the graph has them."""
    return {
        (
            full(row.name, node),
            row.kind,
            row.qos and row.qos.reliability,
            row.qos and row.qos.durability,
        )
        for row in rows
        if row.name not in but and (HAS_LABEL_INFO or "LabelInfo" not in row.kind)
    }


def full(name: str, node: str) -> str:
    return name.replace("~", f"/{node}") if name[0] in "~/" else f"/{name}"


def offered(peer: Peer, node: str, kind: str) -> set[tuple[Any, ...]]:
    """What a node publishes or subscribes: name, type, reliability, durability."""
    ros = peer.ros
    asked = getattr(ros, f"get_{kind}_names_and_types_by_node")(node, "/")
    infos = {
        "publisher": ros.get_publishers_info_by_topic,
        "subscriber": ros.get_subscriptions_info_by_topic,
    }
    return {
        (name, end.topic_type, end.qos_profile.reliability, end.qos_profile.durability)
        for name, _ in asked
        if not OF_EVERY_NODE.fullmatch(name)
        for end in infos[kind](name)
        if end.node_name == node
    }


def services(peer: Peer, node: str) -> set[tuple[Any, ...]]:
    asked = peer.ros.get_service_names_and_types_by_node(node, "/")
    mine = (row for row in asked if not OF_EVERY_NODE.fullmatch(row[0]))
    return {(name, kind, None, None) for name, (kind,) in mine if not OF_LIFECYCLE.fullmatch(name)}


def agree(peer: Peer, table: set[tuple[Any, ...]], node: str, *kinds: str) -> None:
    """Wait until the graph has what the table says, which discovery takes its time for."""

    def found() -> set[tuple[Any, ...]]:
        graph = {row for kind in kinds for row in offered(peer, node, kind)}
        return graph | (services(peer, node) if "publisher" in kinds else set())

    try:
        until(lambda: found() >= table, "table's topics", peer.node, peer.spin)
    finally:
        assert found() == table


@pytest.mark.ros
def test_the_student_publishes_what_its_table_says(running: Peer) -> None:
    agree(running, expected(TABLES.student_outputs(), "student"), "student", "publisher")


@pytest.mark.ros
def test_the_student_subscribes_what_its_table_says(running: Peer) -> None:
    other = {topics.compressed(topics.IMAGE), topics.SCALE_POINTS}  # by other parameters
    table = expected(TABLES.student_inputs(), "student", but=other)
    agree(running, table, "student", "subscriber")


@pytest.mark.ros
def test_the_teacher_publishes_what_its_table_says(running_teacher: Peer) -> None:
    agree(running_teacher, expected(TABLES.teacher_outputs(), "teacher"), "teacher", "publisher")


@pytest.mark.ros
def test_the_teacher_subscribes_what_its_table_says(running_teacher: Peer) -> None:
    other = {topics.compressed(topics.IMAGE), topics.compressed_depth(topics.DEPTH_IMAGE)}
    table = expected(TABLES.teacher_inputs(), "teacher", but=other)
    agree(running_teacher, table, "teacher", "subscriber")


@pytest.mark.ros
@pytest.mark.parametrize("name", ["running", "running_teacher"])
def test_every_key_of_diagnostics_is_explained(name: str, request: pytest.FixtureRequest) -> None:
    peer: Peer = request.getfixturevalue(name)
    explained = {code.text for code in inline("docs/topics.md")}
    shown = {re.sub(r"_p(95|99)_", "_p50_", key) for key in peer.values}
    assert shown <= explained
