"""Every command that README and the docs show is one that the command line takes, with options that exist."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import contextlib
import io
import re
import shlex
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.cli import main

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

TOP = Path(__file__).resolve().parents[3]
PAGES = [TOP / "README.md", TOP / "CONTRIBUTING.md", *sorted((TOP / "docs").rglob("*.md"))]
HISTORY = ("docs/decisions/",)
"""Pages that tell what was, with the commands of then."""
INLINE = "(in a sentence) "
"""Marks a command that a sentence names: it may be without what it needs."""
_SAID = re.compile(r"\s{3,}")
"""Behind it a block says in words what the command does."""
_PLACEHOLDER = re.compile(r"[…]|\.\.\.|\b[A-Z]{3,}\b|\b[A-Z]\b|\[|<")
"""What stands for words of the reader's own: such a command is a form, and only its options are looked at."""


def shown() -> Iterator[tuple[str, str]]:
    """Yield the page and the words of each command: of indented and fenced blocks, and between backticks."""
    for page in PAGES:
        name = str(page.relative_to(TOP))
        if name.startswith(HISTORY):
            continue
        fenced = False
        for line in page.read_text().replace("\\\n", " ").splitlines():
            if line.startswith("```"):
                fenced = not fenced
                continue
            block = fenced or line.startswith("    ")
            if block and re.match(r"\s*(?:\$ |run: )?\./ringwalk ", line):
                for part in parts(_SAID.split(line.removeprefix("run:").strip().removeprefix("$ "))[0]):
                    if part and part[0] == "./ringwalk":
                        yield name, shlex.join(part[1:])
            elif not block:
                for quoted in re.findall(r"`((?:\./)?ringwalk [^`]+)`", line):
                    yield name, INLINE + quoted.split("ringwalk ", 1)[1]


def parts(line: str) -> Iterator[list[str]]:
    """Split a line of shell into its commands' words, without comments. ValueError: quotes."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
    reader.whitespace_split = True
    words: list[str] = []
    for word in [*reader, ";"]:
        if word and set(word) <= set(";&|<>"):
            yield words
            words = []
        else:
            words.append(word)


COMMANDS = sorted(set(shown()))


@cache
def parser(command: str) -> argparse.ArgumentParser:
    return main.parser(command)


def refusal(words: list[str]) -> str:
    """Return why the command line does not take the words; empty when it does."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            parser(words[0]).parse_args(words)
    except SystemExit as end:
        return said.getvalue() if end.code else ""
    return ""


def test_commands_are_found_in_many_pages() -> None:
    """A change of the pages' form must not make this file find nothing."""
    assert len(COMMANDS) > 150
    assert len({page for page, _ in COMMANDS}) > 12


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page}:{c[:60]}" for page, c in COMMANDS])
def test_a_command_of_the_docs_is_taken(page: str, command: str) -> None:
    loose = command.startswith(INLINE) or bool(_PLACEHOLDER.search(command))
    words = next(parts(command.removeprefix(INLINE).replace("…", "")))

    assert words[0].startswith("-") or words[0] in main.summaries(), f"{page}: no such command"

    why = refusal(words)
    if loose:  # words of the reader's own are not there: only options and choices are looked at
        assert not re.search(
            r"unrecognized arguments: --|argument (PART|TOOL|COMMAND): invalid choice: '[a-z]", why
        ), f"{page}: {why}"
    else:
        assert why == "", f"{page}: {why}"
