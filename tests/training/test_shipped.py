"""The model that ships: still what training made, and as good as its card says."""

from pathlib import Path

import numpy as np
import pytest

from mtl_core.images import ColourImage
from mtl_core.labels import LabelMap
from mtl_core.predictor import OUTPUTS, OnnxPredictor, Preprocessor
from mtl_training.data.nyuv2 import NYUv2
from mtl_training.evaluate import evaluate

ROOT = Path(__file__).parents[2]
MODELS = sorted((ROOT / "src/mtl_perception/models").glob("student-*.onnx"))
GOLDEN_STEP = 6  # as tests/golden/write.py samples


def test_a_student_ships():
    assert MODELS


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_the_shipped_file_computes_what_torch_computed(path):
    golden = np.load(ROOT / "tests/golden" / f"{path.stem}.npz")
    predictor = OnnxPredictor(path)
    preprocess = Preprocessor(predictor.card.input)
    preprocess(ColourImage(golden["pixels"], "rgb"))
    for name, output in zip(OUTPUTS, predictor.run(preprocess.tensor), strict=True):
        got = output[:, :, ::GOLDEN_STEP, ::GOLDEN_STEP]
        np.testing.assert_allclose(got, golden[name], atol=1e-4, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_the_card_names_label_map_data_and_commit(path):
    card = OnnxPredictor(path).card
    assert card.name == path.stem
    assert card.label_map == LabelMap.load("nyu13")
    assert card.data
    assert "research" in card.licence
    assert len(card.commit) == 40, f"trained from a checkout that no commit names: {card.commit}"
    assert path.stat().st_size < 40e6


@pytest.mark.data
@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_the_card_says_what_the_file_measures(path, mtl_data):
    predictor, data = OnnxPredictor(path), NYUv2("val.txt")
    figures = evaluate(predictor, data)
    said = {k.removeprefix("nyuv2_val_"): v for k, v in predictor.card.metrics.items()}
    assert said == pytest.approx(figures, abs=1e-3)
    assert figures["miou"] >= 0.42
    assert figures["rmse_m"] <= 0.88
    assert figures["delta1"] >= 0.61
