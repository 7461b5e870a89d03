"""What a run says while it learns: a progress bar, JSON lines, TensorBoard."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from mtl_training.files import write_text, writing

METRICS = "metrics.jsonl"


class RunLog:
    """Writes the mean of each loss over windows of steps.

    Args:
        folder: Of the run; what an earlier process logged beyond `first` is dropped.
        first: Step to begin at.
        last: Step to end at.
        title: Shown before the bar.
        window: Steps over which a line's means are taken.
        quiet: Say nothing and write nothing, as all devices but one do.
    """

    def __init__(
        self,
        folder: Path,
        first: int,
        last: int,
        title: str,
        window: int = 20,
        quiet: bool = False,
    ) -> None:
        self._window, self._last, self._quiet = window, last, quiet
        self._sums: dict[str, float] = defaultdict(float)
        self._count = 0
        self._path = folder / METRICS
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[losses]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            disable=quiet,
        )
        self._task = self._bar.add_task(title, total=last, completed=first, losses="")
        if not quiet:
            _trim(self._path, first)
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=first)

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close what is open."""
        self._bar.stop()
        if not self._quiet:
            self._board.close()

    def add(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """Take the losses of the step with that number, counted from 1."""
        if self._quiet:
            return
        self._count += 1
        for name, loss in losses.items():
            self._sums[name] += float(loss.detach())
        self._bar.update(self._task, completed=step)
        if step % self._window == 0 or step == self._last:
            self._write(step)

    def _write(self, step: int) -> None:
        means = {name: total / self._count for name, total in self._sums.items()}
        shown = " ".join(f"{name} {value:.3f}" for name, value in means.items())
        self._bar.update(self._task, losses=shown)
        with writing(self._path):
            with self._path.open("a", encoding="utf-8") as log:
                log.write(json.dumps({"step": step, **means}, allow_nan=False) + "\n")
            for name, value in means.items():
                self._board.add_scalar(name, value, step)
        self._sums.clear()
        self._count = 0


def _trim(path: Path, step: int) -> None:
    """Drop what a kill left beyond the last checkpoint, which will run again."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    write_text(path, "".join(line for line in lines if _complete(line, step)))


def _complete(line: str, step: int) -> bool:
    try:
        return bool(json.loads(line)["step"] <= step)
    except json.JSONDecodeError:
        return False
