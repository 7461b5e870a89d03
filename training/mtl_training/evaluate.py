"""Measure a model the way a robot runs it: ONNX Runtime, at the labels' own resolution."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from tqdm import tqdm

from mtl_core.images import ColourImage
from mtl_core.metrics import ConfusionMatrix, DepthErrors
from mtl_core.predictor import Predictor
from mtl_training.data.sample import Sample


def evaluate(predictor: Predictor, samples: Iterable[Sample], total: int) -> dict[str, float]:
    """Segmentation and depth of a predictor against labelled samples.

    Args:
        predictor: The model.
        samples: Images of any size with their labels; predictions are resized to them.
        total: How many, for the progress bar.

    Returns:
        `miou`, `rmse_m`, `absrel`, `delta1`, `mae_m`, `images`, and `classes` (those that occur).
    """
    confusion, errors = ConfusionMatrix(len(predictor.card.label_map)), DepthErrors()
    images = 0
    for sample in tqdm(samples, total=total, desc="evaluate", unit="image", mininterval=2.0):
        image = ColourImage(sample.image, "rgb")
        prediction = predictor.predict(image, sample.intrinsics.fx)
        confusion.update(prediction.mask(), sample.labels)
        errors.update(prediction.depth(), sample.depth)
        images += 1
    return {
        "miou": confusion.miou(),
        "rmse_m": errors.rmse(),
        "absrel": errors.absrel(),
        "delta1": errors.delta1(),
        "mae_m": errors.mae(),
        "images": float(images),
        "classes": float(np.count_nonzero(confusion.counts.sum(axis=1))),
    }
