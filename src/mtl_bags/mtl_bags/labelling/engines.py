"""Many recordings: one after the other, in shards, or spread over a cluster by Ray."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from mtl_bags.errors import BagError
from mtl_bags.labelling.job import Labeller, Track
from mtl_bags.labelling.summary import Settings, Summary
from mtl_core.errors import MtlError

S = TypeVar("S")

RETRIES = 5
"""How often a recording is begun again after its worker has died; it goes on where it was."""


@dataclass(frozen=True)
class Task:
    """One recording to be labelled: does nothing where that is done already."""

    source: Path
    out: Path

    def size(self) -> int:
        """Bytes of the recording; 0 where it cannot be read, which is said when its turn comes."""
        try:
            files = self.source.iterdir() if self.source.is_dir() else [self.source]
            return sum(file.stat().st_size for file in files if file.is_file())
        except OSError:
            return 0


def longest_first(tasks: Iterable[S], size: Callable[[S], float]) -> list[S]:
    """So that none is begun when all others are about to end."""
    return sorted(tasks, key=size, reverse=True)


def shards(tasks: Iterable[S], count: int, size: Callable[[S], float]) -> list[list[S]]:
    """Divide tasks into parts of about equal size: the longest first, each to the least part yet.

    The largest part is within 4/3 of the best division's (Graham, 1969).
    """
    parts: list[list[S]] = [[] for _ in range(count)]
    heap = [(0.0, index) for index in range(count)]
    for task in longest_first(tasks, size):
        total, index = heap[0]
        parts[index].append(task)
        heapq.heapreplace(heap, (total + size(task), index))
    return parts


Result = Summary | BagError | MtlError


def one_by_one(labeller: Labeller, tasks: Sequence[Task], track: Track) -> Iterator[Result]:
    """Label here, each with all workers."""
    for task in tasks:
        yield _attempted(labeller, task, track)


def by_ray(
    model: Path, settings: Settings, workers: int, tasks: Sequence[Task], address: str = ""
) -> Iterator[Result]:
    """Label on a Ray cluster; results come as they are ready.

    Paths must mean the same files everywhere, as on a shared file system.

    Args:
        model: The teacher's ONNX file.
        settings: How to label.
        workers: Cores of a task.
        tasks: The recordings.
        address: Of the cluster; "" = this machine alone, or what `RAY_ADDRESS` names.

    Raises:
        BagError: Ray is not installed, or there is no such cluster.
    """
    ray = _ray(address)
    label = ray.remote(num_cpus=workers, max_retries=RETRIES)(_label)
    absolute = [
        Task(task.source.resolve(), task.out.resolve()) for task in longest_first(tasks, Task.size)
    ]
    waiting = [label.remote(model.resolve(), settings, workers, task) for task in absolute]
    while waiting:
        (done, *_), waiting = ray.wait(waiting, num_returns=1)
        try:
            yield ray.get(done)
        except ray.exceptions.RayError as err:
            yield BagError(f"a recording was given up after {RETRIES} retries: {err}")


def _ray(address: str) -> Any:
    # A robot's data are nobody else's business.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as err:
        raise BagError("the engine ray needs Ray: pip install 'mtl_bags[ray]'") from err
    if not ray.is_initialized():
        try:
            ray.init(address=address or None, include_dashboard=False, log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError) as err:
            raise BagError(f"no Ray cluster at {address or 'this machine'}: {err}") from err
    return ray


@lru_cache(maxsize=1)
def _labeller(model: Path, settings: Settings, workers: int) -> Labeller:
    """Loaded once in each worker process."""
    return Labeller(model, settings, workers)


def _label(model: Path, settings: Settings, workers: int, task: Task) -> Result:
    try:
        labeller = _labeller(model, settings, workers)
    except (BagError, MtlError) as err:
        return err
    return _attempted(labeller, task)


def _attempted(labeller: Labeller, task: Task, track: Track = lambda frames, _: frames) -> Result:
    try:
        return labeller.label(task.source, task.out, track)
    except (BagError, MtlError) as err:
        return err
    except OSError as err:
        return BagError(f"{task.source}: {err}")
