"""The faults that can be planted in the small driver: mistakes that driver writers make."""

from __future__ import annotations

from typing import Final

FAULTS: Final = {
    "rs-forgotten": "no descriptor asks for a report (RS): completions never come",
    "rs-every-fourth": "every fourth descriptor asks for a report, and DD of each is awaited",
    "tail-off-by-one": "TDT is set to the last descriptor and not behind it: each frame leaves one late",
    "wrong-ivar": "IVAR gives the transmit queue a vector but not the valid bit: no transmit interrupt",
    "stale-receive": "receive descriptors are handed back with DD still set",
    "unaligned-ring": "the transmit ring begins 8 bytes off its 16-byte boundary",
}
