"""The studies on Cityscapes run from its folders, here of generated images, as they ship."""

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

CONFIGS = Path(experiments.__file__).parents[2] / "configs/experiments"
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


@pytest.fixture
def arrays(tmp_path, monkeypatch):
    """Eight images to train on and two to measure on, as multi-task papers hand them on."""
    for split, count in (("train", 8), ("val", 2)):
        for number in range(count):
            stored = {
                "image": noise((*SIZE, 3), seed=number) / np.float32(255),
                "label_7": noise(SIZE, 8, seed=number).astype(np.float32) - 1,
                "depth": noise((*SIZE, 1), 128, seed=number).astype(np.float32) / 256,
            }
            for folder, array in stored.items():
                path = tmp_path / f"cityscapes_npy/{split}/{folder}/{number}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, array)
    monkeypatch.setenv("MTL_DATA", str(tmp_path))


def short(recipe):
    return replace(recipe, schedule=replace(recipe.schedule, steps=2, batch_size=2))


def done(name, methods, out, **protocol):
    """A study that ships, of small networks and two steps: its results and its table."""
    study = load_config(Experiment, CONFIGS / f"{name}.toml")
    small = replace(
        study,
        network=Size(64, 128),
        data=replace(study.data, protocol=replace(study.data.protocol, **protocol)),
        student=short(study.student),
        teacher=short(study.teacher),
    )
    run(small, out, Machine("cpu", workers=0), methods, (0,))
    results = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert tuple(result["method"] for result in results) == methods
    for result in results:
        assert 0 <= result["figures"]["segmentation"]["miou"] < 0.2  # there is nothing to learn
    table = (out / "table.md").read_text()
    assert all(method in table for method in methods)
    return results, table


@pytest.mark.slow
def test_the_study_runs_from_official_folders_to_its_table(streets, tmp_path):
    methods = ("multi_task_balanced", "teacher_student")
    labels = {"fractions": {"segmentation": 0.5}, "block": 1, "calibration": 0.25}
    results, table = done("cityscapes-seg10", methods, tmp_path / "out", **labels)
    assert all(result["figures"]["depth"]["rmse"] > 0 for result in results)
    assert results[1]["pseudo"].keys() == {"segmentation"}  # depth comes with all images
    assert "Trained on cityscapes train, measured on cityscapes val" in table


@pytest.mark.slow
def test_one_label_per_image_runs_from_the_arrays_of_papers(arrays, tmp_path):
    methods = ("multi_task", "teacher_student_rgb")
    results, _ = done("cityscapes-one-label", methods, tmp_path / "out", calibration=0.25)
    assert all(result["figures"]["inverse_depth"]["inverse_abs"] > 0 for result in results)
    assert results[1]["pseudo"].keys() == {"segmentation", "inverse_depth"}
