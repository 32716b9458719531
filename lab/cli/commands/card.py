"""``ringwalk card``: do something to a card that is running: pull its cable, change its partner, look."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lab.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

NAME = "card"
HELP = "pull a running card's cable, change its link partner, impair, capture, reset, look at its counters"
EXAMPLES = (
    "  ringwalk serve --socket /tmp/nic.sock --wire netns,loss=0%,pcap=all.pcapng   the card\n"
    "  ringwalk card /tmp/nic.sock unplug                the guest sees NIC Link is Down; plug: up again\n"
    "  ringwalk card /tmp/nic.sock speed 100 full        the partner offers nothing else\n"
    "  ringwalk card /tmp/nic.sock partner 10half 100full pause\n"
    "  ringwalk card /tmp/nic.sock partner               everything again\n"
    "  ringwalk card /tmp/nic.sock impair loss=1% delay=5ms\n"
    "  ringwalk card /tmp/nic.sock pcap start part.pcapng\n"
    "  ringwalk card /tmp/nic.sock stats --json"
)
SPEEDS: Final = ("10", "100", "1000")
MOST_WORDS: Final = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("socket", metavar="SOCKET", type=Path, help="the card's vfio-user socket")
    parser.add_argument("--json", action="store_true", help="print the card's answer as data")
    parser.add_argument("verb", choices=sorted(VERBS), metavar="VERB", help=", ".join(sorted(VERBS)))
    parser.add_argument(
        "words",
        nargs="*",
        metavar="WORD",
        help="speed: 10, 100 or 1000, half or full; partner: modes, pause, asymmetric (none: everything);"
        " impair: loss=1% and such (none: nothing); pcap: start FILE, or stop",
    )


def run(args: argparse.Namespace) -> int:
    """Ask the card, and print what it answers. UsageError."""
    answer = VERBS[args.verb](args.socket, args.words[:MOST_WORDS])
    if args.json:
        print(json.dumps(answer, indent=2))
    elif args.verb == "stats":
        for name, value in {**answer["account"], **answer["registers"]}.items():
            print(f"{name.replace('_', ' '):<24}{value:>16,}")
    elif "frames" in answer:
        print(f"{answer['frames']:,} frames captured")
    return 0


def _plainly(card: Path, verb: str, words: Sequence[str]) -> dict[str, Any]:
    if words:
        raise UsageError(f"{verb} takes no words: {' '.join(words)}")
    return _ask(card, {"do": verb})


def _partner(card: Path, words: Sequence[str]) -> dict[str, Any]:
    return _ask(card, {"do": "partner", "offers": list(words)} if words else {"do": "partner"})


def _speed(card: Path, words: Sequence[str]) -> dict[str, Any]:
    speed, duplex = [*words, "full"][:2] if words else ("", "")
    if speed not in SPEEDS or duplex not in {"half", "full"} or len(words) > 2:
        raise UsageError("say a speed and a duplex, as in: speed 100 full")
    return _ask(card, {"do": "partner", "offers": [speed + duplex, "pause"]})


def _impair(card: Path, words: Sequence[str]) -> dict[str, Any]:
    return _ask(card, {"do": "impair", "options": ",".join(words)})


def _pcap(card: Path, words: Sequence[str]) -> dict[str, Any]:
    if list(words) == ["stop"]:
        return _ask(card, {"do": "capture"})
    if len(words) != 2 or words[0] != "start":
        raise UsageError("say: pcap start FILE, or pcap stop")
    try:
        descriptor = os.open(
            words[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644
        )
    except OSError as error:
        raise UsageError(f"cannot write {words[1]}: {error.strerror}; name a file you may write") from error
    try:
        return _ask(card, {"do": "capture", "name": words[1]}, descriptor)
    finally:
        os.close(descriptor)


def _ask(card: Path, request: dict[str, Any], descriptor: int | None = None) -> dict[str, Any]:
    from lab.machines.card_control import ask  # noqa: PLC0415 - help needs none of it

    return ask(card, request, descriptor)


VERBS: Final[dict[str, Callable[[Path, Sequence[str]], dict[str, Any]]]] = {
    "plug": lambda card, words: _plainly(card, "plug", words),
    "unplug": lambda card, words: _plainly(card, "unplug", words),
    "reset": lambda card, words: _plainly(card, "reset", words),
    "stats": lambda card, words: _plainly(card, "stats", words),
    "partner": _partner,
    "speed": _speed,
    "impair": _impair,
    "pcap": _pcap,
}
