"""The views of a running stack by their names, and how much of its log is shown. It loads nothing."""

from __future__ import annotations

from typing import Final

NAMES: Final = ("adapters", "opens", "bindings", "pending", "packet", "oids", "log", "reports")
LINES: Final = 30
WATCH_S: Final = 1.0
