"""An affinity study as a table and as a matrix of colours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from mtl_training.files import write_text
from mtl_training.markdown import head, row
from mtl_training.plots import heat_map, new_figure, save

WAYS = {"truth": "ground truth", "prediction": "its own prediction", "nothing": "left out"}
"""In words, what T(RGB, b) was given for b."""


def write_report(found: Mapping[str, Any], out: Path) -> None:
    """Write `affinity.md` and `affinity.png` of what `affinity.json` holds."""
    write_text(out / "affinity.md", markdown(found))
    _plot(found["pairs"], out / "affinity.png")


def markdown(found: Mapping[str, Any]) -> str:
    """The table."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    told = found["settings"]
    seeds = told["seeds"]
    data = told["data"]
    yield from (f"# {told['name']}", "")
    yield (
        "Affinity b -> a: by how much T(RGB, b) is better on a than T(RGB) of equal size; positive "
        f"= b helps. Trained on {_source(data['train'])}, {told['teacher']['schedule']['steps']} "
        f"steps, measured on {_source(data['test'])}, {len(seeds)} seeds. Both networks learn all "
        "tasks. The first interval is a t interval over seeds, the second a paired bootstrap over "
        "images of the mean over seeds; an affinity counts as measurable where the first one "
        "leaves out zero."
    )
    yield ""
    titles = ("b -> a", "figure", "b given", "T(RGB)", "affinity", "over seeds", "over images", "")
    yield from head(*titles)
    for pair in found["pairs"]:
        yield from _pair_lines(pair)


def _source(data: Mapping[str, Any]) -> str:
    return " ".join(word for word in (data["source"], data["split"]) if word)


def _pair_lines(pair: Mapping[str, Any]) -> Iterator[str]:
    name = f"{pair['input']} -> {pair['target']}"
    if pair["excluded"]:
        yield row(name, *["-"] * 6, f"excluded ({pair['excluded']})")
    for figure, found in pair["figures"].items():
        for way, words in WAYS.items():
            yield row(name, figure, words, _mean(found["control"]), *_cells(found[way]))


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{fmean(known):.4f}" if known else "-"


def _cells(found: Mapping[str, Any]) -> Iterator[str]:
    over_seeds, images = found["estimate"], found["images"]
    yield _mean(found["values"]) if over_seeds is None else f"{over_seeds['mean']:+.4f}"
    yield _interval(over_seeds)
    yield f"{_interval(images)} p {_number(images['p'])}"
    yield verdict(over_seeds)


def _interval(found: Mapping[str, float | None] | None) -> str:
    if found is None or found["low"] is None:
        return "-"
    return f"[{found['low']:+.4f}, {found['high']:+.4f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def verdict(found: Mapping[str, Any] | None) -> str:
    """What an interval over seeds says, in words."""
    if found is None or found["low"] is None:
        return "one seed says nothing"
    if found["low"] > 0:
        return "helps"
    return "hurts" if found["high"] < 0 else "no measurable gain"


def _plot(pairs: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A matrix for each way to give b: colours are percent of the control's figure."""
    inputs = sorted({pair["input"] for pair in pairs})
    targets = sorted({pair["target"] for pair in pairs})
    figure, axes = new_figure(len(WAYS), size=2.4 + 1.3 * len(targets))
    cells = {way: {(p["input"], p["target"]): _cell(p, way) for p in pairs} for way in WAYS}
    values = [value for found in cells.values() for value, _ in found.values()]
    reach = max((abs(value) for value in values if np.isfinite(value)), default=0.0) or 1.0
    for axis, (way, words) in zip(axes, WAYS.items(), strict=True):
        matrix = [[cells[way].get((b, a), (np.nan, "")) for a in targets] for b in inputs]
        heat_map(
            axis,
            [[value for value, _ in row] for row in matrix],
            [f"{name} given" for name in inputs],
            [f"to {name}" for name in targets],
            colours="RdBu",
            limits=(-reach, reach),
            texts=[[text for _, text in row] for row in matrix],
            label="better by, % of T(RGB)",
        )
        _write_in_blanks(axis, matrix)
        axis.set_title(f"b: {words}")
    save(figure, path)


def _write_in_blanks(axes: Axes, matrix: Sequence[Sequence[tuple[float, str]]]) -> None:
    """Why nothing was measured there."""
    for line, entries in enumerate(matrix):
        for column, (value, words) in enumerate(entries):
            if np.isnan(value):
                axes.text(column, line, words, ha="center", va="center", color="grey", fontsize=8)


def _cell(pair: Mapping[str, Any], way: str) -> tuple[float, str]:
    """Percent, and what to write: the deciding figure's affinity with its interval."""
    if pair["excluded"]:
        return np.nan, pair["excluded"]
    name, found = next(iter(pair["figures"].items()))
    over_seeds = found[way]["estimate"]
    if over_seeds is None:
        return np.nan, "-"
    percent = 100 * over_seeds["mean"] / abs(fmean(found["control"]))
    words = f"{name} {over_seeds['mean']:+.3f}"
    if over_seeds["low"] is not None:
        words += f"\n± {over_seeds['high'] - over_seeds['mean']:.3f}"
    return percent, words
