"""Errors of mtl_bags."""

from __future__ import annotations


class BagError(Exception):
    """Root of the errors of mtl_bags: a recording that cannot be read, written or understood."""


class DamageError(BagError):
    """A recording is damaged at a place that was to be read."""


class UnfinishedError(BagError):
    """Work stopped on the way, as on a full disk; its text says how to go on."""


AGAIN = "; what is done is kept, run the same command again to go on"
