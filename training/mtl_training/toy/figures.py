"""The plots of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from mtl_training.plots import bars, curve, heat_map, new_figure, save
from mtl_training.statistics import estimate
from mtl_training.toy.arms import Rank
from mtl_training.toy.functions import TASKS
from mtl_training.toy.report import ARMS, seed_errors
from mtl_training.toy.settings import ToySettings
from mtl_training.toy.study import (
    KEEPS,
    MULTI,
    NOISES,
    SINGLE,
    TEACHER_STUDENT,
    WEIGHTS,
    Outcome,
    Point,
    coupling_points,
    decay_points,
    keep_arm,
    label_points,
    noise_arm,
    weight_arm,
)

Outcomes = Mapping[str, Outcome]

SHOWN = {MULTI: "#4c72b0", TEACHER_STUDENT: "#c44e52"}


def draw_figures(out: Path, settings: ToySettings, outcomes: Outcomes) -> None:
    """Write `fits.png` and `arms.png`, and with sweeps `labels.png`, `noise.png`, `sweeps.png`."""
    _fits(out / "fits.png", settings, outcomes)
    _arms(out / "arms.png", settings, outcomes)
    if settings.sweep_seeds:
        _labels(out / "labels.png", settings, outcomes)
        _noise(out / "noise.png", settings, outcomes)
        _sweeps(out / "sweeps.png", settings, outcomes)


def _fits(path: Path, settings: ToySettings, outcomes: Outcomes) -> None:
    figure, axes = new_figure(columns=2, rows=len(settings.pairs), size=5.5)
    for index, at in enumerate(axes):
        pair, task = settings.pairs[index // 2], index % 2
        _fit(at, outcomes[f"main-{pair}"].example, task)
        at.set_title(f"{pair}, {TASKS[task]} task, first seed", fontsize=10)
    axes[0].legend(fontsize=8)
    save(figure, path)


def _fit(axes: Axes, example: Mapping[str, list[list[float | None]]], task: int) -> None:
    arrays = {name: np.asarray(rows, dtype=np.float64) for name, rows in example.items()}
    truth = arrays["truth"][:, task]
    axes.plot(arrays["x"], truth, color="black", linewidth=1, label="truth")
    for arm, colour in SHOWN.items():
        axes.plot(arrays["x"], arrays[arm][:, task], color=colour, linewidth=1.2, label=arm)
    labels = arrays["labels"][:, task]
    axes.plot(arrays["train_x"], labels, "k.", markersize=5, label="labels")
    # A network that overshoots would hide the rest.
    axes.set_ylim(truth.min() - 1, truth.max() + 1)
    axes.set_xlabel("x")


def _arms(path: Path, settings: ToySettings, outcomes: Outcomes) -> None:
    figure, axes = new_figure(columns=len(settings.pairs), size=5.5)
    for at, pair in zip(axes, settings.pairs, strict=True):
        outcome = outcomes[f"main-{pair}"]
        bars(at, {arm.replace("_", "\n"): estimate(seed_errors(outcome, arm)) for arm in ARMS})
        at.set_title(f"{pair}, {settings.seeds} seeds, mean and 95 % interval", fontsize=10)
        at.set_ylabel("test MSE, mean over both tasks")
    save(figure, path)


def _labels(path: Path, settings: ToySettings, outcomes: Outcomes) -> None:
    points = label_points(settings)
    counts = [point.settings.both + point.settings.rare_only for point in points]
    arms = {arm: arm for arm in (SINGLE, MULTI)}
    arms |= {noise_arm(noise): f"{TEACHER_STUDENT}, noise {noise:g}" for noise in (0.0, 1.0)}
    figure, (at,) = new_figure(size=6.5)
    for arm, label in arms.items():
        curve(at, counts, [seed_errors(outcomes[point.name], arm) for point in points], label)
    common = settings.both + settings.common_only
    at.set(xscale="log", yscale="log", xlabel=f"labels of the rare task ({common} of the common)")
    at.set_xticks(counts, [str(count) for count in counts])
    at.minorticks_off()
    _finish(at, "imbalance of labels")
    save(figure, path)


def _noise(path: Path, settings: ToySettings, outcomes: Outcomes) -> None:
    points = label_points(settings)
    ratios = [
        [_ratio(outcomes[point.name], noise_arm(noise)) for point in points] for noise in NOISES
    ]
    figure, (at,) = new_figure(size=6.5)
    heat_map(
        at,
        np.log2(ratios),
        [f"{noise:g}" for noise in NOISES],
        [str(point.settings.both + point.settings.rare_only) for point in points],
        colours="RdBu_r",
        limits=(-3, 3),
        texts=[[f"{ratio:.2f}" for ratio in row] for row in ratios],
        label="log2 of the ratio; red: pseudo-labels hurt",
    )
    at.set(xlabel="labels of the rare task", ylabel="noise added to pseudo-labels, sd")
    at.set_title("MSE of teacher-student / multi-task", fontsize=10)
    save(figure, path)


def _ratio(outcome: Outcome, arm: str) -> float:
    return float(seed_errors(outcome, arm).mean() / seed_errors(outcome, MULTI).mean())


def _sweeps(path: Path, settings: ToySettings, outcomes: Outcomes) -> None:
    figure, axes = new_figure(columns=2, rows=2, size=5.5)
    drawers: tuple[Callable[[Axes, ToySettings, Outcomes], None], ...]
    drawers = (_weight, _keep, _coupling, _decay)
    for at, drawer in zip(axes, drawers, strict=True):
        drawer(at, settings, outcomes)
    save(figure, path)


def _weight(axes: Axes, settings: ToySettings, outcomes: Outcomes) -> None:
    found = outcomes["weight"]
    for noise in (0.0, 1.0):
        rows = [seed_errors(found, weight_arm(weight, noise)) for weight in WEIGHTS]
        curve(axes, WEIGHTS, rows, f"pseudo-label noise {noise:g}")
    axes.axhline(seed_errors(found, MULTI).mean(), color="grey", linestyle=":", label=MULTI)
    axes.set(xscale="log", xlabel="what a pseudo-label counts beside a label")
    _finish(axes, "pseudo weight")


def _keep(axes: Axes, settings: ToySettings, outcomes: Outcomes) -> None:
    found = outcomes["keep"]
    for rank in Rank:
        curve(axes, KEEPS, [seed_errors(found, keep_arm(k, rank)) for k in KEEPS], f"by {rank}")
    axes.axhline(seed_errors(found, MULTI).mean(), color="grey", linestyle=":", label=MULTI)
    axes.set_xlabel("share of the pseudo-labels that is kept")
    _finish(axes, "quality against quantity")


def _both_arms(
    axes: Axes, points: Sequence[Point], at: Sequence[float], outcomes: Outcomes
) -> None:
    for arm in (MULTI, TEACHER_STUDENT):
        curve(axes, at, [seed_errors(outcomes[point.name], arm) for point in points], arm)


def _coupling(axes: Axes, settings: ToySettings, outcomes: Outcomes) -> None:
    points = coupling_points(settings)
    _both_arms(axes, points, [point.settings.coupling for point in points], outcomes)
    axes.set_xlabel("share of the rare function that follows from the common one")
    _finish(axes, "coupling")


def _decay(axes: Axes, settings: ToySettings, outcomes: Outcomes) -> None:
    points = decay_points(settings)
    _both_arms(axes, points, [point.settings.student_decay for point in points], outcomes)
    axes.set_xlabel("weight decay of every student")
    axes.set_xscale("symlog", linthresh=0.03)
    _finish(axes, "regularisation")


def _finish(axes: Axes, title: str) -> None:
    axes.set_ylabel("test MSE, mean over both tasks")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
