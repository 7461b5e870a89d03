"""Where the model runs: the node says what was asked for, what was got, and why."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnxruntime as ort
import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from mtl_core.providers import CUDA, loading_fault
from mtl_perception.domain import own_domain
from peer import PATIENCE_S, NodeProcess, student

pytestmark = pytest.mark.ros

needs_no_cuda = pytest.mark.skipif(
    CUDA in ort.get_available_providers() and not loading_fault(CUDA), reason="CUDA works here"
)


def given(**values: object) -> list[str]:
    return [text for key, value in values.items() for text in ("-p", f"{key}:={value}")]


@needs_no_cuda
def test_a_fallback_is_a_warning_that_says_why(model: Path, tmp_path: Path) -> None:
    with student(tmp_path / "log", *given(model=model, provider="cuda")) as peer:
        peer.wait(lambda: peer.statuses and peer.values["provider"], "a configured node")
        status, values = peer.report()
        assert status.level == DiagnosticStatus.WARN
        assert "asked for cuda, got CPUExecutionProvider" in status.message
        assert values["provider_choice"] == status.message
        assert len(values["model_sha256"]) == 64
        assert "asked for cuda" in peer.node.log


@needs_no_cuda
def test_a_required_provider_that_is_missing_leaves_the_node_unconfigured(
    model: Path, tmp_path: Path
) -> None:
    arguments = given(model=model, provider="cuda", provider_required="true")
    with student(tmp_path / "log", *arguments) as peer:
        status, values = peer.report()
        assert status.level == DiagnosticStatus.ERROR
        assert "provider cuda is required, got CPUExecutionProvider" in status.message
        assert values["state"] == "unconfigured"


def test_auto_is_content_and_says_what_it_got(model: Path, tmp_path: Path) -> None:
    with student(tmp_path / "log", *given(model=model, stale_after=0.0)) as peer:
        peer.wait(lambda: peer.statuses and peer.values["provider"], "a configured node")
        status, values = peer.report()
        assert status.level == DiagnosticStatus.OK
        assert values["provider_choice"].startswith("asked for auto, got ")


def test_the_int8_twin_is_taken_when_asked_for(model: Path, tmp_path: Path) -> None:
    twin = Path(shutil.copy(model, tmp_path / "tiny-int8.onnx"))
    own = Path(shutil.copy(model, tmp_path / "tiny.onnx"))
    with student(tmp_path / "log", *given(model=own, precision="int8")) as peer:
        peer.wait(lambda: peer.statuses and peer.values["model"], "a configured node")
        assert peer.report()[1]["model"] == str(twin)


@pytest.mark.parametrize(("name", "status"), [("", 0), ("missing.onnx", 1)])
def test_build_only_ends_when_all_is_built(
    model: Path, tmp_path: Path, name: str, status: int
) -> None:
    arguments = given(model=tmp_path / name if name else model, build_only="true")
    with own_domain() as domain, NodeProcess(tmp_path / "log", domain, *arguments) as node:
        assert node.process.wait(PATIENCE_S) == status
        assert ("no such model file" in node.log) == bool(status)


@needs_no_cuda
def test_build_only_fails_where_what_is_asked_for_cannot_be_had(
    model: Path, tmp_path: Path
) -> None:
    arguments = given(model=model, provider="tensorrt", build_only="true", cache=tmp_path)
    with own_domain() as domain, NodeProcess(tmp_path / "log", domain, *arguments) as node:
        assert node.process.wait(PATIENCE_S) == 1
        assert "asked for tensorrt, got CPUExecutionProvider" in node.log
