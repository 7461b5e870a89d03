"""The studies that are kept: tables follow from evaluations, and these are what was recorded."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from mtl_training.experiments.design import Experiment
from mtl_training.experiments.evaluation import FIGURES, ROWS, figures_in
from mtl_training.experiments.experiment import RESULTS
from mtl_training.experiments.stages import RECORD, STAGES
from mtl_training.experiments.tables import write_report
from mtl_training.settings import load_config

TRAINING = Path(__file__).parents[2] / "training"
KEPT = sorted(path.parent for path in TRAINING.glob(f"results/*/{RESULTS}"))


def lines(folder):
    return [json.loads(line) for line in (folder / RESULTS).read_text().splitlines()]


@pytest.fixture(params=KEPT, ids=lambda folder: folder.name)
def kept(request):
    return request.param


def test_some_studies_are_kept():
    assert KEPT


def test_a_table_says_what_the_results_and_evaluations_say(kept, tmp_path):
    study = load_config(Experiment, TRAINING / "configs" / "experiments" / f"{kept.name}.toml")
    (tmp_path / STAGES).symlink_to(kept / STAGES)
    write_report(study, lines(kept), tmp_path)
    assert (tmp_path / "table.md").read_bytes() == (kept / "table.md").read_bytes()


def test_results_are_of_the_evaluations_that_were_recorded(kept):
    for one in lines(kept):
        for task, name in one["evaluations"].items():
            folder = kept / STAGES / name
            assert figures_in(folder)[task] == one["figures"][task]
            found = b"".join((folder / file).read_bytes() for file in (FIGURES, ROWS))
            record = json.loads((folder / RECORD).read_text())
            assert record["digest"] == hashlib.sha256(found).hexdigest(), name


def test_all_was_made_by_committed_code(kept):
    records = [json.loads(path.read_text()) for path in kept.glob(f"{STAGES}/*/{RECORD}")]
    commits = {record["commit"] for record in records}
    assert [one for one in commits if not re.fullmatch("[0-9a-f]{40}", one)] == []
