"""Which file a precision means, and that a long load is no silent one."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from mtl_perception import loading
from mtl_perception.errors import PerceptionError
from mtl_perception.loading import in_precision, told_while
from mtl_perception.models import int8_beside


@pytest.fixture
def twins(tmp_path: Path) -> tuple[Path, Path]:
    """A model's file and its int8 twin."""
    model, twin = tmp_path / "student.onnx", tmp_path / "student-int8.onnx"
    model.touch()
    twin.touch()
    return model, twin


def test_the_twin_of_a_twin_is_itself(twins: tuple[Path, Path]) -> None:
    model, twin = twins
    assert int8_beside(model) == twin
    assert int8_beside(twin) == twin


@pytest.mark.parametrize(
    ("precision", "on_cpu", "gains", "takes_twin"),
    [
        ("fp32", True, True, False),
        ("int8", True, False, True),
        ("int8", False, False, True),
        ("auto", True, True, True),
        ("auto", True, False, False),
        ("auto", False, True, False),
    ],
)
def test_auto_takes_the_twin_where_the_cpu_gains_by_it(
    twins: tuple[Path, Path], precision: str, on_cpu: bool, gains: bool, takes_twin: bool
) -> None:
    assert in_precision(twins[0], precision, on_cpu, lambda: gains) == twins[takes_twin]


def test_without_a_twin_auto_takes_the_model_and_int8_says_what_is_missing(
    twins: tuple[Path, Path],
) -> None:
    model, twin = twins
    twin.unlink()
    assert in_precision(model, "auto", on_cpu=True, vnni=lambda: True) == model
    with pytest.raises(PerceptionError, match=r"int8: expected .*student-int8.onnx, there is no"):
        in_precision(model, "int8", on_cpu=True)


def test_what_takes_long_says_so_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "PATIENCE_S", 0.01)
    lines: list[str] = []
    thrice = threading.Semaphore(0)

    def say(line: str) -> None:
        lines.append(line)
        thrice.release()

    with told_while(say, "loading x", "; it builds"):
        for _ in range(3):
            thrice.acquire()
    assert all(line.startswith("loading x: 0 s so far; it builds") for line in lines)
    assert "told" not in {thread.name for thread in threading.enumerate()}


def test_what_is_short_says_nothing() -> None:
    lines: list[str] = []
    with told_while(lines.append, "loading x"):
        pass
    assert not lines
