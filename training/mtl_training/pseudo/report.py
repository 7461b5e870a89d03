"""The quality report: `quality.json`, `quality.md`, plots and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mtl_core.draw import Bgr
from mtl_training.config import LossConfig
from mtl_training.data.source import SampleSource
from mtl_training.evaluate import json_types
from mtl_training.files import write_json, write_text
from mtl_training.markdown import row
from mtl_training.pictures import save_sheet
from mtl_training.plots import new_figure, reliability, save
from mtl_training.pseudo.quality import BINS, Judge, judge_all
from mtl_training.pseudo.selection import quantised
from mtl_training.pseudo.store import PseudoStore
from mtl_training.settings import config_fields
from mtl_training.tasks.base import Task

WORST = 6
"""Images on a picture sheet."""

_UNUSED = (96, 32, 0)
"""BGR of what is below its threshold."""


def quality(
    folder: Path,
    whole: SampleSource,
    tasks: Sequence[Task],
    out: Path,
    losses: LossConfig | None = None,
    visible: SampleSource | None = None,
) -> dict[str, Any]:
    """Judge pseudo-labels against hidden ground truth and write the report; see `judge_all`.

    Args:
        folder: The pseudo-labels.
        whole: The same samples with their whole ground truth.
        tasks: Those of interest.
        out: Folder of the report.
        losses: Thresholds; the usual ones if not given.
        visible: The same samples with the ground truth that is not hidden; None = all is.

    Returns:
        What `quality.json` holds; null stands for what nothing was measured of.

    Raises:
        DatasetError: There is nothing to judge.
        OutputError: The report cannot be written.
    """
    losses = losses or LossConfig()
    judges = judge_all(folder, whole, tasks, losses, visible)
    store = PseudoStore.open(folder)
    found: dict[str, Any] = {
        "recipe": config_fields(store.record.recipe),
        "threshold": losses.pseudo_threshold,
        "share": losses.pseudo_share,
        "tasks": {one.task.name: json_types(one.figures()) for one in judges},
        "worst": {
            one.task.name: {whole.names[i]: one.scores[i] for i in one.worst(WORST)}
            for one in judges
        },
    }
    write_json(out / "quality.json", found)
    write_text(out / "quality.md", markdown(found))
    for one in judges:
        _draw(one, store, whole, out)
    return found


def _draw(one: Judge, store: PseudoStore, whole: SampleSource, out: Path) -> None:
    _plot_reliability(one, out / f"reliability-{one.task.name}.png")
    _draw_worst(one, store, whole, out / f"worst-{one.task.name}.png")
    if len(one.task.group_names) > 1:
        _plot_groups(one, out / f"classes-{one.task.name}.png")


def markdown(found: Mapping[str, Any]) -> str:
    """The report as text, of what `quality` returns."""
    recipe = found["recipe"]
    seen = ", ".join(("image", *recipe["signals"]))
    head = [
        "# Quality of pseudo-labels",
        "",
        f"Teacher `{recipe['teacher']}` ({recipe['sha256'][:12]}), given {seen}, "
        f"{'with' if recipe['flip'] else 'without'} flip averaging. Kept: confidence of "
        f"{found['threshold']:g} or more, and at least {found['share']:.0%} of each class.",
        "Against ground truth that is hidden from the student, at its own resolution.",
    ]
    sections = (
        _section(name, figures, found["worst"][name]) for name, figures in found["tasks"].items()
    )
    return "\n".join([*head, *(line for section in sections for line in section), ""])


def _section(name: str, figures: Mapping[str, Any], worst: Mapping[str, float]) -> list[str]:
    simple = {key: value for key, value in figures["all"].items() if not isinstance(value, dict)}
    lines = [
        "",
        f"## {name}",
        "",
        "| images | coverage | accuracy kept | accuracy all | ECE |",
        "|---|---|---|---|---|",
        row(*(figures[k] for k in ("images", "coverage", "accuracy_kept", "accuracy_all", "ece"))),
        "",
        f"| | {' | '.join(simple)} |",
        "|---" * (len(simple) + 1) + "|",
        row("kept", *(figures["kept"][key] for key in simple)),
        row("all", *simple.values()),
        "",
        f"![reliability](reliability-{name}.png)",
        "",
        f"Worst images: {', '.join(f'{image} ({score:.2f})' for image, score in worst.items())}.",
        "",
        f"![worst images](worst-{name}.png)",
    ]
    return lines + (_groups(name, figures["groups"]) if len(figures["groups"]) > 1 else [])


def _groups(name: str, groups: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    keys = ("threshold", "coverage", "accuracy_kept", "share_before", "share_after")
    return [
        "",
        "| class | threshold | coverage | accuracy kept | share of truth | of truth and pseudo |",
        "|---|---|---|---|---|---|",
        *(row(group, *(figures[key] for key in keys)) for group, figures in groups.items()),
        "",
        f"![classes](classes-{name}.png)",
    ]


def _plot_reliability(one: Judge, path: Path) -> None:
    found = one.reliability
    figure, (diagram, amount) = new_figure(columns=2)
    centres = (np.arange(BINS) + 0.5) / BINS
    diagram.bar(centres, np.nan_to_num(found.accuracy), width=0.9 / BINS, color="#4c72b0")
    reliability(diagram, found.confidence, found.accuracy, color="#c44e52")
    diagram.set_title(f"{one.task.name}: ECE {found.ece():.3f}")
    pixels = found.pixels
    amount.bar(centres, pixels / max(pixels.sum(), 1), width=0.9 / BINS, color="#55a868")
    amount.set(xlabel="confidence", ylabel="share of pixels", xlim=(0, 1))
    save(figure, path)


def _plot_groups(one: Judge, path: Path) -> None:
    figure, (axes,) = new_figure(size=8)
    places = np.arange(len(one.before))
    for offset, (label, counts) in enumerate(
        {"truth": one.before, "truth and pseudo": one.before + one.added}.items()
    ):
        axes.bar(places + 0.4 * offset - 0.2, counts / 1e6, width=0.4, label=label)
    axes.set_xticks(places, one.task.group_names, rotation=40, ha="right")
    axes.set(ylabel="million pixels", yscale="log")
    axes.legend()
    save(figure, path)


def _draw_worst(one: Judge, store: PseudoStore, whole: SampleSource, path: Path) -> None:
    rows = [_pictures(one, store, whole, index) for index in one.worst(WORST)]
    if not rows:
        return
    save_sheet(rows, ("image", "truth", "pseudo-label", "confidence, blue: unused"), path)


def _pictures(one: Judge, store: PseudoStore, whole: SampleSource, index: int) -> list[Bgr]:
    """An image, its truth, its pseudo-label, and the confidence of what is kept, all BGR."""
    task, sample = one.task, whole.sample(index)
    label, truth = store.read(sample.name, [task])[task.name], sample.truth[task.name]
    confidence = cv2.merge([quantised(label.confidence)] * 3)
    confidence[~one.kept(label)] = _UNUSED
    answer = task.decoded(label.value, *truth.shape[:2])
    image = np.ascontiguousarray(sample.image[..., ::-1])
    return [image, task.picture(truth), task.picture(answer), confidence.astype(np.uint8)]
