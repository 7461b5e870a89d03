"""Environment variables that ROS 2 reads when rclpy is imported and its first context starts.

Call `prepare()` before `import rclpy`. Whatever the user has set stays as it is.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import MutableMapping
from pathlib import Path

from mtl_perception.resources import share_path

PROFILE_VARIABLE = "FASTDDS_DEFAULT_PROFILES_FILE"
OLD_PROFILE_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"
"""What Fast DDS 2 reads; the middleware of later distributions warns when it is set."""

FAST_DDS_2 = ("humble", "iron", "jazzy")

AMPLE_BYTES = 4 * 64 * 2**20
"""Segments of four processes."""

TRANSPORT_VARIABLES = (PROFILE_VARIABLE, OLD_PROFILE_VARIABLE, "FASTDDS_BUILTIN_TRANSPORTS")


def prepare(environ: MutableMapping[str, str] = os.environ) -> None:
    """Complete `environ` for rclpy, in place.

    - `AMENT_PREFIX_PATH` names this Python's prefix where no ROS 2 is sourced: nothing sets it when
      ROS 2 comes from pip, and `ament_index_python` raises without it.
    - The Fast DDS profile for camera images is named, unless the user chose a transport: with the
      default's small shared-memory segment most images are lost.

    Raises:
        PerceptionError: The profile does not stand where the package is installed.
    """
    environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
    if not any(environ.get(name) for name in TRANSPORT_VARIABLES):
        profile = camera_profile(_shared_memory_bytes())
        environ[profile_variable(environ.get("ROS_DISTRO", ""))] = str(profile)


def camera_profile(shared_memory_bytes: float) -> Path:
    """Return the Fast DDS profile for a machine with this much shared memory left.

    Containers often have 64 MB: there Fast DDS could not make the usual segment, and would send
    images through sockets whose buffers are too small for them.

    Raises:
        PerceptionError: The profile does not stand where the package is installed.
    """
    enough = shared_memory_bytes >= AMPLE_BYTES
    return share_path("config", "fastdds_camera.xml" if enough else "fastdds_camera_small.xml")


def profile_variable(distribution: str) -> str:
    """Return the variable that names Fast DDS's profile in a ROS distribution."""
    return OLD_PROFILE_VARIABLE if distribution in FAST_DDS_2 else PROFILE_VARIABLE


def _shared_memory_bytes() -> float:
    try:
        return shutil.disk_usage("/dev/shm").free  # noqa: S108 - only asked for its size
    except OSError:  # not Linux: shared memory is no file system there
        return math.inf
