"""What data loading costs training, over the bare steps of forward, backward and optimiser.

Rounds of both kinds take turns, so that a neighbour's load meets both alike; the ratio of a round
is what counts, and its median is printed. Needs the NYUv2 folder that `$MTL_DATA` has.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice

import torch

from mtl_training.config import DataConfig, NetworkConfig, ScheduleConfig, TrainConfig
from mtl_training.data.loader import Batch, BatchOrder, batches
from mtl_training.errors import TrainingError
from mtl_training.learning.engine import Run, new_run
from mtl_training.learning.learner import TOTAL
from mtl_training.learning.material import Material, gather
from mtl_training.tasks.registry import TaskConfig


def _config(height: int, width: int, steps: int) -> TrainConfig:
    tasks = TaskConfig(("segmentation", "depth"), "nyu13", 518.86 * width / 640, 0.3, 12.0)
    network, data = NetworkConfig("student", height, width), DataConfig("nyuv2", split="fit")
    return TrainConfig("benchmark", 0, tasks, network, (data,), ScheduleConfig(steps))


def _loaded(config: TrainConfig, material: Material, workers: int) -> Iterator[Batch]:
    schedule = config.schedule
    order = BatchOrder(material.pools, schedule.batch_size, config.seed, 0, schedule.steps)
    return iter(batches(material.views, order, material.tasks, workers))


def _steps(run: Run, source: Iterator[Batch]) -> float:
    """Seconds that training on these batches takes."""
    start = time.perf_counter()
    for batch in source:
        run.optimizer.zero_grad(set_to_none=True)
        run.learner(batch, run.step, run.averaged)[TOTAL].backward()
        run.optimizer.step()
        run.averaged.update_parameters(run.learner.network)
    return time.perf_counter() - start


def main(argv: Sequence[str] | None = None) -> int:
    """Print milliseconds of both kinds of step and the cost of loading in percent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--height", type=int, default=192)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--steps", type=int, default=12, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args(argv)
    config = _config(args.height, args.width, args.steps * (args.rounds + 1))
    try:
        material = gather(config)
    except TrainingError as err:
        print(f"benchmark: {err}", file=sys.stderr)
        return 1
    run, source = new_run(config, material), _loaded(config, material, args.workers)
    _steps(run, islice(source, args.steps))  # caches fill, torch chooses its kernels
    rounds = []
    batch = next(source)
    for _ in range(args.rounds - 1):
        bare = _steps(run, iter([batch] * args.steps))
        rounds.append((bare, _steps(run, islice(source, args.steps))))
    bare, loaded = (
        statistics.median(times) / args.steps * 1e3 for times in zip(*rounds, strict=True)
    )
    cost = statistics.median(with_data / alone for alone, with_data in rounds) - 1
    threads = torch.get_num_threads()
    print(
        f"student {args.height}x{args.width}, batch 8, {threads} threads, {args.workers} workers:"
    )
    print(f"bare step {bare:.0f} ms, with loading {loaded:.0f} ms, loading costs {cost:+.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
