"""Decisions: a page's heading has its file's number."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "decisions"


def test_a_decision_s_heading_has_its_file_s_number() -> None:
    """Pages that were renumbered kept their old headings: 0030 called itself 0063."""
    pages = {page.name: page.read_text().splitlines()[0] for page in FOLDER.glob("[0-9]*.md")}

    wrong = {name: line for name, line in pages.items() if not re.match(rf"# {int(name[:4])}\. \S", line)}

    assert len(pages) > 30
    assert wrong == {}


def test_no_two_decisions_have_one_number() -> None:
    """A link by number finds one page."""
    numbers = [page.name[:4] for page in FOLDER.glob("[0-9]*.md")]

    assert sorted(numbers) == sorted(set(numbers))
