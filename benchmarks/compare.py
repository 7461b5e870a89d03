"""Compare what models cost on this machine: one inference of each in turn, over and over.

A machine's speed drifts, and whatever else runs on it slows all of them alike: the ratio of two
inferences right after each other is what stays. Prints milliseconds and the ratio to the first.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np

from mtl_core.interface import IMAGE
from mtl_core.model import OnnxModel
from mtl_core.providers import Runtime
from mtl_perception.models import find_model


def seconds(models: Sequence[OnnxModel], rounds: int) -> np.ndarray:
    """(rounds, models) float64, after a few rounds to warm up."""
    rng = np.random.default_rng(0)
    specs = [model.card.input for model in models]
    inputs = [
        {IMAGE: rng.standard_normal((1, 3, spec.height, spec.width), np.float32)} for spec in specs
    ]
    taken = np.zeros((rounds + 5, len(models)))
    for row in taken:
        for column, (model, given) in enumerate(zip(models, inputs, strict=True)):
            start = time.perf_counter()
            model.run(given)
            row[column] = time.perf_counter() - start
    return taken[5:]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="ONNX files, or names of models that ship")
    parser.add_argument("--threads", type=int, default=1, help="of one inference; default: 1")
    parser.add_argument("--rounds", type=int, default=200, help="default: 200")
    options = parser.parse_args(argv)
    paths = [find_model(name) for name in options.models]
    taken = seconds([OnnxModel(path, Runtime(options.threads)) for path in paths], options.rounds)
    ratios = taken / taken[:, :1]
    print(f"{'':<44}{'p50 [ms]':>10}{'ratio p50':>11}{'p5':>7}{'p95':>7}")
    for path, ms, ratio in zip(paths, 1000 * taken.T, ratios.T, strict=True):
        low, middle, high = np.percentile(ratio, [5, 50, 95])
        print(f"{path.name:<44}{np.median(ms):>10.1f}{middle:>11.3f}{low:>7.3f}{high:>7.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
