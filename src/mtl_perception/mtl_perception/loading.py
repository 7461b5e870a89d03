"""The student's model as the node's parameters ask for it, warmed up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from rclpy.node import Node

from mtl_core.images import ColourImage
from mtl_core.providers import CPU, TENSORRT, Runtime, candidates, has_vnni
from mtl_perception import parameters
from mtl_perception.errors import PerceptionError
from mtl_perception.models import find_model, int8_beside
from mtl_perception.student_predictor import StudentPredictor

_BLANK = ColourImage(np.zeros((480, 640, 3), np.uint8), "bgr")

PATIENCE_S = 5.0
"""A load that takes longer says so, and again after each so many seconds."""


def load_student(node: Node, model: str) -> StudentPredictor:
    """Load a model and run it once, since the first inference allocates, and fails if any does.

    Args:
        node: Whose parameters say how to run it, and whose log tells what takes long.
        model: A path or name; see `find_model`.

    Raises:
        MtlError: It cannot be used.
        PerceptionError: The package's own model cannot be found, or there is no int8 one.
    """
    runtime = runtime_of(node)
    on_cpu = candidates(runtime).names[0] == CPU
    predictor = _load(node, model, runtime, on_cpu)
    if predictor.provider == CPU and not on_cpu:  # its libraries load, but there is no device
        verdict = predictor.model.verdict
        predictor = _load(node, model, runtime, on_cpu=True)
        predictor.model.verdict = verdict
    return predictor


def _load(node: Node, model: str, runtime: Runtime, on_cpu: bool) -> StudentPredictor:
    runtime = replace(runtime, max_batch=_batch(node, on_cpu))
    path = in_precision(find_model(model), parameters.value(node, "precision"), on_cpu)
    say = node.get_logger().info
    with told_while(say, f"loading {path.name}", _hint(runtime)):
        predictor = StudentPredictor(path, runtime)
        for count in range(1, predictor.max_batch + 1):  # each size is prepared on its own
            predictor.infer([predictor.prepare(_BLANK, row=row) for row in range(count)])
    return predictor


def runtime_of(node: Node) -> Runtime:
    """How the node's parameters ask for a model to be run, but for batches; see `_batch`."""
    cache = parameters.value(node, "cache")
    return Runtime(
        threads=parameters.value(node, "threads"),
        provider=parameters.value(node, "provider"),
        required=parameters.value(node, "provider_required"),
        cache=Path(cache).expanduser() if cache else None,
    )


def _batch(node: Node, on_cpu: bool) -> int:
    """Images of one inference at most: on a CPU a batch makes its first one wait for the last."""
    cameras = len(parameters.value(node, "cameras"))
    return parameters.value(node, "max_batch") or (1 if on_cpu else cameras)


def in_precision(
    model: Path, precision: str, on_cpu: bool, vnni: Callable[[], bool] = has_vnni
) -> Path:
    """Return the file of a model in the precision that is asked for.

    Args:
        model: Its file.
        precision: `fp32`: as it is; `int8`: the one beside it; `auto`: that one if there is one,
            it will run on the CPU, and the CPU gains by it.
        on_cpu: Whether it will run there.
        vnni: Whether the CPU gains.

    Raises:
        PerceptionError: There is no int8 one.
    """
    other = int8_beside(model)
    if precision == "int8":
        if not other.is_file():
            raise PerceptionError(f"precision int8: expected {other}, there is no such file")
        return other
    gains = precision == "auto" and on_cpu and vnni()
    return other if gains and other.is_file() else model


def _hint(runtime: Runtime) -> str:
    if runtime.provider != "tensorrt":
        return ""
    return f"; {TENSORRT} builds its engine once for each model and device, which takes minutes"


@contextmanager
def told_while(say: Callable[[str], object], what: str, hint: str = "") -> Iterator[None]:
    """Say every few seconds that something still goes on.

    Args:
        say: Is given a line.
        what: What goes on.
        hint: Why it may take long.
    """
    start, done = time.monotonic(), threading.Event()

    def tell() -> None:
        while not done.wait(PATIENCE_S):
            say(f"{what}: {time.monotonic() - start:.0f} s so far{hint}")

    thread = threading.Thread(target=tell, name="told", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
