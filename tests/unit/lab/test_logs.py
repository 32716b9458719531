"""Events go to standard error, as lines or as JSON, from the level that was asked for."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

import lab
from lab import logs
from lab.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def _fail() -> None:
    raise ValueError("a bug")


def _log() -> None:
    log = structlog.get_logger("test")
    log.info("thing.seen", number=1)
    try:
        _fail()
    except ValueError:
        log.exception("thing.failed", number=2)


def test_a_console_line_has_the_name_the_fields_and_a_plain_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What a program prints is not mixed with it."""
    logs.configure()

    _log()
    said = capsys.readouterr()

    assert said.out == ""
    assert "thing.failed" in said.err
    assert "number=2" in said.err
    assert said.err.rstrip().endswith("ValueError: a bug")
    assert "thing.seen" not in said.err


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["net", "up"], "net"),
        (["--log-level", "info", "net", "up"], "net"),
        (["--log-format=json", "--log-level", "debug", "step"], "step"),
        (["--version"], ""),
    ],
)
def test_the_options_of_logging_stand_before_the_command(words: list[str], command: str) -> None:
    """Their values are no commands."""
    assert main._command(words) == command


def test_json_is_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """For those who collect logs."""
    logs.configure("info", "json")

    _log()
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())

    assert (first["event"], first["level"], first["number"]) == ("thing.seen", "info", 1)
    assert (second["event"], second["exception"][0]["exc_type"]) == ("thing.failed", "ValueError")


LOGGING = {"lab.host.station", "lab.host.live", "ntos.executive.live", "device.served"}


def _imported(tree: ast.Module) -> set[str]:
    return {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize("path", sorted(Path(lab.__path__[0]).rglob("*.py")), ids=lambda path: path.stem)
def test_a_program_that_may_log_says_where_to(path: Path) -> None:
    """Structlog by itself writes to standard output, where a peer's answer is expected."""
    text = path.read_text()
    is_program = '__name__ == "__main__"' in text and path.name != "main.py"

    may_log = is_program and bool(_imported(ast.parse(text)) & LOGGING)

    assert not may_log or re.search(r"^    configure\(\)", text, re.MULTILINE)
