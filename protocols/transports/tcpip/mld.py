"""MLD for hosts: version 2 reports (RFC 3810), version 1 when such a querier is heard (RFC 2710)."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from formats.ipv6 import HOP_BY_HOP
from formats.transport import ICMPV6
from protocols.transports.tcpip import addresses, icmp
from protocols.transports.tcpip.errors import NetworkError
from protocols.transports.tcpip.ip import SendOptions
from protocols.transports.tcpip.membership import TO_INCLUDE, Membership, response_code
from protocols.transports.tcpip.timers import MILLISECOND

if TYPE_CHECKING:
    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.icmp import Message
    from protocols.transports.tcpip.icmp_layer import IcmpLayer
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.ip import Ip
    from protocols.transports.tcpip.packet import Packet

QUERY = 130
REPORT_V1 = 131
DONE = 132
REPORT_V2 = 143
RECORD = Struct("!BBH16s")
ALL_V2_ROUTERS = b"\xff\x02" + bytes(13) + b"\x16"
# Hop-by-hop header: ICMPv6 next, Router Alert (value 0: MLD, RFC 2711), PadN.
ROUTER_ALERT = bytes((ICMPV6, 0, 5, 2, 0, 0, 1, 0))


class Mld(Membership):
    """IPv6 group membership of all interfaces."""

    def __init__(self, context: Context, ip: Ip, icmp_layer: IcmpLayer) -> None:
        super().__init__(context)
        self._ip = ip
        icmp_layer.handlers6[QUERY] = self._query
        icmp_layer.handlers6[REPORT_V1] = self._heard

    def _silent(self, interface: Interface, group: bytes) -> bool:
        # RFC 3810 6: never for all-nodes, nor for scopes 0 and 1.
        return interface.loopback or group == addresses.IPV6_ALL_NODES or group[1] & 15 < 2

    def _query(self, about: Packet, message: Message) -> None:
        # RFC 3810 6.2: link-local source, hop limit 1; anything else is dropped.
        if not addresses.is_link_local(about.source) or about.ttl != 1 or len(message.body) < 16:
            self._context.counters["mld.in_errors"] += 1
            return
        code = message.rest >> 16
        if len(about.payload) < 28:
            self._heard_older(about.interface)
        else:
            code = response_code(code, 16)
        self._answer(about.interface, bytes(message.body[:16]), max(code, 1) * MILLISECOND)

    def _heard(self, about: Packet, message: Message) -> None:
        self._cancel(about.interface, bytes(message.body[:16]))

    def _report(self, interface: Interface, group: bytes, kind: int) -> None:
        if self._older(interface):
            to = addresses.IPV6_ALL_ROUTERS if kind == TO_INCLUDE else group
            type_, rest, body = (DONE if kind == TO_INCLUDE else REPORT_V1), 0, group
        else:
            to = ALL_V2_ROUTERS
            type_, rest, body = REPORT_V2, 1, RECORD.pack(kind, 0, 0, group)
        # RFC 3590: the unspecified source serves while no link-local address is valid.
        source = next(
            (
                e.address
                for e in interface.addresses.values()
                if len(e.address) == 16 and e.usable and addresses.is_link_local(e.address)
            ),
            addresses.IPV6_ANY,
        )
        try:
            path = self._ip.resolve(to, source, interface)
        except NetworkError:
            return
        raw = icmp.build6(type_, 0, rest, body, (source, to))
        self._context.counters["mld.out_messages"] += 1
        options = SendOptions(ttl=1, ip_options=ROUTER_ALERT, next_header=HOP_BY_HOP)
        self._ip.send(path, ICMPV6, raw, [], options)
