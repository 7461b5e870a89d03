"""Measure how much of the bare teacher's rate labelling keeps, what a frame costs, and the memory.

Both rates are of the same frames, in one run: the network alone on prepared inputs, and the whole
way from a recording to a labelled one, as raw images and as JPEG and PNG. Prints what it finds, and
writes it to `--out`, where `benchmarks/scaling.py` reads it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from mtl_bags.compose import serialize
from mtl_bags.frames import recorded_frames
from mtl_bags.labelling.job import Labeller
from mtl_bags.labelling.summary import Settings
from mtl_bags.messages import to_colour_image, to_depth
from mtl_bags.reader import BagReader
from mtl_bags.records import COMPRESSED_IMAGE, IMAGE
from mtl_bags.synthetic import CAMERA_INFO_TOPIC, DEPTH_TOPIC, IMAGE_TOPIC, write_room_bag
from mtl_bags.topics import Camera
from mtl_bags.types import project_types
from mtl_bags.writer import BagWriter
from mtl_core.interface import DEPTH
from mtl_core.predictor import ModelPredictor
from mtl_perception.models import find_model

Compress = Callable[[str, Any], tuple[str, Any]]

SEED = 21
REPEATS = 3

LABEL = """
import sys
from mtl_bags.cli import main
status = main(sys.argv[1:])
peak = next(l for l in open("/proc/self/status") if l.startswith("VmHWM"))
print(peak.split()[1])
sys.exit(status)
"""


def inputs(labeller: Labeller, recording: Path, frames: int) -> list[dict[str, Any]]:
    """What the network gets for the first frames, and for their mirror images."""
    kept: list[dict[str, Any]] = []

    class Keeping:
        card, signals, provider = labeller.model.card, labeller.model.signals, "none"
        outputs = labeller.model.outputs

        def run(self, given: dict[str, Any]) -> dict[str, Any]:
            kept.append({name: value.copy() for name, value in given.items()})
            return labeller.model.run(given)

    predictor = ModelPredictor(Keeping())  # type: ignore[arg-type]
    with BagReader(recording) as reader:
        every = recorded_frames(reader, Camera.find(reader))
        for frame, _ in zip(every, range(frames), strict=False):
            image = to_colour_image(reader.deserialize(frame.image))
            depth = to_depth(reader.deserialize(frame.depth)) if frame.depth else None
            signals = {} if depth is None else {DEPTH: depth}
            for _ in range(2 if labeller.settings.flip else 1):  # the mirror image costs the same
                predictor.predict(image, None, signals)
    return kept


def spent(do: Callable[[], object]) -> np.ndarray[Any, Any]:
    """Seconds of the clock and of all cores."""

    def now() -> np.ndarray[Any, Any]:
        return np.array([time.perf_counter(), time.process_time()])

    start = now()
    do()
    taken: np.ndarray[Any, Any] = now() - start
    return taken


def run_bare(labeller: Labeller, given: Sequence[dict[str, Any]]) -> None:
    """The network alone, as many images at once as labelling takes."""
    with ThreadPoolExecutor(labeller.workers) as pool:
        for _ in pool.map(labeller.model.run, given):
            pass


def as_recorded(rendered: Path, out: Path, compress: Compress | None = None) -> Path:
    """What a robot would have recorded of a rendered walk: without the truth."""
    with BagReader(rendered) as reader, BagWriter(out) as writer:
        for one in reader.messages([IMAGE_TOPIC, CAMERA_INFO_TOPIC, DEPTH_TOPIC]):
            if compress and one.msgtype == IMAGE:
                topic, message = compress(one.topic, reader.deserialize(one))
                writer.write(topic, COMPRESSED_IMAGE, one.time_ns, serialize(message))
            else:
                writer.write(one.topic, one.msgtype, one.time_ns, one.data)
    return out


def small(topic: str, message: Any) -> tuple[str, Any]:
    """An image as image_transport compresses it: JPEG, or depth as PNG."""
    kind = project_types().types[COMPRESSED_IMAGE]
    if message.encoding == "16UC1":
        png = cv2.imencode(".png", message.data.view(np.uint16).reshape(message.height, -1))[1]
        data = np.concatenate([np.zeros(12, np.uint8), png])
        return f"{topic}/compressedDepth", kind(message.header, "16UC1; compressedDepth", data)
    rgb = message.data.reshape(message.height, message.width, 3)
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1]
    return f"{topic}/compressed", kind(message.header, "rgb8; jpeg compressed bgr8", jpeg)


def lengthened(recording: Path, out: Path, times: int) -> None:
    """The recording again and again, with later stamps of recording."""
    with BagReader(recording) as reader, BagWriter(out) as writer:
        messages = list(reader.messages())
        span = messages[-1].time_ns - messages[0].time_ns + 100_000_000
        for turn in tqdm(range(times), desc="recording"):
            for one in messages:
                writer.write(one.topic, one.msgtype, one.time_ns + turn * span, one.data)


def size_mb(recording: Path) -> float:
    """Size of a recording on disk."""
    return sum(file.stat().st_size for file in recording.iterdir()) / 1e6


def rates(labeller: Labeller, recording: Path, folder: Path, frames: int) -> dict[str, float]:
    """How fast the network and labelling are; means of some turns, each with both."""
    given = inputs(labeller, recording, frames)
    bare, labelled = np.zeros(2), np.zeros(2)
    for turn in range(REPEATS):
        out = folder / f"turn-{turn}"
        bare += spent(lambda: run_bare(labeller, given))
        labelled += spent(lambda out=out: labeller.label(recording, out))  # type: ignore[misc]
    bare, labelled = bare / REPEATS / frames, labelled / REPEATS / frames
    return {
        "workers": labeller.workers,
        "bare_frames_per_s": 1 / bare[0],
        "labelled_frames_per_s": 1 / labelled[0],
        "ratio": bare[0] / labelled[0],
        "inference_cpu_s": bare[1],
    }


def costs(
    labeller: Labeller, recording: Path, folder: Path, frames: int, inference_cpu_s: float
) -> dict[str, float]:
    """What a frame costs besides inference."""
    out, only = folder / f"{recording.name}-out", folder / f"{recording.name}-only"
    cpu_s = spent(lambda: labeller.label(recording, out))[1] / frames
    Labeller(labeller.model.path, Settings(labels_only=True)).label(recording, only)
    return {
        "other_cpu_s": cpu_s - inference_cpu_s,
        "read_mb": size_mb(recording) / frames,
        "written_mb": size_mb(out) / frames,
        "labels_mb": size_mb(only) / frames,
    }


def rounded(figures: dict[str, Any]) -> dict[str, Any]:
    """Four decimals."""
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}


def peak_memory_mb(model: Path, recording: Path, out: Path) -> float:
    """The most that the command takes, in a process of its own."""
    words = ["label", str(recording), "--out", str(out), "--model", str(model)]
    done = subprocess.run(
        [sys.executable, "-c", LABEL, *words], check=True, stdout=subprocess.PIPE, text=True
    )
    return int(done.stdout.split()[-1]) / 1024


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="the teacher's ONNX file (default: ours)")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--memory-frames", type=int, default=0, help="and label so many for memory")
    parser.add_argument("--out", type=Path, default=Path("out/bench-label.json"))
    options = parser.parse_args(argv)
    model = options.model or find_model(role="teacher")
    with tempfile.TemporaryDirectory() as temporary:
        folder, frames = Path(temporary), options.frames
        labeller, rendered = Labeller(model, Settings()), folder / "rendered"
        write_room_bag(rendered, SEED, frames, 10.0, depth_sensor=True, progress=tqdm)
        raw = as_recorded(rendered, folder / "raw")
        found: dict[str, Any] = rates(labeller, raw, folder, frames)
        for recording in (raw, as_recorded(rendered, folder / "compressed", small)):
            found[recording.name] = rounded(
                costs(labeller, recording, folder, frames, found["inference_cpu_s"])
            )
        if options.memory_frames:
            long = folder / "long"
            lengthened(raw, long, -(-options.memory_frames // frames))
            found["memory_frames"] = options.memory_frames
            found["peak_memory_mb"] = peak_memory_mb(model, long, folder / "out")
    text = json.dumps(rounded(found), indent=1)
    print(text)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
