"""The studies that are kept: their tables follow from what was measured, by the code of today."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mtl_training.experiments.design import Experiment
from mtl_training.experiments.experiment import RESULTS, archive
from mtl_training.settings import load_config

TRAINING = Path(__file__).parents[2] / "training"
KEPT = sorted((TRAINING / "results").iterdir())


@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: folder.name)
def test_a_kept_study_says_what_its_evaluations_say(folder, tmp_path):
    study = load_config(Experiment, TRAINING / "configs" / "experiments" / f"{folder.name}.toml")
    again = archive(study, folder, tmp_path / "again")
    for name in (RESULTS, "table.md"):
        assert (again / name).read_bytes() == (folder / name).read_bytes(), name


def test_kept_results_are_of_commits_without_changes():
    lines = [line for folder in KEPT for line in (folder / RESULTS).read_text().splitlines()]
    assert lines
    commits = {json.loads(line)["commit"] for line in lines}
    assert [one for one in commits if not re.fullmatch("[0-9a-f]{40}", one)] == []
