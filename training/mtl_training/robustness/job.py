"""What `mtl-train robustness` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtl_core.predictor import ModelPredictor
from mtl_training.data.catalogue import open_source
from mtl_training.errors import ConfigError
from mtl_training.evaluate import check_classes, data_config, json_types, labelled, shared_tasks
from mtl_training.files import write_json, write_text
from mtl_training.models import open_model
from mtl_training.pictures import write_picture
from mtl_training.robustness.measure import Report, measure
from mtl_training.robustness.report import markdown, plot_reliability, sheet

SHOWN = 3
"""Images on the sheet."""


@dataclass(frozen=True)
class Job:
    """One model on one data set.

    Attributes:
        model: An ONNX file, a `weights.safetensors` or a finished run's folder.
        data: A data set's folder, or `rooms:20` for 20 held-out rooms.
        split: Which part of the data set.
        limit: How many images at most, spread evenly over it; None = all.
        seed: Of noise, of the pixels that calibration looks at, and of the bootstrap.
        device: Where torch runs a checkpoint.

    Raises:
        ConfigError: The limit leaves no two halves, or the seed is negative.
    """

    model: Path
    data: str
    split: str = ""
    limit: int | None = None
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if self.limit is not None and self.limit < 2:
            raise ConfigError(f"limit: 2 images or more expected, got {self.limit}")
        if self.seed < 0:
            raise ConfigError(f"seed: 0 or more expected, got {self.seed}")

    def run(self, out: Path) -> dict[str, Any]:
        """Measure and write `robustness.json`, `.md`, `.jpg` and `reliability.png`.

        Args:
            out: Folder of the report.

        Returns:
            What `robustness.json` holds; null stands for what nothing was measured of.

        Raises:
            ConfigError: Model and data share no task, or their classes differ.
            DatasetError: Fewer than two images have truth of a task, or a file is damaged.
            OutputError: The report cannot be written.
        """
        model = open_model(self.model, self.device)
        source = open_source(data_config(self.data, self.split, model.card))
        tasks = shared_tasks(model, source)
        check_classes(model.card, source, tasks)
        indices = spread(labelled(source, tasks), self.limit)
        predictor = ModelPredictor(model)
        report = Report.of(measure(predictor, source, tasks, indices, seed=self.seed), self.seed)
        about = {"model": model.card.name, "data": self.data, "split": self.split}
        counts = {"seed": self.seed, "images": len(indices)}
        found: dict[str, Any] = json_types({**about, **counts, **report.figures()})
        write_json(out / "robustness.json", found)
        write_text(out / "robustness.md", markdown(found))
        shown = [source.sample(index) for index in spread(indices, SHOWN)]
        write_picture(out / "robustness.jpg", sheet(predictor, shown, tasks, self.seed))
        plot_reliability(report, out / "reliability.png")
        return found


def spread(indices: Sequence[int], count: int | None) -> list[int]:
    """At most so many of them, evenly, because neighbours are alike; None = all."""
    count = len(indices) if count is None else min(count, len(indices))
    return [indices[at * len(indices) // count] for at in range(count)]
