"""How far a recording's labels can be trusted: one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mtl_bags.errors import BagError
from mtl_bags.labelled import LabelledBag, LabelledFrame, Track
from mtl_bags.labelling.summary import SUMMARY, Summary, read_summary
from mtl_bags.messages import to_colour_image, to_mask
from mtl_core.draw import overlay
from mtl_core.errors import MtlError
from mtl_core.labels import UNLABELLED, LabelMap

THRESHOLDS = (0.3, 0.5, 0.7, 0.9)
SURE = 0.5
"""Confidence from which a label counts as kept in the class balance."""

PICTURES = 8
_WIDTH = 320
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 80]

Counts = npt.NDArray[np.int64]


@dataclass(order=True)
class Picture:
    """A frame as shown: the less certain, the greater."""

    doubt: float
    stamp_ns: int
    jpeg: bytes = field(compare=False)


@dataclass
class Statistics:
    """What the labels of a recording look like.

    Attributes:
        counts: (classes, 256): pixels by class and by confidence in 1 / 255.
        frames: Frames with labels.
        doubtful: The least certain ones, the least certain first.
        shown: Some, evenly from beginning to end.
        unreadable: Frames whose image or labels could not be read.
        unlabelled: Images without labels.
    """

    counts: Counts
    frames: int = 0
    doubtful: list[Picture] = field(default_factory=list)
    shown: list[Picture] = field(default_factory=list)
    unreadable: int = 0
    unlabelled: int = 0

    def coverage(self, threshold: float) -> float:
        """Share of the labelled pixels whose confidence is at least this."""
        least = math.ceil(threshold * 255)
        return float(self.counts[:, least:].sum() / max(self.counts.sum(), 1))

    def balance(self, threshold: float = 0.0) -> npt.NDArray[np.float64]:
        """Share of each class among the pixels whose confidence is at least this."""
        kept = self.counts[:, math.ceil(threshold * 255) :].sum(axis=1)
        shares: npt.NDArray[np.float64] = kept / max(kept.sum(), 1)
        return shares


def gather(bag: LabelledBag, track: Track = lambda frames, _: frames) -> Statistics:
    """Go through a labelled recording once, in memory that does not grow with it."""
    total = bag.camera.colour.count
    statistics = Statistics(np.zeros((len(bag.label_map), 256), np.int64))
    doubtful: list[Picture] = []
    every = max(1, total // PICTURES)
    for frame in track(bag, total):
        try:
            mask = to_mask(bag.deserialize(frame.mask))
            confidence = to_mask(bag.deserialize(frame.confidence))
            statistics.counts += _counts(mask, confidence, len(bag.label_map))
            doubt = 1 - float(confidence.mean()) / 255
            wanted = len(doubtful) < PICTURES or doubt > doubtful[0].doubt
            if wanted or statistics.frames % every == 0:
                picture = Picture(doubt, frame.frame.stamp_ns, _drawn(bag, frame, mask, confidence))
                if statistics.frames % every == 0 and len(statistics.shown) < PICTURES:
                    statistics.shown.append(picture)
                if wanted:
                    heapq.heappush(doubtful, picture)
                if len(doubtful) > PICTURES:
                    heapq.heappop(doubtful)
        except (BagError, MtlError):
            statistics.unreadable += 1
            continue
        statistics.frames += 1
    statistics.unlabelled = bag.unlabelled
    statistics.doubtful = sorted(doubtful, reverse=True)
    return statistics


def report(
    source: Path,
    out: Path,
    track: Track = lambda frames, _: frames,
    *,
    colour: str | None = None,
    depth: str | None = None,
) -> Statistics:
    """Write the page of a labelled recording.

    Args:
        source: The labelled recording.
        out: The HTML file.
        track: Wraps the frames, such as in a progress bar.
        colour: See `LabelledBag`.
        depth: Likewise.

    Raises:
        BagError: It cannot be read, has no labels, or the page cannot be written.
    """
    with LabelledBag(source, colour, depth) as bag:
        statistics = gather(bag, track)
        label_map = bag.label_map
    summary = read_summary(source)[0] if (source / SUMMARY).is_file() else None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page(source.name, statistics, label_map, summary), encoding="utf-8")
    except OSError as err:
        raise BagError(f"cannot write {out}: {err}") from err
    return statistics


def page(name: str, statistics: Statistics, label_map: LabelMap, summary: Summary | None) -> str:
    """The page as HTML."""
    histogram = statistics.counts.sum(axis=0).reshape(32, 8).sum(axis=1)
    return _PAGE.substitute(
        name=escape(name),
        facts=_table(_facts(statistics, summary)),
        coverage=_table(
            [(f"{t:.0%} or more", f"{statistics.coverage(t):.1%}") for t in THRESHOLDS]
        ),
        confidence=_bars(histogram / max(histogram.sum(), 1)),
        balance=_balance(statistics, label_map),
        depth=_depth(summary),
        doubtful=_pictures(statistics.doubtful),
        shown=_pictures(statistics.shown),
        problems=_problems(statistics, summary),
    )


def _counts(mask: npt.NDArray[np.uint8], confidence: npt.NDArray[np.uint8], classes: int) -> Counts:
    known = mask < classes
    pairs = mask[known].astype(np.int64) * 256 + confidence[known]
    return np.bincount(pairs, minlength=classes * 256).reshape(classes, 256)


def _drawn(
    bag: LabelledBag,
    frame: LabelledFrame,
    mask: npt.NDArray[np.uint8],
    confidence: npt.NDArray[np.uint8],
) -> bytes:
    """Labels over the image, and the confidence beside it, dark = in doubt."""
    bgr = to_colour_image(bag.deserialize(frame.frame.image)).bgr()
    if bgr.shape[:2] != mask.shape:
        raise BagError(f"mask of {mask.shape} beside an image of {bgr.shape[:2]}")
    shown = overlay(bgr, np.where(mask < len(bag.label_map), mask, UNLABELLED), bag.label_map)
    both = np.hstack([shown, cv2.cvtColor(confidence, cv2.COLOR_GRAY2BGR)])
    height = round(both.shape[0] * 2 * _WIDTH / both.shape[1])
    small = cv2.resize(both, (2 * _WIDTH, height), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, _JPEG)[1].tobytes()


def _facts(statistics: Statistics, summary: Summary | None) -> list[tuple[str, str]]:
    facts = [("frames with labels", str(statistics.frames))]
    if summary:
        facts += [
            ("images in the recording", str(summary.frames)),
            ("of these with sensor depth", str(summary.tally["paired"])),
            ("teacher", f"{summary.model}, sha256 {summary.model_sha256[:12]}"),
            ("colour", str(summary.topics["colour"])),
            ("depth", str(summary.topics["depth"] or "none")),
        ]
    return facts


def _depth(summary: Summary | None) -> str:
    if summary is None or not summary.depth_ratio:
        return "<p>No sensor depth to compare with.</p>"
    rows = [(f"percentile {point}", f"{v:.3f}") for point, v in summary.depth_ratio.items()]
    return (
        "<p>The sensor's depth over the teacher's, median of each image. Far from 1, the focal "
        "length is not what camera_info says, or the scenes are not what the teacher knows.</p>"
        + _table(rows)
    )


def _problems(statistics: Statistics, summary: Summary | None) -> str:
    rows = [
        (problem, str(count)) for problem, count in (summary.problems if summary else {}).items()
    ]
    rows += [("damaged", text) for text in (summary.damage if summary else [])]
    if statistics.unlabelled:
        rows.append(("images without labels", str(statistics.unlabelled)))
    if statistics.unreadable:
        rows.append(("labels that could not be read", str(statistics.unreadable)))
    return _table(rows) if rows else "<p>None.</p>"


def _balance(statistics: Statistics, label_map: LabelMap) -> str:
    every, sure = statistics.balance(), statistics.balance(SURE)
    rows = [
        (
            f'<span class="swatch" style="background:rgb{colour}"></span>{escape(name)}',
            f"{all_of:.1%}",
            f"{kept:.1%}",
        )
        for name, colour, all_of, kept in zip(
            label_map.classes, label_map.colours, every, sure, strict=True
        )
    ]
    return _table(rows, ("class", "all labels", f"confidence {SURE:.0%} or more"), raw=True)


def _table(rows: Sequence[Sequence[str]], head: Sequence[str] = (), *, raw: bool = False) -> str:
    def line(row: Sequence[str], kind: str) -> str:
        cells = (f"<{kind}>{cell if raw else escape(cell)}</{kind}>" for cell in row)
        return f"<tr>{''.join(cells)}</tr>"

    lines = [line(head, "th")] if head else []
    lines += [line(row, "td") for row in rows]
    return f"<table>{''.join(lines)}</table>"


def _bars(shares: npt.NDArray[Any]) -> str:
    """A histogram from 0 to 1 as SVG."""
    top = max(float(shares.max()), 1e-9)
    width, height = 480 / len(shares), 120
    bars = "".join(
        f'<rect x="{i * width:.1f}" y="{height * (1 - share / top):.1f}" width="{width - 1:.1f}" '
        f'height="{height * share / top:.1f}"><title>{share:.1%}</title></rect>'
        for i, share in enumerate(shares)
    )
    return (
        f'<svg viewBox="0 0 480 140" role="img" aria-label="histogram of the confidence">{bars}'
        '<text x="0" y="136">0</text><text x="470" y="136">1</text></svg>'
    )


def _pictures(pictures: Sequence[Picture]) -> str:
    shown = (
        f'<figure><img alt="labels and confidence" src="data:image/jpeg;base64,'
        f'{base64.b64encode(one.jpeg).decode()}"><figcaption>stamp {one.stamp_ns}, mean confidence '
        f"{1 - one.doubt:.1%}</figcaption></figure>"
        for one in pictures
    )
    return "".join(shown) or "<p>None.</p>"


_PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Labels of $name</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; }
h2 { margin-top: 2em; } table { border-collapse: collapse; }
td, th { border-bottom: 1px solid #ccc; padding: .2em 1em .2em 0; text-align: left; }
td + td, th + th { text-align: right; }
svg { max-width: 40em; width: 100%; } rect { fill: #4478aa; } text { font-size: 11px; }
figure { display: inline-block; margin: 0 1em 1em 0; } figure img { max-width: 100%; }
figcaption { color: #555; font-size: 13px; }
.swatch { display: inline-block; width: 1em; height: 1em; margin-right: .5em; }
</style></head><body>
<h1>Labels of $name</h1>
$facts
<h2>Coverage</h2><p>Share of the pixels whose class has a confidence of</p>
$coverage
<h2>Confidence</h2>
$confidence
<h2>Class balance</h2>
$balance
<h2>Depth against the sensor</h2>
$depth
<h2>Least certain frames</h2>
$doubtful
<h2>From beginning to end</h2>
$shown
<h2>Problems</h2>
$problems
</body></html>
""")
