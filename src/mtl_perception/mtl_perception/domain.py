"""A DDS domain of one's own, so that nobody else's nodes hear or disturb ours."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from mtl_perception.errors import PerceptionError

DOMAINS = range(1, 102)
"""Not the robot's default 0; above 101 the ports may collide with those Linux gives to clients."""

_BASE_PORT = 22119  # that of ROS's own domain_coordinator, so that its tests keep away as well


@contextmanager
def own_domain() -> Iterator[int]:
    """Claim a domain on this machine for the length of a `with` block.

    Raises:
        PerceptionError: All are claimed.
    """
    start = secrets.randbelow(len(DOMAINS))
    for domain in (*DOMAINS[start:], *DOMAINS[:start]):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as claim:
            try:
                claim.bind(("", _BASE_PORT + domain))
            except OSError:
                continue
            yield domain
            return
    raise PerceptionError(f"all DDS domains from {DOMAINS[0]} to {DOMAINS[-1]} are in use")
