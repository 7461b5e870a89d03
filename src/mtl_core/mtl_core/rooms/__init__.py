"""Synthetic rooms: an analytic ray-caster in numpy with exact depth, labels and normals.

The project's embedded data. `Room.generate(seed)` furnishes and lights a room in NYU-13 classes,
`camera_path` walks a camera through it, `render` photographs it with its truth.
"""

from __future__ import annotations

from mtl_core.rooms.room import Frame, Room

__all__ = ["Frame", "Room"]
