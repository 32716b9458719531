"""The options that sockets and transports know by name, and which values each takes.

One table for Winsock, AFD, TDI, WSK and TLNPI: a value is checked wherever it enters, so that nothing that a
program sets can fail to fit a packet's field later. A value is what its C type holds: a number of 32 bits or
its bytes. Sources: setsockopt, "SOL_SOCKET Socket Options", "IPPROTO_IP Socket Options", "IPPROTO_TCP Socket
Options" (Microsoft); Wine's ``dlls/ws2_32/tests/sock.c``, test_set_getsockopt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INT_BYTES = 4
DWORD = 1 << 32
INT_MAX = (1 << 31) - 1
MOST_SECONDS = (DWORD - 1) // 1000


class OptionError(ValueError):
    """A value that an option does not take. ``is_type``: it is no value of the option's type at all."""

    def __init__(self, name: str, value: object, *, is_type: bool = False) -> None:
        super().__init__(f"{name} {value!r}")
        self.is_type = is_type


class Range(NamedTuple):
    """The numbers that an option takes, both ends included."""

    lowest: int
    highest: int


def _number(name: str, value: object) -> int:
    """Return a number of 32 bits, signed or not, or the number that bytes hold."""
    if isinstance(value, bytes | bytearray | memoryview):
        raw = bytes(value[:INT_BYTES])
        if not raw:
            raise OptionError(name, value, is_type=True)
        return int.from_bytes(raw, "little", signed=len(raw) == INT_BYTES)
    if not isinstance(value, int):
        raise OptionError(name, value, is_type=True)
    if not -DWORD // 2 <= value < DWORD:
        raise OptionError(name, value)
    return int(value)


def _flag(name: str, value: object) -> int:
    """Return a BOOL as 0 or 1."""
    return int(bool(_number(name, value)))


def _milliseconds(name: str, value: object) -> int:
    """Return a DWORD; -1 is INFINITE."""
    return _number(name, value) % DWORD


def _linger(name: str, value: object) -> int | None:
    """Return LINGER's seconds, a u_short; None for off. Taken: seconds, None, (l_onoff, l_linger), bytes."""
    if value is None:
        return None
    if isinstance(value, bytes | bytearray | memoryview):
        if len(value) < INT_BYTES:
            raise OptionError(name, value, is_type=True)
        value = int.from_bytes(value[:2], "little"), int.from_bytes(value[2:4], "little")
    if isinstance(value, tuple):
        if len(value) != 2:
            raise OptionError(name, value, is_type=True)
        is_on, seconds = (_number(name, one) for one in value)
        return _linger(name, seconds) if is_on else None
    seconds = _number(name, value)
    if not 0 <= seconds <= 0xFFFF:
        raise OptionError(name, value)
    return seconds


def _interface(name: str, value: object) -> int | bytes:
    """Return an interface's index, or the four bytes of an address of its own (an IN_ADDR)."""
    if isinstance(value, bytes):
        if len(value) != INT_BYTES:
            raise OptionError(name, value, is_type=True)
        # 0.0.0.x is the index x ("IPPROTO_IP Socket Options", IP_MULTICAST_IF).
        return value if value[0] else int.from_bytes(value)
    found = _number(name, value)
    if not 0 <= found <= INT_MAX:
        raise OptionError(name, value)
    return found


def _group(name: str, value: object) -> tuple[bytes, int | bytes]:
    """Return IP_MREQ or IPV6_MREQ: a group's address, and the interface."""
    if not isinstance(value, tuple) or len(value) != 2:
        raise OptionError(name, value, is_type=True)
    group, interface = value
    if not isinstance(group, bytes) or len(group) not in (4, 16):
        raise OptionError(name, value, is_type=True)
    is_group = group[0] == 0xFF if len(group) == 16 else group[0] >> 4 == 0xE
    if not is_group:
        raise OptionError(name, value)
    return group, _interface(name, interface)


RANGES: dict[str, Range] = {
    "ttl": Range(0, 255),  # 0: as the transport would by itself
    "tos": Range(0, 255),
    "multicast_ttl": Range(0, 255),
    "send_buffer": Range(0, INT_MAX),
    "receive_buffer": Range(0, INT_MAX),
    "keepalive_s": Range(1, MOST_SECONDS),
    "keepalive_interval_s": Range(1, MOST_SECONDS),
    "keepalive_ms": Range(0, DWORD - 1),
    "keepalive_interval_ms": Range(0, DWORD - 1),
    "keepalive_probes": Range(0, 255),
}
FLAGS = frozenset(
    {
        *("reuse", "exclusive", "keepalive", "broadcast", "debug", "dont_route", "oob_inline"),
        *("multicast_loop", "dont_fragment", "packet_info", "v6_only", "no_delay"),
        *("port_unreachable", "hops_exceeded", "circular"),
    }
)
OTHERS: dict[str, Callable[[str, object], object]] = {
    "send_timeout_ms": _milliseconds,
    "receive_timeout_ms": _milliseconds,
    "linger": _linger,
    "multicast_interface": _interface,
    "join": _group,
    "leave": _group,
}


def checked(name: str, value: object) -> Any:  # noqa: ANN401 - each option has its own type
    """Return the value as it is kept. OptionError; what is not in the table passes as it is."""
    if name in FLAGS:
        return _flag(name, value)
    if name in OTHERS:
        return OTHERS[name](name, value)
    if name not in RANGES:
        return value
    found = _number(name, value)
    if not RANGES[name].lowest <= found <= RANGES[name].highest:
        raise OptionError(name, value)
    return found


def checked_all(values: Mapping[str, object]) -> dict[str, Any]:
    """Return all values as they are kept. OptionError."""
    return {name: checked(name, value) for name, value in values.items()}
