"""Wake-up frames: which of WUFC's filters a frame meets, and what the card keeps of the first one.

Source: datasheet, Wake-up (WUC, WUFC, WUS, IPAV, IP4AT, IP6AT, WUPL, WUPM); Linux e1000e
netdev.c (__e1000_shutdown arms it, __e1000_resume reads WUS). Flexible filters: "Flexible Filter" (6.4.3.3)
and FFLT in Intel's Software Developer's Manual of the PCI/PCI-X family, whose tables these are; at least two
bytes long (82575EB Software Developer's Manual, "Flexible Filter"); no driver that we know sets them.

It does not know power states: whoever calls says that the card sleeps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device.effects import WakeRaised
from device.regs.nic import NIC
from device.regs.words import place

if TYPE_CHECKING:
    from device.engine.reference.core import Core

_WUC, _WUFC, _WUS = place("WUC"), place("WUFC"), place("WUS")
_WUPL, _WUPM, _RAL = place("WUPL"), place("WUPM"), place("RAL")
_IPAV, _IP4AT, _IP6AT = place("IPAV"), place("IP4AT"), place("IP6AT")
_PME_EN = NIC["WUC"]["PME_EN"].mask
_MAG, _EX, _MC, _BC, _ARP, _IPV4, _IPV6 = (
    NIC["WUFC"][name].mask for name in ("MAG", "EX", "MC", "BC", "ARP", "IPV4", "IPV6")
)
_FLX = NIC["WUFC"]["FLX"]
_FFLT, _FFMT, _FFVT = place("FFLT"), place("FFMT"), place("FFVT")
_TABLE_STRIDE: Final = 2  # words from one row of a filter table to the next
_FILTERED: Final = 128  # bytes that flexible filters see
_LEAST_FILTER: Final = 2  # bytes
_BROADCAST: Final = b"\xff" * 6
_KEPT: Final = 128  # bytes of WUPM
_IP4_ADDRESSES: Final = 4
_IP4_STRIDE: Final = 2  # words from one IP4AT to the next
_V6_VALID: Final = 1 << 16  # IPAV.V60
_ARP_TYPE, _IPV4_TYPE, _IPV6_TYPE = b"\x08\x06", b"\x08\x00", b"\x86\xdd"
_REQUEST: Final = b"\x00\x01"


def armed(words: list[int]) -> bool:
    """Tell whether a sleeping card compares frames at all (WUC.PME_EN)."""
    return bool(words[_WUC] & _PME_EN)


def met(words: list[int], frame: bytes, *, exact: bool) -> int:
    """Return the filters that a frame meets, as bits of WUFC; ``exact``: it is for one of RAL."""
    destination, kind = frame[:6], frame[12:14]
    found = _cast(destination, exact=exact)
    mac = words[_RAL].to_bytes(4, "little") + (words[_RAL + 1] & 0xFFFF).to_bytes(2, "little")
    if _BROADCAST + mac * 16 in frame[12:]:
        found |= _MAG
    if kind == _ARP_TYPE and frame[20:22] == _REQUEST and _ours(words, frame[38:42]):
        found |= _ARP
    elif kind == _IPV4_TYPE and frame[14:15] == b"\x45" and found & _EX and _ours(words, frame[30:34]):
        found |= _IPV4
    elif kind == _IPV6_TYPE and found & _EX and _ours6(words, frame[38:54]):
        found |= _IPV6
    wanted = words[_WUFC]
    for index in range(_FLX.mask.bit_count()):
        bit = 1 << index << _FLX.low
        if wanted & bit and _flexible(words, frame, index):
            found |= bit
    return found & wanted


def consider(core: Core, frame: bytes, *, exact: bool) -> None:
    """Compare a frame; the first that wakes is kept, and each filter is announced once."""
    words = core.words
    found = met(words, frame, exact=exact)
    if not found & ~words[_WUS]:
        return
    if not words[_WUS]:
        words[_WUPL] = len(frame)
        kept = frame[:_KEPT].ljust(_KEPT, b"\0")
        for index in range(_KEPT // 4):
            words[_WUPM + index] = int.from_bytes(kept[4 * index : 4 * index + 4], "little")
    core.effects.append(WakeRaised(found & ~words[_WUS]))
    words[_WUS] |= found


def _cast(destination: bytes, *, exact: bool) -> int:
    if destination == _BROADCAST:
        return _BC
    if destination[0] & 1:
        return _MC
    return _EX if exact else 0


def _flexible(words: list[int], frame: bytes, index: int) -> bool:
    """Tell whether a frame passes a flexible filter: long enough, and no masked byte up to there differs."""
    length = words[_FFLT + _TABLE_STRIDE * index]
    if not _LEAST_FILTER <= length <= len(frame):
        return False
    for at, byte in enumerate(frame[: min(length, _FILTERED)]):
        row = _TABLE_STRIDE * at
        if words[_FFMT + row] >> index & 1 and words[_FFVT + row] >> 8 * index & 0xFF != byte:
            return False
    return True


def _ours(words: list[int], address: bytes) -> bool:
    """Tell whether an IPv4 address is one of the valid ones of IP4AT (IPAV.V40 to V43)."""
    return any(
        words[_IPAV] >> index & 1 and words[_IP4AT + _IP4_STRIDE * index].to_bytes(4, "little") == address
        for index in range(_IP4_ADDRESSES)
    )


def _ours6(words: list[int], address: bytes) -> bool:
    kept = b"".join(words[_IP6AT + index].to_bytes(4, "little") for index in range(4))
    return bool(words[_IPAV] & _V6_VALID) and kept == address
