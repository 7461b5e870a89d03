"""Errors of mtl_perception."""

from __future__ import annotations


class PerceptionError(Exception):
    """Root of the errors that mtl_perception raises itself."""
