"""`mtl-demo`: plays a recording to the real node over DDS, and shows what came back."""

from __future__ import annotations

from mtl_perception.demo.cli import main

__all__ = ["main"]
