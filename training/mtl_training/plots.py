"""Figures on matplotlib's object interface: no global state, no display."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from mtl_training.files import atomic
from mtl_training.statistics import Estimate, estimate


def new_figure(columns: int = 1, rows: int = 1, size: float = 4.2) -> tuple[Figure, list[Axes]]:
    """A figure with a grid of axes, row by row.

    Args:
        columns: Of the grid.
        rows: Of the grid.
        size: Width of each cell in inches; its height is 0.8 of that.
    """
    figure = Figure(figsize=(columns * size, rows * 0.8 * size), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def curve(axes: Axes, x: Sequence[float], values: npt.ArrayLike, label: str) -> None:
    """Means over repetitions with the band of their 95 % intervals.

    Args:
        axes: Where.
        x: (P,) positions.
        values: (P, n) repetitions at each.
        label: For the legend.
    """
    found = [estimate(row) for row in np.asarray(values, dtype=np.float64)]
    (line,) = axes.plot(x, [one.mean for one in found], marker="o", markersize=4, label=label)
    axes.fill_between(
        x,
        [one.low for one in found],
        [one.high for one in found],
        color=line.get_color(),
        alpha=0.2,
        linewidth=0,
    )


def bars(axes: Axes, estimates: dict[str, Estimate], digits: int = 3) -> None:
    """One bar for each name, with its interval and its value."""
    means = [one.mean for one in estimates.values()]
    reach = [np.nan_to_num(one.high - one.mean) for one in estimates.values()]
    drawn = axes.bar(list(estimates), means, yerr=reach, capsize=4, color="#4c72b0")
    axes.bar_label(drawn, fmt=f"%.{digits}f", padding=2)
    axes.margins(y=0.15)


def reliability(axes: Axes, confidence: npt.ArrayLike, accuracy: npt.ArrayLike, **how: Any) -> None:
    """Confidence against the share that is right, beside the diagonal where both agree.

    Args:
        axes: Where; several may be drawn into one.
        confidence: (bins,) means; NaN = an empty bin.
        accuracy: (bins,) shares likewise.
        **how: To matplotlib, such as `label`.
    """
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    axes.plot(confidence, accuracy, marker="o", markersize=4, **how)
    axes.set(xlabel="confidence", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))


def heat_map(
    axes: Axes,
    values: npt.ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    colours: str = "viridis",
    limits: tuple[float, float] | None = None,
    texts: Sequence[Sequence[str]] | None = None,
    label: str = "",
) -> None:
    """A matrix as colours, with its numbers written in.

    Args:
        axes: Where.
        values: (R, C); NaN stays blank.
        rows: R names.
        columns: C names.
        colours: Name of a matplotlib colour map.
        limits: Values at the ends of the colours; those of the matrix if not given.
        texts: (R, C) what to write instead of the values.
        label: Of the colour bar.
    """
    matrix = np.asarray(values, dtype=np.float64)
    low, high = limits or (None, None)
    image = axes.imshow(matrix, cmap=colours, vmin=low, vmax=high, aspect="auto")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    for (row, column), value in np.ndenumerate(matrix):
        if np.isfinite(value):
            text = texts[row][column] if texts else f"{value:.2f}"
            ink = _readable(to_rgb(tuple(np.ravel(image.to_rgba(np.array([value]))))))
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)
    figure = axes.get_figure()
    if figure is not None:
        figure.colorbar(image, ax=axes, label=label)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG, which appears under its name only when it is whole."""
    with atomic(path) as part:
        figure.savefig(part, format="png", dpi=130)


def _readable(colour: tuple[float, float, float]) -> str:
    """Black or white, whichever can be read on that colour."""
    red, green, blue = colour
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
