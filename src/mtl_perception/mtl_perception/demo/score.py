"""Scores the node's answers against the truth that a synthetic recording carries."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from mtl_bags.compose import cdr_stamp_ns
from mtl_bags.messages import to_depth, to_mask
from mtl_bags.reader import BagReader
from mtl_bags.records import Record
from mtl_bags.synthetic import TRUTH_DEPTH_TOPIC, TRUTH_MASK_TOPIC
from mtl_core.labels import LabelMap
from mtl_core.metrics import ConfusionMatrix, DepthErrors
from mtl_perception.demo.replay import DEPTH, MASK
from mtl_perception.ledger import Ledger

TRUTH_LABELS = "nyu13"


@dataclass(frozen=True)
class Scores:
    """Agreement with the truth; None where the recording has none.

    Attributes:
        miou: Mean IoU over the classes present, 0..1.
        absrel: Mean of |error| / truth of the depth.
        delta1: Share of pixels whose depth is within a factor of 1.25 of the truth.
        iou: IoU of each class present.
    """

    miou: float | None = None
    absrel: float | None = None
    delta1: float | None = None
    iou: dict[str, float] | None = None


@dataclass(frozen=True)
class Summary:
    """What a demonstration showed: the content of `summary.json`.

    Attributes:
        frames_sent: Number of frames sent.
        frames_answered: Those of them for which mask and depth came.
        latency_ms: `p50` and `p95` from publishing a frame to receiving both; None without answers.
        scores: Agreement with the truth; its fields stand beside the others in the file.
    """

    frames_sent: int
    frames_answered: int
    latency_ms: dict[str, float | None]
    scores: Scores

    @classmethod
    def of(cls, ledger: Ledger, scores: Scores) -> Summary:
        """Summarise a replay."""
        known = [1000 * latency for latency in ledger.latencies_s() if latency is not None]
        percentiles = {
            f"p{share}": float(np.percentile(known, share)) if known else None for share in (50, 95)
        }
        return cls(ledger.frames_sent, ledger.frames_answered, percentiles, scores)

    def to_json(self) -> str:
        """Return the text of `summary.json`."""
        fields = asdict(self)
        return json.dumps({**fields.pop("scores"), **fields}, indent=2, sort_keys=True)


def score(recording: BagReader, answers: BagReader, label_map: LabelMap) -> Scores:
    """Compare the answers with the truth of the same stamps.

    Args:
        recording: What was played.
        answers: What the node published.
        label_map: Of the node's model; masks are scored only where it is the truth's.
    """
    names = {topic.name for topic in recording.topics}
    if not {TRUTH_MASK_TOPIC, TRUTH_DEPTH_TOPIC} <= names:
        return Scores()
    depth = _depth_errors(recording, answers)
    if label_map.name != TRUTH_LABELS:
        return Scores(absrel=_known(depth.absrel()), delta1=_known(depth.delta1()))
    confusion = _confusion(recording, answers, label_map)
    present = zip(label_map.classes, confusion.iou().tolist(), strict=True)
    return Scores(
        _known(confusion.miou()),
        _known(depth.absrel()),
        _known(depth.delta1()),
        {name: value for name, value in present if not math.isnan(value)},
    )


def pairs(
    recording: BagReader, truth_topic: str, answers: BagReader, answer_topic: str
) -> Iterator[tuple[Record, Record]]:
    """Yield truth and answer of the same stamp, in the order of the answers."""
    if answer_topic not in {topic.name for topic in answers.topics}:
        return
    truth = recording.messages([truth_topic])
    ahead: dict[int, Record] = {}
    for answer in answers.messages([answer_topic]):
        stamp_ns = cdr_stamp_ns(answer.data)
        while stamp_ns not in ahead and (record := next(truth, None)):
            ahead[cdr_stamp_ns(record.data)] = record
        if stamp_ns in ahead:
            yield ahead.pop(stamp_ns), answer


def _confusion(recording: BagReader, answers: BagReader, label_map: LabelMap) -> ConfusionMatrix:
    confusion = ConfusionMatrix(len(label_map.classes))
    for truth, answer in pairs(recording, TRUTH_MASK_TOPIC, answers, MASK):
        confusion.update(
            to_mask(answers.deserialize(answer)), to_mask(recording.deserialize(truth))
        )
    return confusion


def _depth_errors(recording: BagReader, answers: BagReader) -> DepthErrors:
    errors = DepthErrors()
    for truth, answer in pairs(recording, TRUTH_DEPTH_TOPIC, answers, DEPTH):
        errors.update(to_depth(answers.deserialize(answer)), to_depth(recording.deserialize(truth)))
    return errors


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
