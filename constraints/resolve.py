"""Print one `name==version` for everything that pip would install for its arguments.

Usage: resolve.py PIP_INSTALL_ARGUMENTS...   (see `make constraints`)
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

# torch's Linux wheels pin their own CUDA packages exactly, and its CPU wheels have none.
PINNED_BY_TORCH = re.compile(r"nvidia-|cuda-|triton")


def resolve(arguments: list[str]) -> list[dict[str, Any]]:
    """Let pip resolve `arguments` from nothing, and return its report's entries."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    report = subprocess.run(
        [*command, "--no-build-isolation", "--report", "-", *arguments],
        check=True,
        stdout=subprocess.PIPE,
    )
    return list(json.loads(report.stdout)["install"])


def pin(entry: dict[str, Any]) -> str | None:
    """Return the line for one entry, or None for a package of this repository or of torch."""
    name = re.sub(r"[-_.]+", "-", entry["metadata"]["name"]).lower()
    if "dir_info" in entry["download_info"] or PINNED_BY_TORCH.match(name):
        return None
    version = entry["metadata"]["version"].partition("+")[0]  # the local part (+cpu) is a build
    return f"{name}=={version}"


if __name__ == "__main__":
    print("# Written by `make constraints`.")
    print(*sorted(filter(None, map(pin, resolve(sys.argv[1:])))), sep="\n")
