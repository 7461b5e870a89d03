"""Measure a model the way a robot runs it: ONNX Runtime, at the labels' own resolution."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from mtl_core.images import ColourImage
from mtl_core.metrics import ConfusionMatrix, DepthErrors
from mtl_core.predictor import Predictor
from mtl_training.data.sample import SampleSource


def evaluate(predictor: Predictor, data: SampleSource) -> dict[str, float]:
    """Segmentation and depth of a predictor against labelled samples.

    Args:
        predictor: The model.
        data: Images of any size with their labels; predictions are resized to them.

    Returns:
        `miou`, `rmse_m`, `absrel`, `delta1`, `mae_m`, `images`, and `classes` (those that occur).
    """
    confusion, errors = ConfusionMatrix(len(predictor.card.label_map)), DepthErrors()
    for index in tqdm(range(len(data)), desc="evaluate", unit="image", mininterval=2.0):
        sample = data.sample(index)
        image = ColourImage(sample.image, "rgb")
        prediction = predictor.predict(image, sample.intrinsics.fx)
        confusion.update(prediction.mask(), sample.labels)
        errors.update(prediction.depth(), sample.depth)
    return {
        "miou": confusion.miou(),
        "rmse_m": errors.rmse(),
        "absrel": errors.absrel(),
        "delta1": errors.delta1(),
        "mae_m": errors.mae(),
        "images": float(len(data)),
        "classes": float(np.count_nonzero(confusion.counts.sum(axis=1))),
    }
