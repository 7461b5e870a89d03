"""The simulation of schedulers keeps laws, and docs/scaling.md says what it prints."""

from __future__ import annotations

import heapq
import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("simpy")

ROOT = Path(__file__).parents[2]
WORK = st.lists(st.floats(1.0, 1e5), min_size=1, max_size=60)
WORKERS = st.integers(1, 20)


def program() -> ModuleType:
    spec = spec_from_file_location("scaling", ROOT / "benchmarks" / "scaling.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    sys.modules["scaling"] = module
    spec.loader.exec_module(module)
    return module


scaling = program()
Cluster = scaling.Cluster


def course(work: list[float], workers: int, cluster: object) -> tuple[float, object]:
    """When all is done, in seconds, and all figures."""
    found = scaling.Simulation(work, workers, cluster, seed=0).run()
    return found.makespan * sum(work) / workers, found


@given(WORK, WORKERS)
def test_a_queue_gives_the_next_one_to_whoever_is_free(work: list[float], workers: int) -> None:
    free = [0.0] * workers
    for one in work:
        heapq.heapreplace(free, free[0] + one)
    ends, _ = course(work, workers, Cluster(queue=True, ordered=False))
    assert ends == pytest.approx(max(free))


@given(WORK, WORKERS)
def test_shards_end_with_the_largest(work: list[float], workers: int) -> None:
    ends, _ = course(work, workers, Cluster(queue=False, ordered=False))
    assert ends == pytest.approx(max(sum(work[i::workers]) for i in range(workers)))


@given(WORK, WORKERS, st.booleans())
def test_nothing_is_faster_than_the_best(work: list[float], workers: int, queue: bool) -> None:
    ends, found = course(work, workers, Cluster(queue=queue, ordered=True))
    assert ends >= 0.999999 * max(max(work), sum(work) / workers)
    assert (found.redone, found.deaths, found.given_up) == (0, 0, 0)


@given(st.lists(st.floats(1.0, 1e4), min_size=1, max_size=20))
def test_one_mortal_worker_loses_what_it_waits_for(work: list[float]) -> None:
    mortal = Cluster(queue=True, ordered=True, dying=True)
    ends, found = course(work, 1, mortal)
    assert ends == pytest.approx(sum(work) + found.deaths * scaling.RETURN_S)
    assert found.redone == 0


def test_without_a_journal_work_is_done_again() -> None:
    forgetful = Cluster(queue=True, ordered=True, dying=True, journal=False)
    work = [scaling.LIFETIME_S] * 20
    ends, found = course(work, 1, forgetful)
    assert found.redone > 0.3
    expected = sum(work) * (1 + found.redone) + found.deaths * scaling.RETURN_S
    assert ends == pytest.approx(expected)


def test_the_document_says_what_the_measured_costs_give() -> None:
    costs = json.loads((ROOT / "docs" / "scaling.json").read_text())
    document = (ROOT / "docs" / "scaling.md").read_text()
    for table in (scaling.resources, scaling.limits, scaling.schedulers):
        assert "\n".join(table(costs)) in document
