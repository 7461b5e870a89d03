"""Measure the student node as a robot meets it: a process of its own, fed over DDS.

A rendered recording is played to the node, and in the same run the bare network answers the same
frames (`session.run` on prepared inputs, one thread, nothing else at work), before and after. What
counts are the ratios. Prints what it finds, and writes it to `--out`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from probe import Probe, Recording, Usage, probe
from tqdm import tqdm

from mtl_bags.records import CAMERA_INFO, IMAGE
from mtl_core.interface import IMAGE as INPUT
from mtl_core.predictor import Preprocessor
from mtl_core.providers import Runtime
from mtl_perception import topics
from mtl_perception.laps import WINDOW
from mtl_perception.models import find_model, int8_beside
from mtl_perception.student_predictor import StudentPredictor

CLOUD = "sensor_msgs/msg/PointCloud2"
PAIR = {topics.MASK: IMAGE, topics.DEPTH: IMAGE}
EVERYTHING = {
    **PAIR,
    topics.CONFIDENCE: IMAGE,
    topics.OVERLAY: IMAGE,
    topics.UNCERTAINTY: IMAGE,
    topics.POINTS: CLOUD,
    topics.SEGMENTATION_CAMERA_INFO: CAMERA_INFO,
    topics.DEPTH_CAMERA_INFO: CAMERA_INFO,
}
OVERLOAD = 3.0
IDLE_S = 20.0
SLACK = 3.0
"""How much slower than the bare network frames come where nothing is to be dropped."""


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """`p50`, `p95` and `p99`."""
    return {f"p{p}": round(float(np.percentile(values, p)), 2) for p in (50, 95, 99)}


def bare_ms(model: Path, recording: Recording, count: int, period: float = 0.0) -> list[float]:
    """Times of the bare network on the recording's frames, one thread.

    With a period, at that pace: a core that has paused is slower than one in a loop, in a node or
    not.
    """
    predictor = StudentPredictor(model, Runtime(threads=1))
    prepare = Preprocessor(predictor.card.input)
    tensors = []
    for image in recording.images:
        prepare(image)
        tensors.append(prepare.tensor.copy())
    for tensor in tensors[:3]:
        predictor.model.run({INPUT: tensor})
    taken: list[float] = []
    due = time.perf_counter()
    for tensor in islice(cycle(tensors), count):
        time.sleep(max(due - time.perf_counter(), 0.0))
        start = time.perf_counter()
        due = start + period
        predictor.model.run({INPUT: tensor})
        taken.append(1000 * (time.perf_counter() - start))
    return taken


class Bench:
    """All measurements of one run.

    Args:
        folder: For what is written on the way.
        frames: Answered in each measurement; the node's own percentiles are of its last `WINDOW`.
    """

    def __init__(self, folder: Path, frames: int) -> None:
        """Render the recording."""
        self._folder, self._frames = folder, frames
        self.recording = Recording.render(folder / "recording")

    def compared(
        self, model: Path, outputs: Mapping[str, str], **parameters: object
    ) -> dict[str, Any]:
        """A node at a third of what the bare network can do, and that before and after."""
        loop = bare_ms(model, self.recording, self._frames // 2)
        period = SLACK * float(np.median(loop)) / 1000
        bare = bare_ms(model, self.recording, self._frames // 2, period)
        with probe(self._folder, outputs, model=model, **parameters) as node:
            found = self._measured(node, period)
        bare += bare_ms(model, self.recording, self._frames // 2, period)
        loop += bare_ms(model, self.recording, self._frames // 2)
        share = percentiles(bare)["p50"] / found["callback_to_publish_ms"]["p50"]
        return {
            "bare_ms": percentiles(bare),
            "bare_in_a_loop_ms": percentiles(loop),
            **found,
            "share_of_inference": round(share, 3),
        }

    def _measured(self, node: Probe, period: float, share: float = 1.0) -> dict[str, Any]:
        """Play at this period, of which the node is expected to answer so large a share."""
        node.play(self.recording.frames, 3.0, period)
        node.settle()
        node.forget()
        before = node.settle()
        usage = Usage(node.process.process.pid)
        cpu_s, start = usage.seconds, time.monotonic()
        node.play(self.recording.frames, self._frames * period / share, period)
        cpu_s, seconds = usage.seconds - cpu_s, time.monotonic() - start
        said = node.settle()
        latencies = node.latencies_ms()
        sent = sum(map(len, node.sent.values()))
        return {
            "callback_to_publish_ms": {
                f"p{p}": float(said[f"latency_p{p}_ms"]) for p in (50, 95, 99)
            },
            "stages_p50_ms": {
                stage: float(said[f"{stage}_p50_ms"])
                for stage in ("wait", "pre", "infer", "post", "publish")
            },
            "stamp_to_receive_ms": percentiles(latencies),
            "frames": sent,
            "answered": len(latencies),
            "rate_hz": round(len(latencies) / seconds, 2),
            "dropped": int(said["dropped"]) - int(before["dropped"]),
            "cpu_ms_per_frame": round(1000 * cpu_s / max(len(latencies), 1), 1),
            "rss_mb": round(usage.rss_mb, 1),
        }

    def overload(self, model: Path) -> dict[str, Any]:
        """Frames come three times as fast as the node answers, at one that is measured first."""
        with probe(self._folder, PAIR, model=model) as node:
            service = self._measured(
                node, SLACK * np.median(bare_ms(model, self.recording, 50)) / 1000
            )
            service_ms = service["callback_to_publish_ms"]["p50"]
            found = self._measured(node, service_ms / 1000 / OVERLOAD, 1 / OVERLOAD)
            return {
                "service_ms": service_ms,
                "overload": OVERLOAD,
                **found,
                "passed_over": passed_over(node, found),
            }

    def idle(self, model: Path, hz: float) -> float:
        """Share of one core that an active node takes while nobody reads what it could say."""
        with probe(self._folder, {}, model=model) as node:
            node.settle()
            usage = Usage(node.process.process.pid)
            cpu_s, start = usage.seconds, time.monotonic()
            if hz:
                node.play(self.recording.frames, IDLE_S, 1 / hz)
            else:
                time.sleep(IDLE_S)
            return round((usage.seconds - cpu_s) / (time.monotonic() - start), 4)

    def cameras(self, model: Path, names: Sequence[str]) -> dict[str, Any]:
        """Several cameras at the rate that they can be served at together, with some slack."""
        period = SLACK * len(names) * float(np.median(bare_ms(model, self.recording, 50))) / 1000
        with probe(self._folder, PAIR, names, model=model) as node:
            found = self._measured(node, period)
            answered = {name: int(said["answered"]) for name, said in node.reports.items()}
            return {**found, "answered_by_camera": answered}

    def soak(self, model: Path, minutes: float) -> dict[str, Any]:
        """Overload for long: what memory, latency and threads do."""
        with probe(self._folder, PAIR, model=model) as node:
            usage = Usage(node.process.process.pid)
            period = float(np.median(bare_ms(model, self.recording, 50))) / 1000 / OVERLOAD
            rows = []
            for _ in tqdm(range(max(round(minutes * 3), 3)), desc="soak", unit="20 s"):
                node.forget()
                node.play(self.recording.frames, 20.0, period)
                said = node.settle()
                threads = len(list(Path(f"/proc/{node.process.process.pid}/task").iterdir()))
                p95 = percentiles(node.latencies_ms())["p95"]
                rows.append([round(usage.rss_mb, 1), threads, p95, int(said["dropped"])])
        return {
            "columns": ["rss_mb", "threads", "stamp_to_receive_p95_ms", "dropped"],
            "rows": rows,
        }


def passed_over(node: Probe, found: Mapping[str, Any]) -> int:
    """Results of a frame although a newer one had come when its inference began.

    When that was is reckoned back from the last result's arrival, by the medians of what lies
    between: the way there and back, sending, making and inference.
    """
    after = sum(found["stages_p50_ms"][stage] for stage in ("infer", "post", "publish"))
    way = found["stamp_to_receive_ms"]["p50"] - found["callback_to_publish_ms"]["p50"]
    sent = np.array(sorted(node.sent[""].values()))
    count = 0
    for stamp, at in node.sent[""].items():
        if all(stamp in came for came in node.came.values()):
            last = max(came[stamp] for came in node.came.values())
            newest = sent[np.searchsorted(sent, last - (after + way) / 1000) - 1]
            count += bool(newest > at)
    return count


def machine() -> dict[str, Any]:
    """What this was measured on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    known = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni") if flag in flags]
    import onnxruntime

    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "flags": known,
        "system": platform.platform(),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "load_before": os.getloadavg()[0],
    }


def large_student(folder: Path) -> Path:
    """A 480x640 student of random weights, which takes as long as a trained one."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import untrained
    from mtl_training.config import DataConfig, NetworkConfig, ScheduleConfig, TrainConfig
    from mtl_training.export import export, write_card
    from mtl_training.models import TorchModel, load_trained
    from mtl_training.tasks.registry import TaskConfig

    config = TrainConfig(
        name="untrained-480x640",
        seed=0,
        tasks=TaskConfig(("segmentation", "depth"), "nyu13", 518.86, 0.3, 12.0),
        network=NetworkConfig("student", 480, 640),
        data=(DataConfig("rooms", frames=1),),
        schedule=ScheduleConfig(steps=1),
    )
    folder.mkdir()
    model = TorchModel(load_trained(untrained.run(folder, config)))
    path = folder / f"{config.name}.onnx"
    export(model.network, model.card.input, path)
    write_card(path, model.card)
    return path


def measured(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run all that is asked for."""
    model = find_model(options.model)
    bench = Bench(folder, options.frames)
    found: dict[str, Any] = {"machine": machine(), "model": model.name}
    steps: dict[str, Callable[[], Any]] = {
        "mask_depth": lambda: bench.compared(model, PAIR),
        "mask": lambda: bench.compared(model, {topics.MASK: IMAGE}),
        "all_outputs": lambda: bench.compared(model, EVERYTHING),
        "mask_depth_480x640": lambda: bench.compared(large_student(folder / "large"), PAIR),
        "overload": lambda: bench.overload(model),
        "three_cameras": lambda: bench.cameras(model, ("front", "left", "right")),
        "idle_without_camera": lambda: bench.idle(model, 0.0),
        "idle_at_15_hz": lambda: bench.idle(model, 15.0),
    }
    if int8_beside(model).is_file():
        steps["int8"] = lambda: bench.compared(int8_beside(model), PAIR)
    if options.soak_minutes:
        steps["soak"] = lambda: bench.soak(model, options.soak_minutes)
    for name, step in steps.items():
        if not options.only or name in options.only:
            found[name] = step()
            print(f"{name}: {json.dumps(found[name])}", flush=True)
    return {**summary(found), **found}


def ratio(row: Mapping[str, Any], point: str = "p50") -> float:
    """Callback-to-publish over the bare network's median."""
    return round(row["callback_to_publish_ms"][point] / row["bare_ms"]["p50"], 3)


def summary(found: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that are held to a target."""
    kept: dict[str, Callable[[], float]] = {
        "ratio_mask_depth": lambda: ratio(found["mask_depth"]),
        "ratio_mask_depth_480x640": lambda: ratio(found["mask_depth_480x640"]),
        "ratio_all_outputs": lambda: ratio(found["all_outputs"]),
        "p99_over_p50": lambda: round(
            found["mask_depth"]["callback_to_publish_ms"]["p99"]
            / found["mask_depth"]["callback_to_publish_ms"]["p50"],
            3,
        ),
        "int8_over_fp32": lambda: round(
            found["int8"]["callback_to_publish_ms"]["p50"]
            / found["mask_depth"]["callback_to_publish_ms"]["p50"],
            3,
        ),
        "idle_cpu_share": lambda: found["idle_at_15_hz"],
        "rss_mb_one_camera": lambda: found["mask_depth"]["rss_mb"],
        "rss_mb_three_cameras": lambda: found["three_cameras"]["rss_mb"],
        "overload_p95_over_service": lambda: round(
            found["overload"]["stamp_to_receive_ms"]["p95"] / found["overload"]["service_ms"], 3
        ),
    }
    figures: dict[str, Any] = {}
    for name, figure in kept.items():
        with suppress(KeyError):  # not asked for
            figures[name] = figure()
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="", help="ONNX file or name; default: the package's")
    parser.add_argument(
        "--frames", type=int, default=WINDOW + 10, help="answered for each row; default: 310"
    )
    parser.add_argument(
        "--soak-minutes", type=float, default=0.0, help="of overload; default: none"
    )
    parser.add_argument("--only", nargs="*", metavar="ROW", help="default: all")
    parser.add_argument("--out", type=Path, default=Path("out/bench/bench.json"))
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        found = measured(options, Path(folder))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name, value in summary(found).items():
        print(f"{name:<28}{value:>10}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
