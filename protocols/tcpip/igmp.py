"""IGMP for hosts: version 3 reports (RFC 3376), version 2 when a version 2 querier is heard (2236).

Only any-source membership: a join is EXCLUDE {}, a leave INCLUDE {}.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from protocols.tcpip import addresses, packet
from protocols.tcpip.checksum import checksum, verifies
from protocols.tcpip.errors import NetworkError
from protocols.tcpip.ip import SendOptions
from protocols.tcpip.timers import MILLISECOND, SECOND, Timer

if TYPE_CHECKING:
    from protocols.tcpip.context import Context
    from protocols.tcpip.icmp import ErrorReport
    from protocols.tcpip.interface import Interface
    from protocols.tcpip.ip import Ip
    from protocols.tcpip.packet import Packet

V2 = Struct("!BBH4s")
V3_REPORT = Struct("!BBHHH")
V3_RECORD = Struct("!BBH4s")
QUERY = 0x11
REPORT_V2 = 0x16
LEAVE = 0x17
REPORT_V3 = 0x22
IS_EXCLUDE = 2
TO_INCLUDE = 3
TO_EXCLUDE = 4
ALL_ROUTERS = b"\xe0\x00\x00\x02"
ALL_V3_ROUTERS = b"\xe0\x00\x00\x16"
ROUTER_ALERT = b"\x94\x04\x00\x00"
ROBUSTNESS = 2
UNSOLICITED_INTERVAL = 1 * SECOND
OLDER_QUERIER_TIMEOUT = 260 * SECOND  # 2 * 125 s + 10 s (RFC 3376 8.12)
MAX_PENDING = 256


class Igmp:
    """Group membership of all interfaces; transport for protocol 2."""

    def __init__(self, context: Context, ip: Ip) -> None:
        """Hang in under IP."""
        self._context = context
        self._ip = ip
        self._v2_until: dict[int, int] = {}
        self._pending: dict[tuple[int, bytes], Timer] = {}
        ip.transports[packet.IGMP] = self

    def joined(self, interface: Interface, group: bytes) -> None:
        """Report a new group, and once more in case the first is lost."""
        if group == addresses.IPV4_ALL_HOSTS or interface.loopback:
            return
        self._report(interface, group, TO_EXCLUDE)
        self._schedule(interface, group, UNSOLICITED_INTERVAL, TO_EXCLUDE)

    def left(self, interface: Interface, group: bytes) -> None:
        """Report that nobody here is in the group any more."""
        timer = self._pending.pop((interface.index, group), None)
        if timer is not None:
            timer.stop()
        if group != addresses.IPV4_ALL_HOSTS and not interface.loopback:
            self._report(interface, group, TO_INCLUDE)

    def icmp_error(self, report: ErrorReport) -> None:
        """Ignore errors: IGMP has no one to tell."""

    def receive(self, about: Packet) -> None:
        """Handle a query, or another host's version 2 report."""
        count = self._context.counters
        data = about.payload
        if len(data) < V2.size or not verifies(data):
            count["igmp.in_errors"] += 1
            return
        kind, code, _, group = V2.unpack_from(data)
        count["igmp.in_messages"] += 1
        if kind == REPORT_V2:
            # RFC 2236 3: somebody else has answered for the group.
            timer = self._pending.pop((about.interface.index, group), None)
            if timer is not None:
                timer.stop()
        elif kind == QUERY:
            if len(data) < 12:
                self._v2_until[about.interface.index] = self._context.now + OLDER_QUERIER_TIMEOUT
            self._answer(about.interface, group, code)

    def _answer(self, interface: Interface, group: bytes, code: int) -> None:
        if code >= 128:  # RFC 3376 4.1.1: a small floating point number
            code = ((code & 0x0F) | 0x10) << (((code >> 4) & 7) + 3)
        longest = max(code, 1) * 100 * MILLISECOND
        asked = [g for g in interface.groups if len(g) == 4 and g != addresses.IPV4_ALL_HOSTS]
        if not addresses.is_unspecified(group):
            asked = [g for g in asked if g == group]
        for one in asked:
            delay = self._context.random(32) * longest >> 32
            self._schedule(interface, one, delay, IS_EXCLUDE)

    def _schedule(self, interface: Interface, group: bytes, delay: int, kind: int) -> None:
        key = (interface.index, group)
        if len(self._pending) >= MAX_PENDING and key not in self._pending:
            return

        def send() -> None:
            self._pending.pop(key, None)
            if group in interface.groups:
                self._report(interface, group, kind)

        old = self._pending.get(key)
        if old is not None:
            old.stop()
        self._pending[key] = self._context.timers.timer(send)
        self._pending[key].start(delay)

    def _report(self, interface: Interface, group: bytes, kind: int) -> None:
        if self._v2_until.get(interface.index, -1) >= self._context.now:
            leaving = kind == TO_INCLUDE
            to = ALL_ROUTERS if leaving else group
            raw = V2.pack(LEAVE if leaving else REPORT_V2, 0, 0, group)
        else:
            to = ALL_V3_ROUTERS
            raw = V3_REPORT.pack(REPORT_V3, 0, 0, 0, 1) + V3_RECORD.pack(kind, 0, 0, group)
        raw = raw[:2] + checksum(raw).to_bytes(2) + raw[4:]
        try:
            path = self._ip.resolve(to, None, interface)
        except NetworkError:
            return
        self._context.counters["igmp.out_messages"] += 1
        self._ip.send(path, packet.IGMP, raw, [], SendOptions(ttl=1, ip_options=ROUTER_ALERT))
