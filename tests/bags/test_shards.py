"""Recordings divided among machines: each once, and evenly."""

from __future__ import annotations

from itertools import product
from operator import pos
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_bags.labelling.engines import Task, longest_first, shards

SIZES = st.lists(st.integers(0, 1000))


@given(SIZES, st.integers(1, 70))
def test_each_is_in_one_part(sizes: list[int], count: int) -> None:
    parts = shards(sizes, count, pos)
    assert len(parts) == count
    assert sorted(one for part in parts for one in part) == sorted(sizes)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=7), st.integers(1, 3))
def test_the_largest_part_is_near_that_of_the_best_division(sizes: list[int], count: int) -> None:
    def largest(places: tuple[int, ...]) -> int:
        pairs = list(zip(sizes, places, strict=True))
        return max(sum(size for size, at in pairs if at == part) for part in range(count))

    best = min(largest(places) for places in product(range(count), repeat=len(sizes)))
    found = max(map(sum, shards(sizes, count, pos)))
    assert 3 * count * found <= (4 * count - 1) * best  # Graham's bound


@given(SIZES)
def test_longest_first(sizes: list[int]) -> None:
    assert longest_first(sizes, pos) == sorted(sizes)[::-1]


def test_the_size_is_that_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "a").write_bytes(b"123")
    (tmp_path / "bag" / "b").write_bytes(b"4567")
    (tmp_path / "bag" / "folder").mkdir()
    assert Task(tmp_path / "bag", tmp_path).size() == 7
    assert Task(tmp_path / "bag" / "b", tmp_path).size() == 4
    assert Task(tmp_path / "none", tmp_path).size() == 0


def test_what_cannot_be_looked_at_has_no_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(path: Path) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(Path, "iterdir", forbidden)
    assert Task(tmp_path, tmp_path / "out").size() == 0
