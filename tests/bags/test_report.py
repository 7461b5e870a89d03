"""The page on a recording's labels: its figures are those of the labels, and a browser shows it."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

import tiny_student
from mtl_bags.cli import main
from mtl_bags.errors import BagError
from mtl_bags.labelled import LabelledBag
from mtl_bags.labelling.job import Labeller
from mtl_bags.labelling.summary import Settings
from mtl_bags.messages import to_mask
from mtl_bags.reader import BagReader
from mtl_bags.report import PICTURES, gather, report
from mtl_core.labels import LabelMap
from recordings import COLOUR, DEPTH, FRAMES, PREFIX, class_of, records, write

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bags")
    model = tiny_student.write_teacher(folder / "tiny-teacher.onnx")
    labeller = Labeller(model, Settings(depth="none"))
    labeller.label(write(folder / "walk", records()), folder / "labelled")
    return folder / "labelled"


@pytest.fixture(scope="module")
def page(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    report(labelled, path)
    return path


class Tags(HTMLParser):
    """What is open must be closed, in order."""

    EMPTY = frozenset({"meta", "img", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attrs)["src"] or "")
        elif tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag


def test_the_figures_are_those_of_all_labels(labelled: Path) -> None:
    """Counted again from the messages, pixel by pixel."""
    with LabelledBag(labelled) as bag:
        found = gather(bag)
    with BagReader(labelled) as reader:
        arrays = {
            name: np.stack(
                [
                    to_mask(reader.deserialize(one))
                    for one in reader.messages([f"{PREFIX}/segmentation/{name}"])
                ]
            )
            for name in ("mask", "confidence")
        }
    assert found.frames == FRAMES
    for threshold in (0.0, 0.3, 0.9, 1.0):
        kept = arrays["confidence"] >= threshold * 255
        assert found.coverage(threshold) == pytest.approx(kept.mean())
        shares = [(arrays["mask"][kept] == number).mean() for number in range(13)]
        np.testing.assert_allclose(found.balance(threshold), shares)
    means = sorted(1 - arrays["confidence"].mean(axis=(1, 2)) / 255, reverse=True)[:PICTURES]
    np.testing.assert_allclose([one.doubt for one in found.doubtful], means)


def test_the_page_is_whole_and_needs_nothing_else(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert not re.search(r"https?://|<script|<link", text)
    assert len(tags.images) == 2 * PICTURES
    for source in tags.images:
        data = base64.b64decode(source.removeprefix("data:image/jpeg;base64,"))
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape[1] == 640
    for name in LabelMap.load("nyu13").classes:
        assert f"</span>{name}</td>" in text
    assert f"<td>{FRAMES}</td>" in text
    assert COLOUR in text


def test_pictures_show_the_classes_over_the_image(labelled: Path) -> None:
    with LabelledBag(labelled) as bag:
        shown = gather(bag).shown
    colours = LabelMap.load("nyu13").colours
    for number, one in enumerate(shown):
        picture = cv2.imdecode(np.frombuffer(one.jpeg, np.uint8), cv2.IMREAD_COLOR)
        red, green, blue = colours[class_of(number)]
        image = np.array(tiny_student.colour(class_of(number), 20 * class_of(number)))
        expected = (image + np.array([red, green, blue])) / 2
        np.testing.assert_allclose(picture[60, 100, ::-1], expected, atol=12)


def test_depth_is_compared_with_the_sensor_s(tmp_path: Path) -> None:
    model = tiny_student.write_teacher(tmp_path / "tiny-teacher.onnx")
    Labeller(model, Settings()).label(write(tmp_path / "walk", records()), tmp_path / "labelled")
    words = ["report", str(tmp_path / "labelled"), "--out", str(tmp_path / "page.html")]
    assert main(words) == 0
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    ratios = [(1.5 + n / 1000) / tiny_student.metres(20 * n) for n in range(FRAMES)]
    assert f"<td>percentile 50</td><td>{np.median(ratios):.3f}</td>" in text
    assert DEPTH in text


def test_a_name_is_shown_and_not_obeyed(labelled: Path, tmp_path: Path) -> None:
    path = shutil.copytree(labelled, tmp_path / "<b>walk & talk")
    (tmp_path / "<b>walk & talk/labelled.mcap").rename(path / "labelled.mcap")
    report(path, tmp_path / "page.html")
    assert "&lt;b&gt;walk &amp; talk" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_is_an_error(labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BagError, match="cannot write"):
        report(labelled, tmp_path / "file" / "page.html")


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed: `make browser` installs it")
def test_a_browser_shows_it(page: Path, tmp_path: Path) -> None:
    """Laid out by a real browser: the pictures have their size, and nothing runs off the page."""
    shot = tmp_path / "shot.png"
    subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/u",
         "--window-size=1200,3000", f"--screenshot={shot}", page.as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    picture = cv2.imread(str(shot))
    assert picture.shape[:2] == (3000, 1200)
    colours = {tuple(c) for c in picture.reshape(-1, 3)[::97].tolist()}
    assert len(colours) > 100  # text, bars and pictures, not an empty page
    bars = np.all(np.abs(picture.astype(int) - (0xAA, 0x78, 0x44)) < 8, axis=2)
    assert bars.sum() > 1000
