"""The statistics registers that count frames (datasheet, Statistics Registers); no ring, no wire.

Counters are words of the register file: they saturate at 2**32 - 1, 64-bit octet counters at 2**64 - 1.
Lengths are those on the wire: from the destination address through the FCS.
"""

from __future__ import annotations

from collections import Counter

from device.regs.words import place
from formats.checksum import FCS_SIZE

FULL = 0xFFFF_FFFF
BROADCAST = b"\xff" * 6

GPRC, GPTC, TPR, TPT = place("GPRC"), place("GPTC"), place("TPR"), place("TPT")
BPRC, MPRC, BPTC, MPTC = place("BPRC"), place("MPRC"), place("BPTC"), place("MPTC")
GORCL, GOTCL, TORL, TOTL = place("GORCL"), place("GOTCL"), place("TORL"), place("TOTL")
MPC, RNBC, ROC, RUC = place("MPC"), place("RNBC"), place("ROC"), place("RUC")
TSCTC, TSCTFC = place("TSCTC"), place("TSCTFC")
XONRXC, XOFFRXC, FCRUC = place("XONRXC"), place("XOFFRXC"), place("FCRUC")
XONTXC, XOFFTXC = place("XONTXC"), place("XOFFTXC")
_PTC64, _PRC64 = place("PTC64"), place("PRC64")

MIN_LENGTH = 64
"""The shortest frame of Ethernet in bytes, FCS included; shorter ones are in no size counter."""


def size_class(length: int) -> int:
    """Return which of the six size counters counts a frame of ``length`` ≥ 64 bytes."""
    if length >= 1024:
        return 5
    # 64 → 0, 65…127 → 1, 128…255 → 2, 256…511 → 3, 512…1023 → 4
    return 0 if length == MIN_LENGTH else length.bit_length() - 6


def count(words: list[int], where: int, amount: int = 1) -> None:
    """Add to a 32-bit counter."""
    value = words[where] + amount
    words[where] = min(FULL, value)


def count64(words: list[int], low: int, amount: int) -> None:
    """Add to a 64-bit counter whose low half is the word ``low``."""
    value = (words[low + 1] << 32 | words[low]) + amount
    if value >> 64:
        value = (1 << 64) - 1
    words[low] = value & FULL
    words[low + 1] = value >> 32


def read64_high(words: list[int], low: int) -> int:
    """Return the high half and clear both halves, as a read of the high half does."""
    value = words[low + 1]
    words[low] = words[low + 1] = 0
    return value


def sent(words: list[int], destination: bytes, length: int, frames: int = 1) -> None:
    """Count ``frames`` frames of ``length`` bytes that left."""
    count(words, GPTC, frames)
    count(words, TPT, frames)
    count64(words, GOTCL, length * frames)
    count64(words, TOTL, length * frames)
    if length >= MIN_LENGTH:
        count(words, _PTC64 + size_class(length), frames)
    if destination[0] & 1:
        count(words, BPTC if destination == BROADCAST else MPTC, frames)


def tally(words: list[int], frames: list[bytes]) -> None:
    """Count a burst of frames that left; they are without their FCS."""
    count(words, GPTC, len(frames))
    count(words, TPT, len(frames))
    octets = sum(map(len, frames)) + FCS_SIZE * len(frames)
    count64(words, GOTCL, octets)
    count64(words, TOTL, octets)
    for length, times in Counter(map(len, frames)).items():
        if length + FCS_SIZE >= MIN_LENGTH:
            count(words, _PTC64 + size_class(length + FCS_SIZE), times)
    for frame in frames:
        if frame[0] & 1:
            count(words, BPTC if frame[:6] == BROADCAST else MPTC)


def received(words: list[int], destination: bytes, length: int) -> None:
    """Count a good frame of ``length`` bytes that passed the filters and was stored."""
    count(words, GPRC)
    count64(words, GORCL, length)
    if length >= MIN_LENGTH:
        count(words, _PRC64 + size_class(length))
    if destination[0] & 1:
        count(words, BPRC if destination == BROADCAST else MPRC)


def seen(words: list[int], length: int) -> None:
    """Count a frame of ``length`` bytes that arrived, whatever the filters say of it."""
    count(words, TPR)
    count64(words, TORL, length)
