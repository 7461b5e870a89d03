"""From results to `table.md` and plots."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtl_training.experiments.design import Experiment
from mtl_training.experiments.results import (
    LEAST_SEEDS,
    Column,
    Comparison,
    Result,
    Results,
    estimated,
)
from mtl_training.files import write_text
from mtl_training.markdown import head, row
from mtl_training.plots import bars, curve, new_figure, save
from mtl_training.statistics import Estimate, holm

QUALITY = ("coverage", "accuracy_kept", "ece")
"""What the table says of pseudo-labels, beside the figures of those used."""


def write_report(experiment: Experiment, results: Sequence[Result], out: Path) -> None:
    """Write `table.md` and plots of all results there are."""
    points = experiment.sweep.fractions if experiment.sweep else (None,)
    parts = {
        point: Results(experiment, [r for r in results if r["fraction"] == point], out)
        for point in points
    }
    seeds = sorted({result["seed"] for result in results})
    write_text(out / "table.md", "\n".join(_page(experiment, parts, seeds)) + "\n")
    last = parts[points[-1]]
    if last.methods:
        _plot_bars(last, out / "figures.png")
    if len(points) > 1:
        _plot_curves(experiment, parts, out / "curves.png")


def _page(
    experiment: Experiment, parts: Mapping[float | None, Results], seeds: Sequence[int]
) -> Iterator[str]:
    data, done = experiment.data, ", ".join(map(str, seeds)) or "none yet"
    yield from (f"# {experiment.name}", "")
    yield (
        f"Trained on {_source(data.train)}, measured on {_source(data.test)}, seeds {done}, "
        "the last step's averaged weights. A reconstruction of the method, see docs; not the "
        "source's own experiment."
    )
    if data.protocol:
        drawn = "each seed draws its own" if data.protocol_per_seed else "the same for all seeds"
        fractions = ", ".join(f"{t} {100 * f:g} %" for t, f in data.protocol.fractions.items())
        yield f"Labels: {data.protocol.kind} {fractions}".rstrip() + f", {drawn}."
    for point, results in parts.items():
        if point is not None and experiment.sweep:
            yield from ("", f"# {experiment.sweep.task} labels on {100 * point:g} %")
        yield from _sections(results)


def _source(data: Any) -> str:
    return " ".join(word for word in (data.source, data.split) if word)


def _sections(results: Results) -> Iterator[str]:
    if not results.methods:
        yield from ("", "Nothing is done yet.")
        return
    yield from _means(results)
    yield from _pseudo_labels(results)
    if comparisons := results.comparisons():
        yield from _comparisons(comparisons)


def _means(results: Results) -> Iterator[str]:
    yield from (
        "",
        "## Students",
        "",
        "Mean ± standard deviation [95 % t interval] over seeds.",
        "",
    )
    titles = [column.title for column in results.columns]
    yield from head("method", "seeds", *titles, "multi-task gain %")
    for method in results.methods:
        cells = [text(results.estimate(method, column)) for column in results.columns]
        yield row(method, str(len(results.of(method))), *cells, text(results.gain(method), 1))


def _pseudo_labels(results: Results) -> Iterator[str]:
    lines = {name: [result["pseudo"] for result in results.of(name)] for name in results.methods}
    judged = {name: found for name, found in lines.items() if all(found)}
    if not judged:
        return
    yield from ("", "## Pseudo-labels", "", "Against the labels that the protocol hides.", "")
    titles = ("coverage", "accuracy", "ECE", "of those used", "teacher on test, inputs given")
    yield from head("method", "task", *titles)
    for name, found in judged.items():
        for task in found[0]:
            cells = (_over([one[task] for one in found], key) for key in QUALITY)
            kept = [one[task]["kept"] for one in found]
            of_task = [column for column in results.columns if column.task.name == task]
            teachers = [result["teacher"].get(task, {}) for result in results.of(name)]
            yield row(name, task, *cells, _figures(of_task, kept), _figures(of_task, teachers))


def _figures(columns: Sequence[Column], lines: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{column.title} {_over(lines, column.figure)}" for column in columns)


def _over(lines: Sequence[Mapping[str, Any]], key: str) -> str:
    """A figure's estimate over lines, in words."""
    found = [line.get(key) for line in lines]
    values = [math.nan if value is None else float(value) for value in found]
    return text(estimated(values))


def _comparisons(comparisons: Sequence[Comparison]) -> Iterator[str]:
    known = {str(i): one.p for i, one in enumerate(comparisons) if one.p is not None}
    corrected = holm(known)
    yield from ("", "## Comparisons", "")
    yield (
        "First method less second, mean over seeds; a paired bootstrap over images gives the "
        "interval and p. Wilcoxon's test is over seeds, corrected by Holm over this table."
    )
    if len(known) < len(comparisons):
        yield (
            f"Fewer than {LEAST_SEEDS} seeds are too few for Wilcoxon's test: with n seeds its p "
            "is never below 2 / 2^n."
        )
    yield ""
    yield from head(
        "comparison", "seeds", "figure", "difference", "better", "95 % over images", "p", "Holm p"
    )
    for number, one in enumerate(comparisons):
        better = {1: one.a, -1: one.b}.get(np.sign(one.column.sign * one.images.difference), "-")
        held = corrected.get(str(number))
        yield row(
            f"{one.a} - {one.b}",
            str(len(one.seeds)),
            one.column.title,
            f"{one.images.difference:+.4f}",
            better,
            f"[{one.images.low:+.4f}, {one.images.high:+.4f}]",
            f"{one.images.p:.4f}",
            "too few seeds" if held is None else f"{held:.4f}",
        )


def text(found: Estimate | None, digits: int = 3) -> str:
    """An estimate in a table."""
    if found is None:
        return "-"
    mean = f"{found.mean:.{digits}f}"
    if found.count == 1:
        return mean
    return f"{mean} ± {found.std:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def _plot_bars(results: Results, path: Path) -> None:
    figure, axes = new_figure(len(results.columns), size=5.5)
    for axis, column in zip(axes, results.columns, strict=True):
        found = {m: one for m in results.methods if (one := results.estimate(m, column))}
        bars(axis, found)
        axis.set_title(f"{column.task.name}: {column.title}")
        for name in axis.get_xticklabels():  # its end stands under its bar
            name.set(rotation=60, ha="right", rotation_mode="anchor")
    save(figure, path)


def _plot_curves(experiment: Experiment, parts: Mapping[float | None, Results], path: Path) -> None:
    one = next(iter(parts.values()))
    figure, axes = new_figure(len(one.columns), size=5.5)
    for axis, column in zip(axes, one.columns, strict=True):
        for method in experiment.methods:
            _plot_curve(axis, method, column, parts)
        task = experiment.sweep.task if experiment.sweep else ""
        axis.set(xlabel=f"share of {task} labels", ylabel=column.title, xscale="log")
        axis.set_title(column.task.name)
    axes[0].legend(fontsize=7)
    save(figure, path)


def _plot_curve(
    axis: Any, method: str, column: Column, parts: Mapping[float | None, Results]
) -> None:
    """One method over the fractions at which it has results of the same seeds."""
    values = {
        point: [column.of(result) for result in results.of(method)]
        for point, results in parts.items()
        if point is not None
    }
    most = max(map(len, values.values()))
    whole = {x: y for x, y in values.items() if len(y) == most and np.isfinite(y).all()}
    if most and whole:
        curve(axis, list(whole), list(whole.values()), method)
