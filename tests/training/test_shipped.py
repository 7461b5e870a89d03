"""The models that ship: still what training made, and as good as their cards say."""

from pathlib import Path

import numpy as np
import pytest

from mtl_core.images import ColourImage
from mtl_core.interface import IMAGE
from mtl_core.labels import LabelMap
from mtl_core.model import OnnxModel
from mtl_core.predictor import ModelPredictor, Preprocessor
from mtl_training.config import DataConfig
from mtl_training.data.catalogue import open_source
from mtl_training.evaluate import evaluate, shared_tasks

ROOT = Path(__file__).parents[2]
MODELS = sorted((ROOT / "src/mtl_perception/models").glob("*.onnx"))
STUDENTS = [path for path in MODELS if path.stem.startswith("student-")]
GOLDEN_STEP = 6  # as tests/golden/write.py samples
SIGNAL = "signal."  # likewise


def test_a_student_ships():
    assert STUDENTS


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_the_shipped_file_computes_what_torch_computed(path):
    golden = np.load(ROOT / "tests/golden" / f"{path.stem}.npz", allow_pickle=False)
    model = OnnxModel(path)
    preprocess = Preprocessor(model.card.input)
    preprocess(ColourImage(golden["pixels"], "rgb"))
    signals = {n: golden[SIGNAL + n].astype(p.dtype) for n, p in model.signals.items()}
    for name, output in model.run({IMAGE: preprocess.tensor, **signals}).items():
        got = output[:, :, ::GOLDEN_STEP, ::GOLDEN_STEP]
        np.testing.assert_allclose(got, golden[name], atol=1e-4, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_the_card_names_label_map_data_and_commit(path):
    card = OnnxModel(path).card
    assert card.name == path.stem
    assert path.stem.startswith(card.role)
    assert card.label_map == LabelMap.load("nyu13")
    assert card.data
    assert "research" in card.licence
    assert len(card.commit) == 40, f"trained from a checkout that no commit names: {card.commit}"
    assert path.stat().st_size < 40e6


ALONE = "nyuv2_val_"
"""How a card calls figures of which the model was told nothing but the image."""

RENAMED = {"rmse_m": "rmse", "mae_m": "mae"}
"""Figures that cards called otherwise before teachers shipped."""


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_the_card_says_what_the_file_measures(path, mtl_data):
    model, source = OnnxModel(path), open_source(DataConfig("nyuv2", split="val"))
    figures = evaluate(ModelPredictor(model), source, shared_tasks(model, source))
    alone = {
        key.removeprefix(ALONE): value
        for key, value in model.card.metrics.items()
        if key.startswith(ALONE) and not key.startswith(f"{ALONE}given_")
    }
    said = {RENAMED.get(name, name): value for name, value in alone.items()}
    assert {"miou", "rmse", "delta1", "images"} <= said.keys()
    assert said == pytest.approx({name: figures[name] for name in said}, abs=1e-3)
    if model.card.role == "student":
        assert figures["miou"] >= 0.42
        assert figures["rmse"] <= 0.88
        assert figures["delta1"] >= 0.61
