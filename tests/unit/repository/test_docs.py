"""The documentation leads somewhere: links point at files, generated parts are what would be generated."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[3]
PAGES = sorted([*TOP.glob("*.md"), *TOP.glob("docs/**/*.md"), *TOP.glob("device/**/*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    """A page that names a file which was moved is wrong about more than its name."""
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_generated_pages_are_up_to_date() -> None:
    """``python ci/generated.py`` writes them; the register bank is their only source."""
    done = subprocess.run(
        [sys.executable, str(TOP / "ci/generated.py"), "--check"], capture_output=True, text=True, check=False
    )

    assert done.stdout == "generated files are up to date\n"
