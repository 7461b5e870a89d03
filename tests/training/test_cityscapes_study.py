"""The study on Cityscapes runs from the official folders, here of generated images, as it ships."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mtl_training.experiments import experiment as experiments
from mtl_training.experiments.design import Experiment, Size
from mtl_training.experiments.experiment import run
from mtl_training.learning.machine import Machine
from mtl_training.settings import load_config
from pictures import noise, written

CONFIG = Path(experiments.__file__).parents[2] / "configs/experiments/cityscapes-seg10.toml"
SIZE = (128, 256)
CAMERA = {
    "extrinsic": {"baseline": 0.21},
    "intrinsic": {"fx": 2262.52, "fy": 2265.3, "u0": 1096.98, "v0": 513.137},
}


@pytest.fixture
def streets(tmp_path, monkeypatch):
    """Eight images to train on and two to measure on, with all that the official folders hold."""
    for split, city, count in (("train", "ulm", 8), ("val", "lindau", 2)):
        for number in range(count):
            place = f"{split}/{city}/{city}_{number:06d}_000019"
            root = tmp_path / "cityscapes"
            written(root / f"leftImg8bit/{place}_leftImg8bit.png", noise((*SIZE, 3)))
            written(root / f"gtFine/{place}_gtFine_labelIds.png", noise(SIZE, 34))
            written(root / f"disparity/{place}_disparity.png", noise(SIZE, 32258, np.uint16))
            camera = root / f"camera/{place}_camera.json"
            camera.parent.mkdir(parents=True, exist_ok=True)
            camera.write_text(json.dumps(CAMERA))
    monkeypatch.setenv("MTL_DATA", str(tmp_path))


def short(recipe):
    return replace(recipe, schedule=replace(recipe.schedule, steps=2, batch_size=2))


@pytest.mark.slow
def test_the_study_runs_from_official_folders_to_its_table(streets, tmp_path):
    study = load_config(Experiment, CONFIG)
    protocol = replace(study.data.protocol, fractions={"segmentation": 0.5}, block=1)
    small = replace(
        study,
        network=Size(64, 128),
        data=replace(study.data, protocol=replace(protocol, calibration=0.25)),
        student=short(study.student),
        teacher=short(study.teacher),
    )
    methods = ("multi_task_balanced", "teacher_student")
    out = run(small, tmp_path / "out", Machine("cpu", workers=0), methods, (0,))
    results = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert tuple(result["method"] for result in results) == methods
    for result in results:
        assert 0 <= result["figures"]["segmentation"]["miou"] < 0.2  # there is nothing to learn
        assert result["figures"]["depth"]["rmse"] > 0
    assert results[1]["pseudo"].keys() == {"segmentation"}  # depth comes with all images
    table = (out / "table.md").read_text()
    assert "Trained on cityscapes train, measured on cityscapes val" in table
    assert all(method in table for method in methods)
