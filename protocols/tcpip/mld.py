"""MLD for hosts: version 2 reports (RFC 3810), version 1 when such a querier is heard (RFC 2710)."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from protocols.tcpip import addresses, icmp, packet
from protocols.tcpip.errors import NetworkError
from protocols.tcpip.ip import SendOptions
from protocols.tcpip.ipv6 import HOP_BY_HOP
from protocols.tcpip.timers import MILLISECOND, SECOND, Timer

if TYPE_CHECKING:
    from protocols.tcpip.context import Context
    from protocols.tcpip.icmp import Message
    from protocols.tcpip.icmp_layer import IcmpLayer
    from protocols.tcpip.interface import Interface
    from protocols.tcpip.ip import Ip
    from protocols.tcpip.packet import Packet

QUERY = 130
REPORT_V1 = 131
DONE = 132
REPORT_V2 = 143
RECORD = Struct("!BBH16s")
IS_EXCLUDE = 2
TO_INCLUDE = 3
TO_EXCLUDE = 4
ALL_V2_ROUTERS = b"\xff\x02" + bytes(13) + b"\x16"
# Hop-by-hop header: ICMPv6 next, Router Alert (value 0: MLD, RFC 2711), PadN.
ROUTER_ALERT = bytes((packet.ICMPV6, 0, 5, 2, 0, 0, 1, 0))
OLDER_QUERIER_TIMEOUT = 260 * SECOND
UNSOLICITED_INTERVAL = 1 * SECOND
MAX_PENDING = 256


class Mld:
    """IPv6 group membership of all interfaces."""

    def __init__(self, context: Context, ip: Ip, icmp_layer: IcmpLayer) -> None:
        """Hang in under ICMPv6."""
        self._context = context
        self._ip = ip
        self._v1_until: dict[int, int] = {}
        self._pending: dict[tuple[int, bytes], Timer] = {}
        icmp_layer.handlers6[QUERY] = self._query
        icmp_layer.handlers6[REPORT_V1] = self._heard

    def joined(self, interface: Interface, group: bytes) -> None:
        """Report a new group, and once more in case the first is lost."""
        if _silent(interface, group):
            return
        self._report(interface, group, TO_EXCLUDE)
        self._schedule(interface, group, UNSOLICITED_INTERVAL, TO_EXCLUDE)

    def left(self, interface: Interface, group: bytes) -> None:
        """Report that nobody here is in the group any more."""
        timer = self._pending.pop((interface.index, group), None)
        if timer is not None:
            timer.stop()
        if not _silent(interface, group):
            self._report(interface, group, TO_INCLUDE)

    def _query(self, about: Packet, message: Message) -> None:
        # RFC 3810 6.2: link-local source, hop limit 1; anything else is dropped.
        if not addresses.is_link_local(about.source) or about.ttl != 1 or len(message.body) < 16:
            self._context.counters["mld.in_errors"] += 1
            return
        interface = about.interface
        group = bytes(message.body[:16])
        if len(about.payload) < 28:
            self._v1_until[interface.index] = self._context.now + OLDER_QUERIER_TIMEOUT
        code = message.rest >> 16
        if code >= 0x8000 and len(about.payload) >= 28:
            code = ((code & 0x0FFF) | 0x1000) << (((code >> 12) & 7) + 3)
        asked = [g for g in interface.groups if len(g) == 16 and not _silent(interface, g)]
        if not addresses.is_unspecified(group):
            asked = [g for g in asked if g == group]
        for one in asked:
            delay = self._context.random(32) * max(code, 1) * MILLISECOND >> 32
            self._schedule(interface, one, delay, IS_EXCLUDE)

    def _heard(self, about: Packet, message: Message) -> None:
        timer = self._pending.pop((about.interface.index, bytes(message.body[:16])), None)
        if timer is not None:
            timer.stop()

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
        v1 = self._v1_until.get(interface.index, -1) >= self._context.now
        if v1:
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
        self._ip.send(path, packet.ICMPV6, raw, [], options)


def _silent(interface: Interface, group: bytes) -> bool:
    # RFC 3810 6: never for all-nodes, nor for scopes 0 and 1.
    return interface.loopback or group == addresses.IPV6_ALL_NODES or group[1] & 15 < 2
