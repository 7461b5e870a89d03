"""Randomness that depends on a seed and a purpose, and on nothing that was drawn before."""

from __future__ import annotations

import zlib

import numpy as np


def rng_for(seed: int, what: str) -> np.random.Generator:
    """Draws for one purpose, which those for another do not change."""
    return np.random.default_rng((seed, zlib.crc32(what.encode())))
