"""Measure what one frame costs on this machine.

Prints milliseconds, and writes them with the machine's description to `out/bench-frame.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from mtl_core.draw import overlay
from mtl_core.geometry import Intrinsics
from mtl_core.images import ColourImage
from mtl_core.interface import IMAGE
from mtl_core.providers import Runtime
from mtl_core.rooms import Room
from mtl_perception.models import find_model
from mtl_perception.student_predictor import StudentPredictor

CAMERA = Intrinsics(640, 480, 525.0, 525.0, 319.5, 239.5)
Case = tuple[str, Callable[[], object]]


def cases(model: Path, threads: int) -> Iterator[Case]:
    """Name what is measured, from a bare part to the whole of a frame."""
    room = Room.generate(1)
    image = ColourImage(room.render(room.camera_path(2)[0], CAMERA).image, "rgb")
    predictor = StudentPredictor(model, Runtime(threads))
    spec = predictor.card.input
    tensor = np.zeros((1, 3, spec.height, spec.width), np.float32)
    mask = predictor.predict(image).mask()

    yield f"network alone, {spec.width}x{spec.height}", lambda: predictor.model.run({IMAGE: tensor})
    yield "640x480 image to mask", lambda: predictor.predict(image).mask()
    yield "640x480 image to mask, confidence, depth", lambda: decode_all(predictor, image)
    yield "overlay, 640x480", lambda: overlay(image.bgr(), mask, predictor.label_map)


def decode_all(predictor: StudentPredictor, image: ColourImage) -> None:
    """Predict, and decode every picture that a node publishes."""
    prediction = predictor.predict(image, CAMERA.fx)
    prediction.mask(), prediction.confidence(), prediction.depth()


def milliseconds(function: Callable[[], object], seconds: float) -> list[float]:
    """Time calls for about so many seconds, at least three, after one to warm up."""
    function()
    taken: list[float] = []
    while len(taken) < 3 or sum(taken) < 1000 * seconds:
        start = time.perf_counter()
        function()
        taken.append(1000 * (time.perf_counter() - start))
    return taken


def main(argv: Sequence[str] | None = None) -> int:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="", help="ONNX file or name; default: the package's")
    parser.add_argument("--threads", type=int, default=1, help="of one inference; default: 1")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each row; default: 3")
    options = parser.parse_args(argv)
    model = find_model(options.model)

    rows = {}
    print(f"{model.name}, threads: {options.threads}\n{'[ms]':<44}{'p50':>9}{'p95':>9}")
    for name, function in cases(model, options.threads):
        p50, p95 = np.percentile(milliseconds(function, options.seconds), [50, 95])
        rows[name] = {"p50": round(p50, 2), "p95": round(p95, 2)}
        print(f"{name:<44}{p50:>9.1f}{p95:>9.1f}", flush=True)

    out = Path("out/bench-frame.json")
    out.parent.mkdir(exist_ok=True)
    machine = {"machine": platform.machine(), "cores": os.cpu_count()}
    setting = {"model": model.name, "threads": options.threads, "ort": onnxruntime.__version__}
    out.write_text(json.dumps({**machine, **setting, "ms": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
