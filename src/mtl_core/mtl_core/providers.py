"""Where a network runs: which execution provider of ONNX Runtime is got, and why not another.

Options and caches follow ONNX Runtime's documentation of its CUDA and TensorRT providers. They have
not been run on such hardware yet; the fallback without it was, with onnxruntime-gpu.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, TypeAlias

import onnxruntime as ort

from mtl_core.errors import ModelError

CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"
TENSORRT: Final = "TensorrtExecutionProvider"

CHOICES: dict[str, tuple[str, ...]] = {
    "auto": (CUDA, CPU),
    "cpu": (CPU,),
    "cuda": (CUDA, CPU),
    "tensorrt": (TENSORRT, CUDA, CPU),
}
"""What may be asked for, and what is tried in this order. `auto` leaves TensorRT alone: it builds
an engine for minutes."""

_LIBRARIES = {CUDA: "cuda", TENSORRT: "tensorrt"}

Options: TypeAlias = dict[str, str]


@dataclass(frozen=True)
class Runtime:
    """How to run a network.

    Attributes:
        threads: Of one inference on the CPU; 0 = as many as cores.
        provider: One of `CHOICES`.
        required: Another provider than the one asked for is an error; of no meaning for `auto`.
        cache: Folder below which TensorRT keeps what it builds; None = `cache_folder()`.
        max_batch: Images that one inference will take at most.
    """

    threads: int = 0
    provider: str = "auto"
    required: bool = False
    cache: Path | None = None
    max_batch: int = 1

    def __post_init__(self) -> None:
        """Refuse a provider that is none."""
        if self.provider not in CHOICES:
            known = ", ".join(CHOICES)
            raise ModelError(f"provider: expected one of {known}, got {self.provider!r}")


DEFAULT = Runtime()


@dataclass(frozen=True)
class Candidates:
    """What can be tried.

    Attributes:
        names: Of providers, in order of preference.
        faults: Why others cannot be, by name.
    """

    names: list[str]
    faults: Mapping[str, str] = field(default_factory=dict)


def cache_folder() -> Path:
    """Where caches lie if nobody says: `$XDG_CACHE_HOME/mtl_perception`, else in `~/.cache`."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "mtl_perception"


def candidates(
    runtime: Runtime,
    installed: Collection[str] | None = None,
    fault_of: Callable[[str], str] | None = None,
) -> Candidates:
    """Say which providers can be tried, and why others cannot.

    Args:
        runtime: What is asked for.
        installed: What this ONNX Runtime was built with; None asks it.
        fault_of: Why the libraries of a provider cannot be loaded, or nothing; None tries to.
    """
    built = ort.get_available_providers() if installed is None else installed
    names: list[str] = []
    faults: dict[str, str] = {}
    for name in CHOICES[runtime.provider]:
        if name not in built:
            faults[name] = f"this ONNX Runtime is built for {', '.join(built)} only"
        elif fault := (fault_of or loading_fault)(name):
            faults[name] = fault
        else:
            names.append(name)
    return Candidates(names, faults)


@dataclass(frozen=True)
class Verdict:
    """What became of a wish.

    Attributes:
        text: What was asked for, what was got and, where they differ, why.
        fallback: What was asked for by name was not got.
    """

    text: str
    fallback: bool


def verdict(runtime: Runtime, tried: Candidates, got: Sequence[str]) -> Verdict:
    """Judge a session.

    Args:
        runtime: What was asked for.
        tried: What could be tried.
        got: The session's providers, the first one first.

    Raises:
        ModelError: It is another one than what was asked for and is required.
    """
    wanted, first = CHOICES[runtime.provider][0], got[0]
    said = f"asked for {runtime.provider}, got {first}"
    if first == wanted:
        return Verdict(said, fallback=False)
    fault = tried.faults.get(wanted, "ONNX Runtime could not start it; its log says why")
    named = runtime.provider != "auto"
    if runtime.required and named:
        raise ModelError(f"provider {runtime.provider} is required, got {first}: {wanted}: {fault}")
    return Verdict(f"{said}: {wanted}: {fault}", fallback=named)


def loading_fault(provider: str) -> str:
    """Why a provider's libraries cannot be loaded, in the loader's words; empty if they can.

    ONNX Runtime says so in its log alone, and goes on without.
    """
    if provider not in _LIBRARIES:
        return ""
    if hasattr(ort, "preload_dlls"):  # CUDA and cuDNN where they were installed as wheels
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what the lines below say
            ort.preload_dlls()
    folder = Path(ort.__file__).parent / "capi"
    try:
        # The second is linked against the first without saying where that lies.
        for name in ("shared", _LIBRARIES[provider]):
            library = folder / f"libonnxruntime_providers_{name}.so"
            ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL if name == "shared" else 0)
    except OSError as err:
        return str(err)
    return ""


def options(name: str, runtime: Runtime, model: Path) -> Options:
    """Return the options with which a provider shall run a model.

    Raises:
        ModelError: The folder for what it keeps cannot be made.
    """
    if name != TENSORRT:
        return {}
    folder = str(engine_folder(runtime.cache or cache_folder(), model))
    return {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": folder,
        "trt_fp16_enable": "True",
        **_profile(model, runtime.max_batch),
    }


def _profile(model: Path, max_batch: int) -> Options:
    """The batches that one engine will take; without it, each new one would build another."""
    session = ort.InferenceSession(str(model), providers=[CPU])
    inputs = {port.name: "x".join(map(str, port.shape[1:])) for port in session.get_inputs()}

    def shapes(count: int) -> str:
        return ",".join(f"{name}:{count}x{rest}" for name, rest in inputs.items())

    counts = {"min": 1, "opt": max_batch, "max": max_batch}
    return {f"trt_profile_{bound}_shapes": shapes(count) for bound, count in counts.items()}


def engine_folder(cache: Path, model: Path) -> Path:
    """Where TensorRT's engine and timing cache of a model lie, made if missing.

    Engines fit one model, one device and one version of ONNX Runtime, which the name has, and one
    of TensorRT, which it has not: after an upgrade of TensorRT alone the folder is to be removed.

    Raises:
        ModelError: It cannot be made.
    """
    digest = sha256(model.read_bytes()).hexdigest()[:16]
    folder = cache / "tensorrt" / f"{digest}-{device_name()}-ort{ort.__version__}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise ModelError(f"{folder}: TensorRT's cache cannot be kept there: {err}") from err
    return folder


def device_name(root: Path = Path("/")) -> str:
    """What the first GPU is called, fit for a file name: by its driver, or a Jetson by its board.

    Args:
        root: Where the machine's `/proc` hangs.
    """
    for path in sorted(root.glob("proc/driver/nvidia/gpus/*/information")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("Model:"):
                return _plain(line.removeprefix("Model:"))
    board = root / "proc/device-tree/model"
    return _plain(board.read_text(encoding="utf-8")) if board.is_file() else "unknown-device"


def _plain(text: str) -> str:
    words = "".join(c if c.isalnum() else " " for c in text).split()
    return "-".join(words)


def has_vnni(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this CPU multiplies 8-bit numbers in one instruction, as int8 models need to gain."""
    try:
        text = cpuinfo.read_text(encoding="utf-8")
    except OSError:
        return False
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    return bool({"avx512_vnni", "avx_vnni"} & set(flags))
