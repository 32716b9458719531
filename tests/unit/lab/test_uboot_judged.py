"""What ``interop uboot`` makes of what U-Boot says."""

from __future__ import annotations

import zlib

from lab.trials.interop.uboot import BLOCK_BYTES, MAC, judge

CONTENT = bytes(range(256)) * 1000
BLOCKS = len(CONTENT) // BLOCK_BYTES + 1
GOOD = (
    f"ethaddr={MAC}",
    "DHCP client bound to address 10.82.57.2 (7 ms)",
    "Using e1000#0 device\nhost 10.82.57.1 is alive",
    "Bytes transferred = 25600 (6400 hex)",
    f"crc32 for 01000000 ... 010063ff ==> {zlib.crc32(CONTENT):08x}",
)


def test_a_session_that_did_everything_is_good() -> None:
    """Five things are seen."""
    seen = judge("x", GOOD, BLOCKS + 3, CONTENT)

    assert [one.good for one in seen] == [True] * 5


def test_each_thing_that_is_wrong_is_told_by_itself() -> None:
    """No address, no lease, no answer, another sum, a PAUSE frame round each frame."""
    bad = ('## Error: "ethaddr" not defined', "Retry time exceeded", "ping failed", "T T T", "==> 00000000")

    for number, text in enumerate(bad):
        said = list(GOOD)
        said[number] = text
        seen = judge("x", said, BLOCKS + 3, CONTENT)
        assert [n for n, one in enumerate(seen) if not one.good] == ([] if number == 3 else [min(number, 3)])
    assert [one.good for one in judge("x", GOOD, 3 * BLOCKS, CONTENT)] == [True, True, True, True, False]
