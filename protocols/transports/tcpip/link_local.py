"""169.254/16 addresses when no DHCP server answers (RFC 3927, Windows' APIPA)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.transports.tcpip.interface import InterfaceAddress
from protocols.transports.tcpip.timers import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.tcpip.arp import Arp
    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.interface import Interface

PROBES = 3
PROBE_INTERVAL = 1 * SECOND
ANNOUNCE_WAIT = 2 * SECOND
MAX_CONFLICTS = 10
RATE_LIMIT = 60 * SECOND  # RFC 3927 2.2.1: after ten conflicts, one try a minute


class LinkLocal:
    """Claims an address by probing for it; gives it up when another host has it."""

    def __init__(
        self,
        context: Context,
        interface: Interface,
        arp: Arp,
        add: Callable[[InterfaceAddress], None],
        remove: Callable[[bytes], None],
    ) -> None:
        self._context = context
        self._interface = interface
        self._arp = arp
        self._add = add
        self._remove = remove
        self._timer = context.timers.timer(self._tick)
        self._probes = 0
        self._conflicts = 0
        self._candidate = b""
        self.active = False
        self.address: bytes | None = None

    def start(self) -> None:
        """Begin to claim an address."""
        self.active = True
        self._conflicts = 0
        self._choose(0)

    def stop(self) -> None:
        """Give the address up: a server has been found."""
        self.active = False
        self._timer.stop()
        self._arp.unwatch(self._candidate)
        if self.address is not None:
            self._remove(self.address)
            self.address = None

    def _choose(self, wait: int) -> None:
        # 169.254.1.0 to 169.254.254.255, the first choice made from the MAC (RFC 3927 2.1).
        seed = self._interface.mac + self._conflicts.to_bytes(4)
        host = 256 + self._context.hash32(b"link-local", seed) % (254 * 256)
        self._candidate = b"\xa9\xfe" + host.to_bytes(2)
        self._probes = 0
        self._arp.watch(self._candidate, self._conflict)
        self._timer.start(wait + self._context.random(30))

    def _tick(self) -> None:
        if self._probes < PROBES:
            self._probes += 1
            self._arp.probe(self._candidate)
            last = self._probes == PROBES
            self._timer.start(ANNOUNCE_WAIT if last else PROBE_INTERVAL)
            return
        if self.address is None:
            self.address = self._candidate
            self._arp.unwatch(self._candidate)
            self._add(InterfaceAddress(self._candidate, 16, origin="link-local"))
            self._arp.announce(self._candidate)

    def _conflict(self, mac: bytes) -> None:
        del mac
        self._context.counters["link_local.conflicts"] += 1
        self._arp.unwatch(self._candidate)
        self._conflicts += 1
        self._choose(RATE_LIMIT if self._conflicts >= MAX_CONFLICTS else 0)
