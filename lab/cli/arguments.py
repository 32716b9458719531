"""Types of arguments that several subcommands have."""

from __future__ import annotations

import argparse
import re

_EXAMPLE = "52:54:00:82:57:01"


def mac(text: str) -> str:
    """Read a unicast MAC address."""
    if not re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", text) or int(text[:2], 16) & 1:
        raise argparse.ArgumentTypeError(f"{text}: give a unicast address such as {_EXAMPLE}")
    return text.lower()


def positive(text: str) -> int:
    """Read a number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give a number of at least 1")
    return int(text)


def count(text: str) -> int:
    """Read a number that may be 0."""
    return 0 if text == "0" else positive(text)
