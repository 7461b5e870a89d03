"""Measure how much of the bare teacher's rate labelling keeps, and how much memory it takes.

Both rates are of the same frames, in one run: the network alone on prepared inputs, and the whole
way from a recording to a labelled one. Prints them, and writes `out/bench-label.json`.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mtl_bags.frames import recorded_frames
from mtl_bags.labelling.job import Labeller
from mtl_bags.labelling.summary import Settings
from mtl_bags.messages import to_colour_image, to_depth
from mtl_bags.reader import BagReader
from mtl_bags.records import Record
from mtl_bags.synthetic import write_room_bag
from mtl_bags.topics import Camera
from mtl_bags.writer import BagWriter
from mtl_core.interface import DEPTH
from mtl_core.predictor import ModelPredictor
from mtl_perception.models import find_model

SEED = 21


def inputs(labeller: Labeller, recording: Path) -> list[dict[str, Any]]:
    """What the network gets for each frame, and for its mirror image."""
    kept: list[dict[str, Any]] = []

    class Keeping:
        card, signals, provider = labeller.model.card, labeller.model.signals, "none"
        outputs = labeller.model.outputs

        def run(self, given: dict[str, Any]) -> dict[str, Any]:
            kept.append({name: value.copy() for name, value in given.items()})
            return labeller.model.run(given)

    predictor = ModelPredictor(Keeping())  # type: ignore[arg-type]
    with BagReader(recording) as reader:
        for frame in recorded_frames(reader, Camera.find(reader)):
            image = to_colour_image(reader.deserialize(frame.image))
            depth = to_depth(reader.deserialize(frame.depth)) if frame.depth else None
            signals = {} if depth is None else {DEPTH: depth}
            for _ in range(2 if labeller.settings.flip else 1):  # the mirror image costs the same
                predictor.predict(image, None, signals)
    return kept


def bare_rate(labeller: Labeller, given: list[dict[str, Any]], frames: int) -> float:
    """Frames a second of the network alone, as many at once as labelling does."""
    with ThreadPoolExecutor(labeller.workers) as pool:
        start = time.perf_counter()
        list(pool.map(labeller.model.run, given))
        return frames / (time.perf_counter() - start)


def label_rate(labeller: Labeller, recording: Path, out: Path, frames: int) -> float:
    """Frames a second from a recording to a labelled one."""
    start = time.perf_counter()
    labeller.label(recording, out)
    return frames / (time.perf_counter() - start)


def lengthened(recording: Path, out: Path, times: int) -> None:
    """The recording again and again, with later stamps of recording."""
    with BagReader(recording) as reader, BagWriter(out) as writer:
        messages: list[Record] = list(reader.messages())
        span = messages[-1].time_ns - messages[0].time_ns + 100_000_000
        for turn in tqdm(range(times), desc="recording"):
            for one in messages:
                writer.write(one.topic, one.msgtype, one.time_ns + turn * span, one.data)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="the teacher's ONNX file (default: ours)")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--memory-frames", type=int, default=0, help="and label so many for memory")
    parser.add_argument("--out", type=Path, default=Path("out/bench-label.json"))
    options = parser.parse_args(argv)
    labeller = Labeller(options.model or find_model(role="teacher"), Settings())
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "room"
        write_room_bag(recording, SEED, options.frames, 10.0, depth_sensor=True, progress=tqdm)
        given = inputs(labeller, recording)
        bare = [bare_rate(labeller, given, options.frames)]
        labelled = label_rate(labeller, recording, Path(folder) / "labelled", options.frames)
        bare.append(bare_rate(labeller, given, options.frames))
        found = {
            "workers": labeller.workers,
            "bare_frames_per_s": round(float(np.mean(bare)), 3),
            "labelled_frames_per_s": round(labelled, 3),
            "ratio": round(labelled / float(np.mean(bare)), 3),
        }
        if options.memory_frames:
            del given
            long = Path(folder) / "long"
            lengthened(recording, long, -(-options.memory_frames // options.frames))
            labeller.label(long, Path(folder) / "long-labelled", lambda f, n: tqdm(f, total=n))
            found["frames_for_memory"] = options.memory_frames
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            found["peak_memory_mb"] = round(peak)
    print(json.dumps(found, indent=1))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
