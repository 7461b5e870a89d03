"""Which model file a name means; launch files ask too, whose Python may lack what runs one."""

from __future__ import annotations

from pathlib import Path

import yaml

from mtl_core.card import INT8, Role
from mtl_perception.errors import PerceptionError
from mtl_perception.resources import share_path

RECORD = "models.yaml"


def default_model(role: Role = "student") -> str:
    """Return the file name of the model that is taken when none of a role is named.

    Raises:
        PerceptionError: The record that ships with the package is missing or damaged.
    """
    record = share_path("models", RECORD)
    content = yaml.safe_load(record.read_text(encoding="utf-8"))
    name = content.get(role) if isinstance(content, dict) else None
    if not isinstance(name, str):
        raise PerceptionError(f"{record}: expected '{role}: FILE.onnx', got {content!r:.80}")
    return name


def find_model(name: str = "", role: Role = "student") -> Path:
    """Return the file that a model's name stands for; whether it exists is the reader's to check.

    Args:
        name: Empty for the default model, a bare file name for one that ships with the package
            (unless the working directory has such a file), else a path; `~` is expanded.
        role: What it is for, where no name says which.
    """
    path = Path(name).expanduser() if name else Path(default_model(role))
    if path.is_file() or path.parent != Path():
        return path
    return share_path("models") / path


def int8_beside(model: Path) -> Path:
    """Return where the int8 twin of a model's file lies; itself if it is one."""
    return model if model.stem.endswith(INT8) else model.with_stem(f"{model.stem}{INT8}")
