"""One script to both stacks: what ours answers is what Linux answers, but for explained differences."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.errors import UsageError
from lab.trials.tcpip import script
from lab.trials.tcpip.namespace import Namespace, NamespaceError
from lab.trials.tcpip.script import LinuxTarget, OurTarget
from lab.trials.tcpip.scripts import DIFFERENCES, SCRIPTS
from protocols.transports.tcpip.link import Offload

if TYPE_CHECKING:
    from collections.abc import Sequence

QUIET_MS = (15, 60, 250)  # patience with Linux, try by try: a busy machine answers late


def differing(name: str, ours: Sequence[list[str]], linux: Sequence[list[str]]) -> list[str]:
    """Return the steps at which the two differ without an explanation."""
    explained = DIFFERENCES[name].steps if name in DIFFERENCES else ()
    return [
        f"step {n}, {SCRIPTS[name][n]}: ours {a}, Linux {b}"
        for n, (a, b) in enumerate(zip(ours, linux, strict=True))
        if a != b and n not in explained
    ]


@pytest.mark.parametrize("name", SCRIPTS)
def test_our_answers_are_those_of_linux(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare the transcripts of one script."""
    ours = script.run(OurTarget(random.Random(1).randbytes, Offload()), SCRIPTS[name])
    wrong: list[str] = []

    for quiet in QUIET_MS:
        monkeypatch.setattr(script, "QUIET_MS", quiet)
        try:
            with Namespace() as namespace:
                target = LinuxTarget(namespace)
                linux = script.run(target, SCRIPTS[name])
                target.close()
        except (UsageError, NamespaceError) as error:
            pytest.skip(f"no Linux peer: {error}")
        wrong = differing(name, ours, linux)
        if not wrong:
            break

    assert not wrong


def test_explanations_belong_to_scripts() -> None:
    """No explanation outlives what it explains."""
    assert set(DIFFERENCES) <= set(SCRIPTS)
    assert all(max(d.steps) < len(SCRIPTS[name]) for name, d in DIFFERENCES.items())


def test_every_explanation_is_in_the_documentation() -> None:
    """docs/tcpip.md lists what differs, step by step."""
    text = (Path(__file__).resolve().parents[2] / "docs/tcpip.md").read_text(encoding="utf-8")

    missing = [
        name
        for name, difference in DIFFERENCES.items()
        if f"| {name} | {', '.join(map(str, difference.steps))} | {difference.why} |" not in text
    ]

    assert missing == []
