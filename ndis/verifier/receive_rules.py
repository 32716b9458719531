"""Rules about frames on their way up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.events import Event, Kind
from ndis.filter8023 import BROADCAST, PacketFilter
from ndis.nbl import NetBufferList
from ndis.packet import Owner, Packet, PacketInfo
from ndis.verifier.rule import Actor, Rule, block

if TYPE_CHECKING:
    from ndis.verifier.rule import Watch

HEADER_BYTES = 14
VLAN_BYTES = 4
LARGEST_IP_BYTES = 0xFFFF


class Inspected(Rule):
    """Once indicated, a packet may be gone before the call returns."""

    NUMBER = "V09"
    TITLE = "receive packet inspected after its indication, before its return"
    KINDS = frozenset({Kind.TOUCH})

    def see(self, event: Event) -> str | None:
        """Catch a driver that looks into a packet of its own that protocols have."""
        packet = event.subject
        if not isinstance(packet, Packet) or packet.pool is None:
            return None
        driver = self.verifier.actor(event.context) is Actor.MINIPORT
        lent = packet.pool.holder is Owner.MINIPORT and packet.owner is Owner.PROTOCOL
        return f"the driver looks into {packet!r}" if driver and lent else None


class KeptResources(Rule):
    """RESOURCES means that the driver needs it back at once."""

    NUMBER = "V10"
    TITLE = "RESOURCES packet retained by a protocol"
    KINDS = frozenset({Kind.RETAINED})

    def see(self, event: Event) -> str | None:
        """Look at the status it was indicated with."""
        if event.details["resources"]:
            return f"{event.details['open']!r} keeps {event.subject!r}"
        return None


class ReturnedTooOften(Rule):
    """A return that no reference answers to."""

    NUMBER = "V11"
    TITLE = "packet returned more often than taken, or unknown"
    KINDS = frozenset({Kind.RETURN})

    def see(self, event: Event) -> str | None:
        """Look into the account of packets that protocols hold."""
        subject = event.subject
        if isinstance(subject, NetBufferList):
            known = subject.packet is not None or subject.references > 0
        else:
            known = subject in block(event).receives.taken
        return None if known else f"{subject!r} returned"


class WrongMoment(Rule):
    """Frames and statuses only from a running adapter."""

    NUMBER = "V23"
    TITLE = "indication before Initialize has returned, after Halt, while paused or in reset"
    KINDS = frozenset({Kind.INDICATE})

    def see(self, event: Event) -> str | None:
        """Look at the adapter's state."""
        adapter = block(event)
        if not adapter.may_indicate:
            return f"indicated while {adapter.state.name}"
        inside = {"reset", "reset_ex"} & set(self.verifier.handlers(event.context))
        return "indicated from inside Reset" if inside else None


class Unwanted(Rule):
    """A card whose filter lets through what nobody asked for."""

    NUMBER = "V26"
    TITLE = "frame indicated that the packet filter excludes"
    KINDS = frozenset({Kind.INDICATE})

    def see(self, event: Event) -> str | None:
        """Judge by the kind of address only: cards may hash multicast addresses."""
        library = block(event).filter
        asked = library.packet_filter
        if asked & PacketFilter.PROMISCUOUS:
            return None
        destination = _first_bytes(event)[:6]
        if not destination:
            return None
        if destination == BROADCAST:
            fits = bool(asked & PacketFilter.BROADCAST)
        elif destination[0] & 1:
            fits = bool(asked & (PacketFilter.MULTICAST | PacketFilter.ALL_MULTICAST))
        else:
            fits = bool(asked & PacketFilter.DIRECTED) and destination == library.address
        return None if fits else f"to {destination.hex(':')} with filter {asked!r}"


class BadLength(Rule):
    """Frames that are not frames."""

    NUMBER = "V27"
    TITLE = "runt, oversize or wrong lengths indicated"
    KINDS = frozenset({Kind.INDICATE})

    def see(self, event: Event) -> str | None:
        """Compare lengths with each other and with OID_GEN_MAXIMUM_TOTAL_SIZE."""
        limit = block(event).max_total_size + VLAN_BYTES
        subject = event.subject
        if isinstance(subject, Packet | NetBufferList) and PacketInfo.TCP_RECV_SEG_COALESCE in subject.info:
            limit = HEADER_BYTES + LARGEST_IP_BYTES  # a unit of several frames
        if event.name == "lookahead":
            header, size = event.details["header"], event.details["size"]
            if event.details["lookahead"] > size:
                return f"{event.details['lookahead']} bytes of lookahead of {size}"
            length = len(header) + size
        elif isinstance(subject, Packet):
            raw = subject.snapshot()
            length = len(raw)
            if subject.header_size > len(subject.peek(length)):
                return f"header of {subject.header_size} bytes does not lie in the first buffer"
        else:
            length = len(_first_bytes(event))
        if length < HEADER_BYTES:
            return f"runt of {length} bytes"
        return f"{length} bytes, at most {limit} fit" if length > limit else None


class ResetPairs(Rule):
    """RESET_START and RESET_END come in pairs; a reset completes once."""

    NUMBER = "V24"
    TITLE = "reset does not end, or completes twice"
    KINDS = frozenset({Kind.RESET_BEGIN, Kind.RESET_COMPLETE, Kind.RESET_END, Kind.TIMER_TICK})
    LIMIT_NS = 10_000_000_000

    def __init__(self, verifier: Watch) -> None:
        """No reset is going on."""
        super().__init__(verifier)
        self._since_ns: dict[str, int] = {}
        self._completed: set[str] = set()

    def see(self, event: Event) -> str | None:
        """Follow one reset."""
        name = event.adapter
        if event.kind is Kind.RESET_BEGIN:
            self._since_ns[name] = event.at_ns
            self._completed.discard(name)
        elif event.kind is Kind.RESET_COMPLETE:
            if name not in self._since_ns or name in self._completed:
                return "reset completed that does not pend"
            self._completed.add(name)
        elif event.kind is Kind.RESET_END:
            self._since_ns.pop(name, None)
        elif name in self._since_ns and event.at_ns - self._since_ns[name] > self.LIMIT_NS:
            return f"reset began at {self._since_ns.pop(name) / 1e9:.1f} s and has not ended"
        return None


class NotRestored(Rule):
    """After AddressingReset the card must take its filter again."""

    NUMBER = "V25"
    TITLE = "packet filter or multicast list not restored after AddressingReset"
    KINDS = frozenset({Kind.RESET_COMPLETE, Kind.REQUEST_COMPLETE, Kind.RESET_END})

    def __init__(self, verifier: Watch) -> None:
        """Nothing is to be restored."""
        super().__init__(verifier)
        self._restoring: dict[str, list[str]] = {}

    def see(self, event: Event) -> str | None:
        """Look at how the driver takes each setting."""
        name = event.adapter
        if event.kind is Kind.RESET_COMPLETE and event.details["addressing"]:
            self._restoring[name] = []
        elif event.kind is Kind.REQUEST_COMPLETE and name in self._restoring:
            if event.name != "SUCCESS":
                self._restoring[name].append(f"{event.subject!r}: {event.name}")
        elif event.kind is Kind.RESET_END:
            failed = self._restoring.pop(name, [])
            return "; ".join(failed) or None
        return None


class LinkRepeated(Rule):
    """A link status is news."""

    NUMBER = "V38"
    TITLE = "link status repeated without a change"
    KINDS = frozenset({Kind.STATUS})

    def see(self, event: Event) -> str | None:
        """Compare with what NDIS knows."""
        known = "MEDIA_CONNECT" if block(event).media_connected else "MEDIA_DISCONNECT"
        return f"{event.name} again" if event.name == known else None


def _first_bytes(event: Event) -> bytes:
    subject = event.subject
    if isinstance(subject, Packet):
        return subject.snapshot()
    if isinstance(subject, NetBufferList):
        return subject.data
    header: bytes = event.details.get("header", b"")
    return header


RECEIVE_RULES: tuple[type[Rule], ...] = (
    Inspected,
    KeptResources,
    ReturnedTooOften,
    WrongMoment,
    ResetPairs,
    NotRestored,
    Unwanted,
    BadLength,
    LinkRepeated,
)
