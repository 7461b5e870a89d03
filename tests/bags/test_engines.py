"""Recordings on a cluster: a worker dies, and nothing is lost or done twice."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtl_bags.cli import main
from mtl_bags.labelling.engines import Task, by_ray
from mtl_bags.labelling.job import Labeller
from mtl_bags.labelling.summary import Settings, Summary
from recordings import read, records, write

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'mtl_bags[ray]'")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A head without work, and two nodes with one core each."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        made.add_node(num_cpus=1)
    ray.init(address=made.address, log_to_driver=False)
    yield made.address
    ray.shutdown()
    made.shutdown()


def test_a_killed_worker_s_recording_is_gone_on_with(
    model: Path, cluster: str, tmp_path: Path
) -> None:
    sources = [write(tmp_path / "in" / name, records()) for name in "abcd"]
    Labeller(model, Settings()).label(sources[0], tmp_path / "whole")
    killed: list[int] = []

    def kill() -> None:
        """The process that has begun the first journal that shows up."""
        while not killed:
            for journal in (tmp_path / "out").glob(".*.labelling/journal.sqlite"):
                for process in Path("/proc").glob("[0-9]*"):
                    try:
                        held = {os.readlink(fd) for fd in (process / "fd").iterdir()}
                    except OSError:
                        continue
                    if str(journal) in held and int(process.name) != os.getpid():
                        os.kill(int(process.name), signal.SIGKILL)
                        killed.append(int(process.name))
                        return
            time.sleep(0.002)

    (tmp_path / "out").mkdir()
    hunter = threading.Thread(target=kill, daemon=True)
    hunter.start()
    tasks = [Task(source, tmp_path / "out" / source.name) for source in sources]
    results = list(by_ray(model, Settings(), 1, tasks, cluster))
    assert killed
    assert all(isinstance(one, Summary) for one in results), results
    assert sorted(Path(one.out).name for one in results) == list("abcd")
    expected = read(tmp_path / "whole")
    for task in tasks:
        assert read(task.out) == expected
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == list("abcd")


def test_what_cannot_be_labelled_is_said_and_the_rest_is_done(
    model: Path, cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write(tmp_path / "good", records(range(2)))
    words = ["label", str(good), str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    words += ["--model", str(model), "--engine", "ray", "--ray-address", cluster]
    assert main([*words, "--workers", "1"]) == 1
    said = capsys.readouterr()
    assert "none does not exist" in said.err
    assert "2 of 2 images labelled" in said.out
