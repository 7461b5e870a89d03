"""`robustness.json`, `robustness.md`, the sheet of pictures and the reliability diagrams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtl_core.draw import Bgr, contact_sheet
from mtl_core.predictor import Predictor
from mtl_training.data.sample import Sample
from mtl_training.markdown import head, row
from mtl_training.pictures import tiles
from mtl_training.plots import new_figure, reliability, save
from mtl_training.robustness.conditions import CONDITIONS, UNCHANGED
from mtl_training.robustness.measure import HELD_OUT, Report, ask
from mtl_training.tasks.base import Task


def markdown(found: Mapping[str, Any]) -> str:
    """The table, of what `robustness.json` holds."""
    of_split = f", {found['split']}" if found["split"] else ""
    fitted = ", ".join(f"{task} {t:.2f}" for task, t in found["temperatures"].items())
    lines = [
        f"# Robustness of {found['model']}",
        "",
        f"{found['images']} images of {found['data']}{of_split}. In brackets: less the answer to "
        "the unchanged image at the same pixels, with its 95 % interval over images. ECE: of all "
        "images as the model is, and of the half that no temperature was fitted on, without and "
        f"with the one that the other half fits, unchanged: {fitted}.",
        "",
        *_table(found["conditions"]),
    ]
    return "\n".join(lines) + "\n"


def _table(conditions: Mapping[str, Any]) -> Iterator[str]:
    first = conditions[UNCHANGED]
    figures = [(task, figure) for task, found in first.items() for figure in found["difference"]]
    yield from head("condition", *(figure for _, figure in figures), *(f"ECE {t}" for t in first))
    for name, of_tasks in conditions.items():
        cells = [_figure(of_tasks[task], figure, name) for task, figure in figures]
        yield row(name, *cells, *(_ece(found) for found in of_tasks.values()))


def _figure(found: Mapping[str, Any], figure: str, condition: str) -> str:
    value = _number(found["figures"][figure])
    if condition == UNCHANGED:
        return value
    one = found["difference"][figure]
    difference, low, high = (_number(one[key], "+") for key in ("difference", "low", "high"))
    return f"{value} ({difference} [{low}, {high}])"


def _ece(found: Mapping[str, Any]) -> str:
    before, after = (_number(found["ece_held_out"][when]) for when in ("before", "after"))
    return f"{_number(found['ece'])} ({before} -> {after})"


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.3f}"


def sheet(predictor: Predictor, samples: Sequence[Sample], tasks: Sequence[Task], seed: int) -> Bgr:
    """Conditions from top to bottom; of each sample from left to right the image and the answers.

    Args:
        predictor: The model.
        samples: A few.
        tasks: Whose answers are shown.
        seed: As it was measured with.
    """
    titles = [word for _ in samples for word in ("", *(task.name for task in tasks))]
    rows = []
    for condition in CONDITIONS.items():
        pictures: list[Bgr] = []
        for sample in samples:
            changed, answer = ask(predictor, sample, tasks, condition, seed)
            pictures.append(np.ascontiguousarray(changed.image[..., ::-1]))
            pictures += [task.picture(task.predicted(answer)) for task in tasks]
        rows.append(pictures)
    bars = [
        contact_sheet([one], [name, *titles[1:]])
        for name, one in zip(CONDITIONS, tiles(rows), strict=True)
    ]
    return np.vstack(bars)


def plot_reliability(report: Report, path: Path) -> None:
    """Of the unchanged images that no temperature was fitted on, before and after fitting."""
    outcomes = report.outcomes[UNCHANGED]
    figure, diagrams = new_figure(columns=len(outcomes))
    for axes, (name, outcome) in zip(diagrams, outcomes.items(), strict=True):
        for when, temperature in report.choices(name).items():
            found = outcome.reliability(temperature, HELD_OUT)
            label = f"{when}: T = {temperature:.2f}, ECE {found.ece():.3f}"
            reliability(axes, found.confidence, found.accuracy, label=label)
        axes.set_title(name)
        axes.legend(fontsize=7)
    save(figure, path)
