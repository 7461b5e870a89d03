"""Which execution provider is got, and why: with pretended ones, since hardware differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import tiny_student
from mtl_core.errors import ModelError
from mtl_core.model import OnnxModel
from mtl_core.providers import (
    CHOICES,
    CPU,
    CUDA,
    TENSORRT,
    Candidates,
    Runtime,
    cache_folder,
    candidates,
    device_name,
    engine_folder,
    has_vnni,
    loading_fault,
    options,
    verdict,
)

EVERYTHING = [TENSORRT, CUDA, CPU]


def healthy(_: str) -> str:
    return ""


def broken(*names: str) -> Callable[[str], str]:
    """Libraries of which these cannot be loaded."""
    return lambda name: f"lib{name}.so: cannot open" if name in names else ""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_student.write(tmp_path_factory.mktemp("m") / "tiny.onnx")


@pytest.mark.parametrize(
    ("asked", "installed", "names"),
    [
        ("auto", [CPU], [CPU]),
        ("auto", EVERYTHING, [CUDA, CPU]),
        ("cpu", EVERYTHING, [CPU]),
        ("cuda", EVERYTHING, [CUDA, CPU]),
        ("cuda", [CPU], [CPU]),
        ("tensorrt", EVERYTHING, [TENSORRT, CUDA, CPU]),
        ("tensorrt", [CUDA, CPU], [CUDA, CPU]),
    ],
)
def test_what_is_tried_follows_what_is_asked_and_what_is_there(
    asked: str, installed: list[str], names: list[str]
) -> None:
    assert candidates(Runtime(provider=asked), installed, healthy).names == names


@pytest.mark.parametrize("asked", CHOICES)
def test_the_cpu_is_always_there_in_the_end(asked: str) -> None:
    found = candidates(Runtime(provider=asked), EVERYTHING, broken(CUDA, TENSORRT))
    assert found.names == [CPU]
    assert set(found.faults) == set(CHOICES[asked]) - {CPU}


def test_the_verdict_names_what_is_missing() -> None:
    asked = Runtime(provider="cuda")
    said = verdict(asked, candidates(asked, [CPU], healthy), [CPU])
    assert said.fallback
    assert "asked for cuda, got CPUExecutionProvider" in said.text
    assert "built for CPUExecutionProvider only" in said.text
    said = verdict(asked, candidates(asked, EVERYTHING, broken(CUDA)), [CPU])
    assert f"lib{CUDA}.so: cannot open" in said.text
    said = verdict(asked, candidates(asked, EVERYTHING, healthy), [CPU])
    assert "ONNX Runtime could not start it" in said.text


def test_auto_is_content_with_the_cpu_and_says_why_it_is_that() -> None:
    asked = Runtime(provider="auto", required=True)
    said = verdict(asked, candidates(asked, [CPU], healthy), [CPU])
    assert not said.fallback
    assert f"{CUDA}: this ONNX Runtime is built for" in said.text


def test_got_as_asked_needs_no_reason() -> None:
    for asked, got in (("cpu", [CPU]), ("auto", [CUDA, CPU]), ("tensorrt", EVERYTHING)):
        said = verdict(Runtime(provider=asked, required=True), Candidates(got), got)
        assert not said.fallback
        assert said.text == f"asked for {asked}, got {got[0]}"


def test_another_provider_than_the_required_one_is_an_error() -> None:
    asked = Runtime(provider="tensorrt", required=True)
    tried = candidates(asked, EVERYTHING, broken(TENSORRT))
    with pytest.raises(ModelError, match=r"tensorrt is required, got CUDA.*cannot open"):
        verdict(asked, tried, [CUDA, CPU])


def test_a_provider_that_is_none_is_refused() -> None:
    with pytest.raises(ModelError, match="expected one of auto, cpu, cuda, tensorrt, got 'gpu'"):
        Runtime(provider="gpu")


def test_a_real_session_says_what_it_got(path: Path) -> None:
    model = OnnxModel(path, Runtime(provider="cpu", required=True))
    assert model.verdict.text == f"asked for cpu, got {CPU}"
    assert model.provider == CPU
    assert model.batches


@pytest.mark.skipif(not loading_fault(CUDA), reason="CUDA can be had here")
def test_a_real_session_without_cuda_falls_back_or_refuses(path: Path) -> None:
    model = OnnxModel(path, Runtime(provider="cuda"))
    assert model.verdict.fallback
    assert model.provider == CPU
    with pytest.raises(ModelError, match="cuda is required, got CPUExecutionProvider"):
        OnnxModel(path, Runtime(provider="cuda", required=True))


# ---- TensorRT: options as documented, not run on hardware yet ------------------------------------
def test_only_tensorrt_has_options(path: Path, tmp_path: Path) -> None:
    assert options(CPU, Runtime(cache=tmp_path), path) == {}
    assert options(CUDA, Runtime(cache=tmp_path), path) == {}
    assert not list(tmp_path.iterdir())


def test_one_engine_takes_every_batch_and_is_kept(path: Path, tmp_path: Path) -> None:
    given = options(TENSORRT, Runtime(cache=tmp_path, max_batch=3), path)
    folder = Path(given["trt_engine_cache_path"])
    assert folder.is_dir()
    assert folder.is_relative_to(tmp_path)
    assert given["trt_timing_cache_path"] == str(folder)
    assert given["trt_engine_cache_enable"] == given["trt_timing_cache_enable"] == "True"
    spec = OnnxModel(path).card.input
    size = f"3x{spec.height}x{spec.width}"
    assert given["trt_profile_min_shapes"] == f"image:1x{size}"
    assert given["trt_profile_opt_shapes"] == given["trt_profile_max_shapes"] == f"image:3x{size}"


def test_all_inputs_of_a_teacher_have_a_profile(tmp_path: Path) -> None:
    teacher = tiny_student.write_teacher(tmp_path / "teacher.onnx")
    given = options(TENSORRT, Runtime(cache=tmp_path), teacher)["trt_profile_max_shapes"]
    assert {part.split(":")[0] for part in given.split(",")} == {
        "image",
        *OnnxModel(teacher).signals,
    }


def test_another_model_has_another_engine(path: Path, tmp_path: Path) -> None:
    other = tmp_path / path.name
    other.write_bytes(path.read_bytes() + b"\0")
    assert engine_folder(tmp_path, path) == engine_folder(tmp_path, path)
    assert engine_folder(tmp_path, path) != engine_folder(tmp_path, other)


def test_a_cache_that_cannot_be_made_is_said(path: Path, tmp_path: Path) -> None:
    (tmp_path / "tensorrt").write_text("in the way")
    with pytest.raises(ModelError, match="TensorRT's cache cannot be kept there"):
        engine_folder(tmp_path, path)


def test_the_cache_lies_where_the_user_keeps_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/mtl_perception")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache/mtl_perception"


def test_devices_are_told_apart_by_their_driver_or_board(tmp_path: Path) -> None:
    assert device_name(tmp_path) == "unknown-device"
    board = tmp_path / "proc/device-tree/model"
    board.parent.mkdir(parents=True)
    board.write_text("NVIDIA Jetson Orin Nano Developer Kit\0")
    assert device_name(tmp_path) == "NVIDIA-Jetson-Orin-Nano-Developer-Kit"
    card = tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0/information"
    card.parent.mkdir(parents=True)
    card.write_text("Model: \t\t NVIDIA RTX A2000\nIRQ: 0\n")
    assert device_name(tmp_path) == "NVIDIA-RTX-A2000"


@pytest.mark.parametrize(
    ("flags", "gains"), [("fma avx2", False), ("avx2 avx512_vnni", True), ("avx_vnni", True)]
)
def test_cpus_that_gain_by_int8_say_so(tmp_path: Path, flags: str, gains: bool) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\nflags\t\t: sse {flags}\n")
    assert has_vnni(info) == gains
    assert not has_vnni(tmp_path / "nothing")


def test_a_damaged_file_is_said_in_our_words_whatever_is_asked_for(tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"not a model")
    for asked in CHOICES:
        with pytest.raises(ModelError, match="expected an ONNX model"):
            OnnxModel(bad, Runtime(provider=asked, cache=tmp_path))


def test_a_run_never_changes_the_provider_silently(path: Path) -> None:
    assert not OnnxModel(path)._session._enable_fallback
