"""Measure pseudo-labels of rooms that no training saw against their truth, beside the student's.

Rooms are rendered into recordings, labelled as `mtl-bags label` does, read back and compared.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
from tqdm import tqdm

from mtl_bags.errors import BagError
from mtl_bags.labelled import LabelledBag
from mtl_bags.labelling.job import Labeller
from mtl_bags.labelling.summary import Settings
from mtl_bags.messages import to_colour_image, to_depth, to_mask
from mtl_bags.synthetic import (
    DEFAULT_INTRINSICS,
    TRUTH_DEPTH_TOPIC,
    TRUTH_MASK_TOPIC,
    write_room_bag,
)
from mtl_core.metrics import ConfusionMatrix, DepthErrors
from mtl_core.predictor import OnnxPredictor
from mtl_perception.models import find_model

ROOMS, FRAMES = (30, 31, 32, 40, 41, 42), 24

Pictures = dict[str, npt.NDArray[Any]]


class Score:
    """Errors of masks and depths over many frames."""

    def __init__(self, classes: int) -> None:
        """Begin without any."""
        self._masks, self._depths = ConfusionMatrix(classes), DepthErrors()

    def add(self, mask: npt.NDArray[Any], depth: npt.NDArray[Any], truth: Pictures) -> None:
        """Add a frame."""
        self._masks.update(mask, truth["mask"])
        self._depths.update(depth, truth["depth"])

    def figures(self) -> dict[str, float]:
        """What there is to compare."""
        return {"miou": round(self._masks.miou(), 4), "absrel": round(self._depths.absrel(), 4)}


def frames(bag: LabelledBag) -> Iterator[tuple[Any, Pictures, Pictures]]:
    """Image, pseudo-labels and truth of each frame."""
    truths = bag.reader.messages([TRUTH_MASK_TOPIC, TRUTH_DEPTH_TOPIC])
    for frame in bag:
        mask, depth = (bag.deserialize(next(truths)) for _ in range(2))
        if frame.depth is None:
            raise BagError(f"{bag.path}: pseudo-depth expected everywhere")
        labels: Pictures = {
            "mask": to_mask(bag.deserialize(frame.mask)),
            "depth": to_depth(bag.deserialize(frame.depth)),
        }
        image = to_colour_image(bag.deserialize(frame.frame.image))
        yield image, labels, {"mask": to_mask(mask), "depth": to_depth(depth)}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, help="the teacher's ONNX file (default: ours)")
    parser.add_argument("--rooms", type=int, nargs="+", default=ROOMS, help="seeds below 1000")
    parser.add_argument("--out", type=Path, default=Path("out/bench-pseudo.json"))
    options = parser.parse_args(argv)
    labeller = Labeller(options.model or find_model(role="teacher"), Settings(everywhere=True))
    student = OnnxPredictor(find_model())
    found: dict[str, dict[str, dict[str, float]]] = {}
    every = {name: Score(len(labeller.label_map)) for name in ("teacher", "student")}
    with tempfile.TemporaryDirectory() as folder:
        for seed in tqdm(options.rooms, unit="room"):
            room, out = Path(folder) / f"room-{seed}", Path(folder) / f"labelled-{seed}"
            write_room_bag(room, seed, FRAMES, 10.0, depth_sensor=True)
            labeller.label(room, out)
            own = {name: Score(len(labeller.label_map)) for name in every}
            with LabelledBag(out) as bag:
                for image, labels, truth in frames(bag):
                    answer = student.predict(image, DEFAULT_INTRINSICS.fx)
                    for scores in (own, every):
                        scores["teacher"].add(labels["mask"], labels["depth"], truth)
                        scores["student"].add(answer.mask(), answer.depth(), truth)
            found[f"room {seed}"] = {name: score.figures() for name, score in own.items()}
    found["all"] = {name: score.figures() for name, score in every.items()}
    print(json.dumps(found, indent=1))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
