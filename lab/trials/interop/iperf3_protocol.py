"""iperf3's control protocol and UDP packets: values and bytes only, no socket, no clock.

Source: iperf3's documentation ("Invoking iperf3") and its ``src/iperf_api.h``, ``iperf_udp.c`` (states, JSON
names, datagram headers), and what iperf3 3.18 says on the wire.
"""

from __future__ import annotations

import enum
import json
import struct
from dataclasses import dataclass, field
from typing import Any

PORT = 5201
COOKIE_BYTES = 37
"""36 letters and a zero; the first bytes of the control connection and of every TCP stream."""
LONGEST_JSON = 1 << 20
UDP_HELLO = struct.pack("<I", 0x36373839)
UDP_ANSWER = struct.pack("<I", 0x39383736)
_HEADER_32 = struct.Struct("!III")
_HEADER_64 = struct.Struct("!IIQ")


class State(enum.IntEnum):
    """What one side tells the other by a signed byte."""

    TEST_START = 1
    TEST_RUNNING = 2
    TEST_END = 4
    PARAM_EXCHANGE = 9
    CREATE_STREAMS = 10
    SERVER_TERMINATE = 11
    CLIENT_TERMINATE = 12
    EXCHANGE_RESULTS = 13
    DISPLAY_RESULTS = 14
    IPERF_START = 15
    IPERF_DONE = 16
    ACCESS_DENIED = -1
    SERVER_ERROR = -2


class ProtocolError(ValueError):
    """The other side said what the protocol does not allow."""


def state_of(byte: bytes) -> State:
    """Read a state. ProtocolError when there is none such."""
    if len(byte) != 1:
        raise ProtocolError("the control connection ended")
    try:
        return State(struct.unpack("b", byte)[0])
    except ValueError as error:
        raise ProtocolError(f"state {byte[0]}") from error


def emit_json(value: dict[str, Any]) -> bytes:
    """Return a length (four bytes, big-endian) and JSON."""
    text = json.dumps(value).encode()
    return struct.pack("!I", len(text)) + text


def json_bytes(prefix: bytes) -> int:
    """Return how much JSON follows the length. ProtocolError when that is too much."""
    length = int.from_bytes(prefix, "big")
    if len(prefix) != 4 or length > LONGEST_JSON:
        raise ProtocolError(f"a length of {length}")
    return length


def parse_json(text: bytes) -> dict[str, Any]:
    """Read what ``emit_json`` made, without its length. ProtocolError."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ProtocolError("no JSON") from error
    if not isinstance(value, dict):
        raise ProtocolError("no JSON object")
    return value


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the client wants. ``bandwidth`` in bits a second (0: no limit), ``time`` in seconds."""

    udp: bool = False
    time: int = 3
    parallel: int = 1
    reverse: bool = False
    length: int = 131072
    bandwidth: int = 0
    counters_64bit: bool = False

    MOST_STREAMS = 128
    LONGEST = 1 << 20

    @classmethod
    def parse(cls, given: dict[str, Any]) -> Parameters:
        """Read the client's JSON. ProtocolError for what we do not do, or nobody could."""
        if given.get("bidirectional") or given.get("sctp"):
            raise ProtocolError("bidirectional tests and SCTP are not done here")
        try:
            read = cls(
                bool(given.get("udp")),
                int(given.get("time", 0)),
                int(given.get("parallel", 1)),
                bool(given.get("reverse")),
                int(given.get("len", 131072)),
                int(given.get("bandwidth", 0)),
                bool(given.get("udp_counters_64bit")),
            )
        except (TypeError, ValueError) as error:
            raise ProtocolError("parameters that are no numbers") from error
        if not (1 <= read.parallel <= cls.MOST_STREAMS and 16 <= read.length <= cls.LONGEST):
            raise ProtocolError(f"{read.parallel} streams of {read.length} bytes")
        return read

    def emit(self) -> dict[str, Any]:
        """Return the JSON that a client sends."""
        kind: dict[str, Any] = {"udp": True} if self.udp else {"tcp": True}
        return {
            **kind,
            "omit": 0,
            "time": self.time,
            "num": 0,
            "blockcount": 0,
            "parallel": self.parallel,
            **({"reverse": True} if self.reverse else {}),
            "len": self.length,
            "bandwidth": self.bandwidth,
            "pacing_timer": 1000,
            **({"udp_counters_64bit": 1} if self.counters_64bit else {}),
            "client_version": "3.18",
        }


def stream_id(index: int) -> int:
    """Return the number of the stream that was opened as ``index``: 1, 3, 4, 5 … (there is no 2)."""
    return 1 if index == 0 else index + 2


@dataclass(slots=True)
class Counts:
    """One stream's figures. Jitter in seconds (RFC 3550 6.4.1)."""

    bytes: int = 0
    packets: int = 0
    errors: int = 0
    jitter: float = 0.0
    out_of_order: int = 0
    transit: float | None = field(default=None, repr=False)

    def arrived(self, size: int, number: int, transit: float) -> None:
        """Count a datagram: its number from 1, and arrival less departure (any common zero)."""
        self.bytes += size
        if number > self.packets:
            self.errors += number - self.packets - 1
            self.packets = number
        else:
            self.out_of_order += 1
            self.errors = max(self.errors - 1, 0)
        if self.transit is not None:
            self.jitter += (abs(transit - self.transit) - self.jitter) / 16
        self.transit = transit


def results(counts: list[Counts], seconds: float) -> dict[str, Any]:
    """Return the JSON of ``EXCHANGE_RESULTS``."""
    return {
        "cpu_util_total": 0.0,
        "cpu_util_user": 0.0,
        "cpu_util_system": 0.0,
        "sender_has_retransmits": -1,
        "streams": [
            {
                "id": stream_id(index),
                "bytes": one.bytes,
                "retransmits": -1,
                "jitter": one.jitter,
                "errors": one.errors,
                "omitted_errors": 0,
                "packets": one.packets,
                "omitted_packets": 0,
                "start_time": 0,
                "end_time": seconds,
            }
            for index, one in enumerate(counts)
        ],
    }


def emit_datagram(length: int, number: int, now_ns: int, *, wide: bool) -> bytes:
    """Return a datagram of ``length`` bytes: its time and number, and zeros."""
    seconds, rest = divmod(now_ns, 1_000_000_000)
    header = _HEADER_64 if wide else _HEADER_32
    made = header.pack(seconds & 0xFFFF_FFFF, rest // 1000, number)
    return made + bytes(length - len(made))


def parse_datagram(data: bytes | memoryview, *, wide: bool) -> tuple[int, int]:
    """Return a datagram's number and its time in ns. ProtocolError when it is too short."""
    header = _HEADER_64 if wide else _HEADER_32
    if len(data) < header.size:
        raise ProtocolError(f"a datagram of {len(data)} bytes")
    seconds, microseconds, number = header.unpack_from(data)
    return number, seconds * 1_000_000_000 + microseconds * 1000
