"""The way to the full screen, which is an extra: says how to get it where it is not installed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.stepper.command import CommandFront


def nothing() -> None:
    """Do nothing."""


def run(work: Callable[[CommandFront], str], leave: Callable[[], None] = nothing) -> int:
    """Do work whose front end is a full screen, until its user ends it; print what the work said.

    ``leave`` is called when the user ends the screen before the work is done. UsageError without textual.
    """
    try:
        from lab.stepper.tui import Stepper  # noqa: PLC0415 - textual is an extra
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--tui needs {error.name}: `./ringwalk` in a checkout brings it by itself;"
            " otherwise pip install 'ringwalk[tui]'"
        ) from error
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("--tui wants a terminal: from a pipe, or into one, use --step or --command FILE")
    app = Stepper(work, leave)
    app.run()
    app.join()
    for text in (*app.printed, app.told):
        if text:
            print(text)
    return app.status
