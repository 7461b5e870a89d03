"""Many recordings: one after the other, or spread over a cluster by Ray."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mtl_bags.errors import BagError
from mtl_bags.labelling.job import Labeller, Track
from mtl_bags.labelling.summary import Settings, Summary
from mtl_core.errors import MtlError

RETRIES = 5
"""How often a recording is begun again after its worker has died; it goes on where it was."""


@dataclass(frozen=True)
class Task:
    """One recording to be labelled: does nothing where that is done already."""

    source: Path
    out: Path


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
    absolute = [Task(task.source.resolve(), task.out.resolve()) for task in tasks]
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
