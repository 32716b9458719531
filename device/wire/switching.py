"""A learning switch: which ports a frame goes out of.

Sans I/O: frames and *now* in, port numbers out. Source: IEEE 802.1D-2004 sections 7.7 to 7.9
(learning, ageing, forwarding). Beyond them: a station table of bounded size, so that forged
addresses cost no memory.
"""

from __future__ import annotations

from typing import Final

AGEING_NS: Final = 300_000_000_000
"""An address that was silent this long is forgotten: the standard's 300 s."""

MOST_STATIONS: Final = 4096

_GROUP: Final = 0x01  # the I/G bit: broadcast and multicast


class Fabric:
    """The ports and the station table.

    Invariants: the table holds attached ports only; its order is that of the last frame seen,
    oldest first.
    """

    def __init__(self, ageing_ns: int = AGEING_NS, most_stations: int = MOST_STATIONS) -> None:
        self._ageing_ns = ageing_ns
        self._most = most_stations
        self._ports: set[int] = set()
        self._stations: dict[bytes, tuple[int, int]] = {}

    def attach(self, port: int) -> None:
        """Add a port."""
        self._ports.add(port)

    def detach(self, port: int) -> None:
        """Remove a port and forget who was behind it."""
        self._ports.discard(port)
        self._stations = {mac: at for mac, at in self._stations.items() if at[0] != port}

    def forward(self, port: int, frame: bytes, now_ns: int) -> list[int]:
        """Return the ports that ``frame``, which came in by ``port``, leaves by."""
        target, source = frame[0:6], frame[6:12]
        if not source[0] & _GROUP:
            self._learn(source, port, now_ns)
        if not target[0] & _GROUP and (known := self._stations.get(target)) is not None:
            out, seen_ns = known
            if now_ns - seen_ns <= self._ageing_ns:
                return [] if out == port else [out]
            del self._stations[target]
        return sorted(self._ports - {port})

    def _learn(self, source: bytes, port: int, now_ns: int) -> None:
        self._stations.pop(source, None)
        if len(self._stations) >= self._most:
            del self._stations[next(iter(self._stations))]
        self._stations[source] = (port, now_ns)
