"""The attacker's frames: repeatable, of every kind, within an Ethernet frame, and to the victim."""

from __future__ import annotations

import pytest

from formats import ethernet
from lab.trials.interop.hostile_frames import KINDS, LONGEST, Attacker, Ends
from protocols.transports.tcpip.addresses import parse

ENDS = Ends(
    bytes.fromhex("525400825702"),
    parse("10.82.57.9"),
    parse("fe80::9"),
    bytes.fromhex("0200000000ee"),
    parse("10.82.57.1"),
    parse("fe80::ee"),
    7000,
)


def test_the_same_seed_makes_the_same_frames() -> None:
    """And another makes others."""
    first, again, other = (Attacker(ENDS, seed).volley(300) for seed in (5, 5, 6))

    assert first == again
    assert first != other


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_makes_frames_for_the_victim(kind: str) -> None:
    """None longer than a frame may be, none too short for a header."""
    attacker = Attacker(ENDS, 1)

    frames = [frame for _ in range(200) for frame in KINDS[kind](attacker)]

    assert {frame[:6] for frame in frames} == {ENDS.mac}
    assert all(ethernet.HEADER_BYTES <= len(frame) <= LONGEST for frame in frames)


def test_a_volley_counts_what_it_is_made_of() -> None:
    """All kinds come; mutated ones most."""
    attacker = Attacker(ENDS, 2)

    frames = attacker.volley(5000)

    assert sum(attacker.made.values()) == len(frames)
    assert all(attacker.made.values())
    assert max(attacker.made, key=attacker.made.__getitem__) in ("mutated", "syn_flood", "tiny_segments")
