"""IGMP for hosts: version 3 reports (RFC 3376), version 2 when a version 2 querier is heard (2236)."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from formats.checksum import checksum, verifies
from formats.transport import IGMP
from protocols.transports.tcpip import addresses
from protocols.transports.tcpip.errors import NetworkError
from protocols.transports.tcpip.ip import SendOptions
from protocols.transports.tcpip.membership import TO_INCLUDE, Membership, response_code
from protocols.transports.tcpip.timers import MILLISECOND

if TYPE_CHECKING:
    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.icmp import ErrorReport
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.ip import Ip
    from protocols.transports.tcpip.packet import Packet

V2 = Struct("!BBH4s")
V3_REPORT = Struct("!BBHHH")
V3_RECORD = Struct("!BBH4s")
QUERY = 0x11
REPORT_V2 = 0x16
LEAVE = 0x17
REPORT_V3 = 0x22
ALL_ROUTERS = b"\xe0\x00\x00\x02"
ALL_V3_ROUTERS = b"\xe0\x00\x00\x16"
ROUTER_ALERT = b"\x94\x04\x00\x00"


class Igmp(Membership):
    """Group membership of all interfaces; transport for protocol 2."""

    def __init__(self, context: Context, ip: Ip) -> None:
        super().__init__(context)
        self._ip = ip
        ip.transports[IGMP] = self

    def _silent(self, interface: Interface, group: bytes) -> bool:
        return interface.loopback or group == addresses.IPV4_ALL_HOSTS

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
            self._cancel(about.interface, group)
        elif kind == QUERY:
            if len(data) < 12:
                self._heard_older(about.interface)
            self._answer(about.interface, group, max(response_code(code, 8), 1) * 100 * MILLISECOND)

    def _report(self, interface: Interface, group: bytes, kind: int) -> None:
        if self._older(interface):
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
        self._ip.send(path, IGMP, raw, [], SendOptions(ttl=1, ip_options=ROUTER_ALERT))
