"""Links lead somewhere: files are there, headings too."""

from __future__ import annotations

import re

import pytest

from documents import ROOT, Code, anchors, documents, links

INSIDE = [link for path in documents() for link in links(path) if not re.match(r"\w+:", link.text)]


@pytest.mark.parametrize("link", INSIDE, ids=lambda link: f"{link.place} {link.text}")
def test_a_link_leads_somewhere(link: Code) -> None:
    name, _, anchor = link.text.partition("#")
    target = (ROOT / link.path).parent / name if name else ROOT / link.path
    assert target.exists(), f"{link.place}: {link.text}"
    assert target.resolve().is_relative_to(ROOT)
    if anchor:
        found = anchors(target.resolve().relative_to(ROOT).as_posix())
        assert anchor in found, f"{link.place}: {anchor} is none of {sorted(found)}"


def test_every_page_can_be_reached_from_the_index() -> None:
    reached, new = set(), {"docs/README.md"}
    while new:
        reached |= new
        targets = {
            ((ROOT / link.path).parent / link.text.partition("#")[0]).resolve()
            for path in new
            for link in links(path)
            if not re.match(r"\w+:|#", link.text)
        }
        pages = {path for t in targets for path in ([t] if t.is_file() else t.glob("*.md"))}
        new = {p.relative_to(ROOT).as_posix() for p in pages if p.suffix == ".md"} - reached
    assert set(documents()) <= reached
