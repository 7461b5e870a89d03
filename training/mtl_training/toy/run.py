"""A run of the toy into a folder: resumable point by point, and finished only once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mtl_training.errors import ResumeError
from mtl_training.files import write_json, write_text
from mtl_training.provenance import commit
from mtl_training.toy.figures import draw_figures
from mtl_training.toy.report import summarise, table
from mtl_training.toy.settings import ToySettings
from mtl_training.toy.study import Outcome, Point, measure, plan

SETTINGS, SUMMARY, TABLE, POINTS = "settings.json", "summary.json", "table.md", "points"


def run_toy(
    out: Path, settings: ToySettings | None = None, console: Console | None = None
) -> dict[str, Any]:
    """Run the study, or go on with it, and report.

    Args:
        out: Folder for `summary.json`, `table.md`, plots, `settings.json`, and under `points/` what
            each part found. A finished folder is left as it is.
        settings: How; the study's own if not given.
        console: Where progress and result are shown.

    Returns:
        What `summary.json` holds.

    Raises:
        ResumeError: The folder was begun with other settings, or one of its files is damaged.
    """
    chosen, shown = settings or ToySettings(), console or Console()
    _claim(out, chosen)
    if (out / SUMMARY).exists():
        shown.print(f"{out} is finished already: nothing to do")
        return dict(_read(out / SUMMARY))
    points = plan(chosen)
    revision = commit()
    with _progress(shown) as progress:
        whole = progress.add_task("all points", total=sum(point.steps for point in points))
        outcomes = {
            point.name: _settled(out, point, revision, partial(progress.update, whole))
            for point in points
        }
    return _report(out, chosen, outcomes, shown)


def _claim(out: Path, settings: ToySettings) -> None:
    path = out / SETTINGS
    if not path.exists():
        write_json(path, settings.fields())
        return
    found, asked = _read(path), settings.fields()
    if found != asked:
        names = sorted(k for k in asked.keys() | found.keys() if asked.get(k) != found.get(k))
        raise ResumeError(f"{out} was begun with other settings: {', '.join(names)} differ")


def _settled(out: Path, point: Point, revision: str, show: Callable[..., None]) -> Outcome:
    """What a point found: read if it is there, else measured and written."""
    path = out / POINTS / f"{point.name}.json"
    if path.exists():
        show(advance=point.steps)
        return _outcome(path)
    show(description=point.name)
    outcome = measure(point, lambda: show(advance=1))
    write_json(path, {**dataclasses.asdict(outcome), "commit": revision})
    return outcome


def _outcome(path: Path) -> Outcome:
    found = _read(path)
    try:
        return Outcome(**{field.name: found[field.name] for field in dataclasses.fields(Outcome)})
    except KeyError as err:
        raise ResumeError(f"{path} is damaged: it has no {err}; delete it and run again") from err


def _report(
    out: Path, settings: ToySettings, outcomes: dict[str, Outcome], console: Console
) -> dict[str, Any]:
    commits = {str(_read(path)["commit"]) for path in sorted((out / POINTS).glob("*.json"))}
    summary = summarise(settings, outcomes, sorted(commits))
    write_text(out / TABLE, table(summary))
    draw_figures(out, settings, outcomes)
    write_json(out / SUMMARY, summary)
    console.print(Markdown((out / TABLE).read_text(encoding="utf-8")))
    return summary


def _progress(console: Console) -> Progress:
    columns: Sequence[Any] = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise ResumeError(f"{path} is damaged: {err}; delete it and run again") from err
    if not isinstance(found, dict):
        raise ResumeError(f"{path} is damaged: a JSON object expected; delete it and run again")
    return found
