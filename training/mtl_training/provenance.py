"""Which revision of this project made a result."""

from __future__ import annotations

import subprocess
from pathlib import Path


def commit() -> str:
    """Hash of the checked-out commit, `-dirty` if tracked files differ; `unknown` without git."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
