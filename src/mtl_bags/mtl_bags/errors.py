"""Errors of mtl_bags."""

from __future__ import annotations


class BagError(Exception):
    """Root of the errors of mtl_bags: a recording that cannot be read, written or understood."""


class DamageError(BagError):
    """A recording is damaged at a place that was to be read."""
