from __future__ import annotations

import gc
import warnings


def pytest_sessionfinish() -> None:
    """Let go of the event loops that launch never closes, before pytest takes them for ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
