"""The documents: links lead somewhere, decisions stay short, and figures are the code's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deepmusic.audio import SUPPORTED_RATES_HZ
from deepmusic.dsp.levels import lookahead_samples
from deepmusic.dsp.windows import StftGeometry, stream_latency_samples
from tests.house.repository import ROOT, committed

PAGES = committed("*.md")
DECISIONS = committed("docs/adr/*.md")
MOST_LINES_OF_A_DECISION = 40
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path):
    for target in LINK.findall(page.read_text()):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), f"{page.relative_to(ROOT)} links to {target}"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{page.relative_to(ROOT)} links to {target}"


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_fits_on_a_screen(decision: Path):
    assert len(decision.read_text().splitlines()) <= MOST_LINES_OF_A_DECISION


def test_the_decisions_are_numbered_without_gaps_and_listed():
    numbers = [int(path.name[:4]) for path in DECISIONS if path.name[:4].isdigit()]
    assert numbers == list(range(1, len(numbers) + 1))
    index = (ROOT / "docs/adr/README.md").read_text()
    assert all(path.name in index for path in DECISIONS if path.name != "README.md")


def test_the_latency_page_says_what_the_code_has():
    rows = re.findall(r"^\| (\d+) Hz \|(.+)\|$", (ROOT / "docs/latency.md").read_text(), flags=re.MULTILINE)
    assert [int(rate) for rate, _ in rows] == list(SUPPORTED_RATES_HZ)
    for rate, cells in rows:
        geometry = StftGeometry.for_rate(int(rate))
        hop, framing, synthesis, look_ahead, total, total_ms = (float(cell) for cell in cells.split("|"))
        assert hop == geometry.hop
        assert framing + synthesis == stream_latency_samples(geometry)
        assert look_ahead == lookahead_samples(int(rate))
        assert total == framing + synthesis + look_ahead
        assert total_ms == round(1000 * total / int(rate), 1)
