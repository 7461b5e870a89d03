"""What labelling costs at scale, from the measured costs of a frame: the tables of docs/scaling.md.

    make bench-label                                       # measures: out/bench-label.json
    python benchmarks/scaling.py out/bench-label.json      # prints the tables

The schedulers are simulated with the code that divides and orders recordings when labelling.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import astuple, dataclass
from operator import pos
from pathlib import Path
from typing import Any

import numpy as np
import simpy

from mtl_bags.labelling.engines import RETRIES, longest_first, shards

Costs = dict[str, Any]
Pending = list[float]
"""Work, in seconds of one worker."""

RATE_HZ = 10.0
"""Frames of a recorded second that are labelled."""

HOURS = (1, 100, 10_000)
BAGS, WORKERS = 2000, 64
MEDIAN_S, SPREAD = 180.0, 1.0
"""Of the recordings' lengths, which are log-normal: median, and sigma of the logarithm."""

SLOW_SHARE, SLOWNESS = 0.05, 2.0
"""How many workers are slow, and how many times: stragglers of shared machines."""

LIFETIME_S, RETURN_S = 7200.0, 120.0
"""Mean time until a worker is taken away, as spot machines are, and until there is another."""

SEEDS = 20
LINK_MB_S = 1250.0
"""10 Gbit/s."""


@dataclass(frozen=True)
class Cluster:
    """How a cluster behaves.

    Attributes:
        queue: Workers take from one queue, as with Ray; else each has its shard.
        ordered: The longest first; else in the order of their names, which is any.
        uneven: Some workers are slow.
        dying: Workers are taken away.
        journal: A recording is gone on with; else it is begun anew.
    """

    queue: bool
    ordered: bool
    uneven: bool = False
    dying: bool = False
    journal: bool = True


@dataclass(frozen=True)
class Course:
    """How it went.

    Attributes:
        makespan: Until all was done, over what equal workers that are never idle would take.
        redone: Work that was done again, over all work.
        deaths: Workers that were taken away.
        given_up: Recordings whose workers died more often than they are begun again.
    """

    makespan: float
    redone: float
    deaths: int
    given_up: int


class Simulation:
    """Workers label recordings.

    Args:
        work: Seconds of one worker that each recording takes.
        workers: How many.
        cluster: How they behave.
        seed: Of who is slow, and of who dies when.
    """

    def __init__(self, work: Sequence[float], workers: int, cluster: Cluster, seed: int) -> None:
        """Give out what is to be done."""
        self._cluster, self._env = cluster, simpy.Environment()
        self._rng = np.random.default_rng(seed)
        self._total, self._best = sum(work), sum(work) / workers
        self._deaths: list[int] = []
        self._redone = self._end = 0.0
        for pending in self._given(list(work), workers):
            slow = cluster.uneven and self._rng.random() < SLOW_SHARE
            self._env.process(self._worker(pending, SLOWNESS if slow else 1.0))

    def run(self) -> Course:
        """Until all is done."""
        self._env.run()
        deaths = np.array(self._deaths)
        given_up = np.count_nonzero(deaths > RETRIES)
        return Course(
            self._end / self._best, self._redone / self._total, deaths.sum(), int(given_up)
        )

    def _given(self, work: Pending, workers: int) -> list[Pending]:
        """What each worker takes from, the next one last."""
        if self._cluster.queue:
            queue = longest_first(work, pos) if self._cluster.ordered else work
            return [queue[::-1]] * workers
        if self._cluster.ordered:
            return shards(work, workers, pos)
        return [work[index::workers] for index in range(workers)]

    def _worker(self, pending: Pending, slowness: float) -> Generator[simpy.Event, Any, None]:
        """Take and do, until nothing is left to take."""
        while pending:
            whole = left = pending.pop()
            deaths = 0
            while left > 0:
                lifetime = self._rng.exponential(LIFETIME_S) if self._cluster.dying else np.inf
                spent = min(left * slowness, lifetime)
                yield self._env.timeout(spent)
                left -= spent / slowness
                if left > 0:
                    deaths += 1
                    if not self._cluster.journal:
                        self._redone += whole - left
                        left = whole
                    yield self._env.timeout(RETURN_S)
            self._deaths.append(deaths)
            self._end = self._env.now


def lengths(seed: int, bags: int = BAGS) -> Pending:
    """Seconds of recordings."""
    return list(MEDIAN_S * np.random.default_rng(seed).lognormal(0.0, SPREAD, bags))


def core_s(costs: Costs, kind: str) -> float:
    """Seconds of a core for a frame."""
    return float(costs["inference_cpu_s"] + costs[kind]["other_cpu_s"])


def resources(costs: Costs) -> Iterator[str]:
    """Cores and storage for so many hours."""
    yield "| recorded | frames | core hours | cores for a day | images | read | written | labels |"
    yield "|---|---|---|---|---|---|---|---|"
    for hours in HOURS:
        frames = hours * 3600 * RATE_HZ
        for kind in ("raw", "compressed"):
            spent = frames * core_s(costs, kind) / 3600
            sizes = (frames * costs[kind][f"{of}_mb"] / 1e6 for of in ("read", "written", "labels"))
            yield (
                f"| {hours:,} h | {frames:,.0f} | {spent:,.0f} | {spent / 24:,.1f} | {kind} | "
                + " | ".join(f"{size:.3g} TB" for size in sizes)
                + " |"
            )


def limits(costs: Costs) -> Iterator[str]:
    """What one core keeps busy, and how many a link feeds."""
    head = ("images", "frames/s of a core", "not inference", "MB/s in and out")
    yield f"| {' | '.join(head)} | cores that 10 Gbit/s feed | with `--labels-only` |"
    yield "|---|---|---|---|---|---|"
    for kind in ("raw", "compressed"):
        cost, rate = costs[kind], 1 / core_s(costs, kind)
        whole = rate * (cost["read_mb"] + cost["written_mb"])
        only = rate * (cost["read_mb"] + cost["labels_mb"])
        yield (
            f"| {kind} | {rate:.2f} | {cost['other_cpu_s'] * rate:.0%} | {whole:.1f} | "
            f"{LINK_MB_S / whole:,.0f} | {LINK_MB_S / only:,.0f} |"
        )


SCHEDULERS = {
    "`--shard`, were it every 64th by name": Cluster(queue=False, ordered=False),
    "`--shard`": Cluster(queue=False, ordered=True),
    "Ray, were it in the order of names": Cluster(queue=True, ordered=False),
    "Ray": Cluster(queue=True, ordered=True),
    "`--shard`, some workers slow": Cluster(queue=False, ordered=True, uneven=True),
    "Ray, some workers slow": Cluster(queue=True, ordered=True, uneven=True),
    "`--shard`, some slow, all mortal": Cluster(False, True, uneven=True, dying=True),
    "Ray, some slow, all mortal": Cluster(True, True, uneven=True, dying=True),
    "Ray, the same, were there no journal": Cluster(True, True, True, True, journal=False),
}


def schedulers(costs: Costs) -> Iterator[str]:
    """How far from the best the last recording is done; means of some seeds."""
    factor = RATE_HZ * core_s(costs, "compressed")
    work = [[factor * length for length in lengths(seed)] for seed in range(SEEDS)]
    best_h = np.mean([sum(one) for one in work]) / WORKERS / 3600
    yield "| | the last is done after | over the best | died | done again | given up |"
    yield "|---|---|---|---|---|---|"
    for name, cluster in SCHEDULERS.items():
        courses = [
            astuple(Simulation(one, WORKERS, cluster, seed).run()) for seed, one in enumerate(work)
        ]
        makespan, redone, deaths, given_up = np.mean(courses, axis=0)
        took = f"{makespan * best_h:.2f} h | {makespan - 1:+.0%}"
        yield f"| {name} | {took} | {deaths:.0f} | {redone:.0%} | {given_up:.1f} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("costs", type=Path, help="what `make bench-label` wrote")
    costs = json.loads(parser.parse_args(argv).costs.read_text(encoding="utf-8"))
    for table in (resources, limits, schedulers):
        print(*table(costs), "", sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
