"""Kills labelling at random moments and goes on: python tests/stress_label.py [--kills 50].

Every result must equal that of a run that nobody interrupted, message for message.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

import tiny_student
from mtl_bags.reader import BagReader
from mtl_bags.records import Record
from mtl_bags.synthetic import write_room_bag

FRAMES, SEED = 60, 40


def read(path: Path) -> list[Record]:
    with BagReader(path) as reader:
        return list(reader.messages())


def labelling(source: Path, out: Path, model: Path) -> subprocess.Popen[bytes]:
    words = ["-m", "mtl_bags", "label", source, "--out", out, "--model", model]
    return subprocess.Popen(
        [sys.executable, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def finish(source: Path, out: Path, model: Path) -> None:
    if status := labelling(source, out, model).wait():
        raise SystemExit(f"labelling ended with status {status}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = tiny_student.write_teacher(folder / "tiny-teacher.onnx")
        source = folder / "room"
        write_room_bag(source, SEED, FRAMES, 10.0, depth_sensor=True, progress=tqdm)
        start = time.monotonic()
        finish(source, folder / "whole", model)
        seconds = time.monotonic() - start
        expected = read(folder / "whole" / "room")
        out, kills, runs = folder / "out", 0, 0
        bar = tqdm(total=options.kills, unit="kill")
        while kills < options.kills:
            process = labelling(source, out, model)
            time.sleep(rng.uniform(0, seconds))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
                bar.update()
            process.wait()
            if (out / "room").exists():
                runs += 1
                if read(out / "room") != expected:
                    raise SystemExit(f"another result after {kills} kills, seed {options.seed}")
                shutil.rmtree(out)
        bar.close()
        finish(source, out, model)
        if read(out / "room") != expected:
            raise SystemExit("another result at the end")
    print(f"{kills} kills of runs of {seconds:.1f} s, {runs + 1} results, all alike")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
