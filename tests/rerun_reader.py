"""What a Rerun recording holds, read back by Rerun's own reader."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

Columns = dict[str, list[Any]]


def logged(path: Path) -> dict[str, Columns]:
    """What a file holds: by entity, what was logged of each component, and when."""
    from rerun.chunk import RrdReader

    found: dict[str, Columns] = defaultdict(lambda: defaultdict(list))
    for chunk in RrdReader(path).stream().to_chunks():
        batch = chunk.to_record_batch()
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            plain = column.cast("int64") if str(column.type).startswith("timestamp") else column
            found[chunk.entity_path][name] += plain.to_pylist()
    return found
