"""Image files and noise for the fixtures of data sets."""

import cv2
import numpy as np


def written(path, array):
    """An array as an image file; colour is RGB here, and BGR to OpenCV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array[..., ::-1] if array.ndim == 3 else array)
    return path


def noise(shape, top=256, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, top, shape).astype(dtype)
