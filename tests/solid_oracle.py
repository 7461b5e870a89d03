"""Whether points lie inside solids, in float64 and without any ray: an oracle for ray casting."""

from __future__ import annotations

import numpy as np


def _in_box(local, half, taper, grown):
    return (np.abs(local) <= half + grown).all(-1)


def _in_ball(local, half, taper, grown):
    return ((local / (half + grown)) ** 2).sum(-1) <= 1


def _in_tube(local, half, taper, grown):
    """The cross section shrinks linearly from its wider end, by the share `taper`."""
    unit = local / half
    from_wide_end = (1 - unit[..., 2] if taper < 0 else 1 + unit[..., 2]) / 2
    slack = grown / half[:2].min() + abs(taper) / 2 * grown / half[2]
    around = np.hypot(unit[..., 0], unit[..., 1]) <= 1 - abs(taper) * from_wide_end + slack
    return around & (np.abs(local[..., 2]) <= half[2] + grown)


INSIDE = {"box": _in_box, "ball": _in_ball, "tube": _in_tube}


def inside(solid, points, grown=0.0):
    """For world points (..., 3): inside the solid, grown by about so many metres?"""
    local = (points - solid.centre) @ solid.rotation
    return INSIDE[solid.shape](local, solid.half, solid.taper, grown)


def entry(solid, origin, ray, near, far, samples=4000):
    """Parameter at which a ray enters the solid, by dense samples and bisection; inf = misses."""
    at = np.linspace(near, far, samples)
    hit = inside(solid, origin + at[:, None] * ray)
    if not hit.any() or hit[0]:
        return np.inf
    low, high = at[hit.argmax() - 1], at[hit.argmax()]
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if inside(solid, origin + middle * ray) else (middle, high)
    return high
