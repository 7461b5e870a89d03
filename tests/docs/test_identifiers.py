"""Names in prose, such as `min_confidence`, are names in the code."""

from __future__ import annotations

import re
from functools import cache

import pytest

from command_syntax import SYNTAX
from documents import HISTORY, ROOT, Code, documents, inline
from mtl_bags.messages import COLOUR_ENCODINGS
from mtl_core.interface import DEPTH, PREDICTED
from mtl_perception.laps import STAGES, Latencies

SOURCES = (
    "Makefile",
    "*.toml",
    "*.repos",
    "src/**/*.py",
    "src/**/*.xml",
    "src/**/*.yaml",
    "training/**/*.py",
    "training/**/*.toml",
    "benchmarks/*.py",
    "docker/**/*.yaml",
)
OF_OTHERS = frozenset({"ros_discovery_info", "sensor_msgs_py", "start_period"})
"""What our documents name of other projects' code."""

NAMES = [
    code
    for path in documents()
    for code in inline(path)
    if path != HISTORY and re.fullmatch("[a-z]+(_[a-z0-9]+)+", code.text)
]


@cache
def known() -> frozenset[str]:
    """Every word of the sources, and names that are put together at run time."""
    texts = (p.read_text(encoding="utf-8") for place in SOURCES for p in ROOT.glob(place))
    latencies = Latencies()
    latencies.add(dict.fromkeys(STAGES, 0.0))
    commands = {word for command in SYNTAX for word in command.split()}
    made = commands | {PREDICTED + DEPTH, *COLOUR_ENCODINGS, *latencies.percentiles_ms()}
    return frozenset(made | {word for text in texts for word in re.findall(r"\w+", text)})


@pytest.mark.parametrize("code", NAMES, ids=lambda code: f"{code.place} {code.text}")
def test_a_name_in_prose_is_one_in_the_code(code: Code) -> None:
    assert code.text in known() | OF_OTHERS, f"{code.place}: nothing is called {code.text}"


def test_a_name_that_is_none_would_be_noticed() -> None:
    assert "min_confidenc" not in known()
