"""AARP: a node's own address by probes, and the others' by requests. Source: Inside AppleTalk, chapter 2."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from formats.appletalk import AARP_SNAP, BROADCAST, LAST_NODE, STARTUP, Aarp, AarpFunction, NodeAddress

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from protocols.transports.appletalk.parameters import AppletalkParameters

NO_MAC = bytes(6)


@dataclass(slots=True)
class Asking:
    """An address that is asked for, and the packets that wait for it."""

    due_ns: int
    tries: int
    held: deque[bytes] = field(default_factory=deque)


@dataclass(slots=True)
class Claim:
    """Our own address on trial: ``left`` probes are to go."""

    address: NodeAddress
    networks: tuple[int, int]
    left: int
    due_ns: int


class Resolver:
    """A card's AARP. ``emit`` takes destination MAC, SNAP and payload; ``claimed`` is told our address."""

    def __init__(  # noqa: PLR0917 - the node's ways out, chance and times
        self,
        mac: bytes,
        emit: Callable[[bytes, tuple[bytes, int], bytes], None],
        send_datagram: Callable[[bytes, bytes], None],
        claimed: Callable[[], None],
        chance: random.Random,
        parameters: AppletalkParameters,
    ) -> None:
        """Begin without an address."""
        self.mac = mac
        self.address: NodeAddress | None = None
        self.claim: Claim | None = None
        self.counters = dict.fromkeys(("conflicts", "unresolved", "held_overflow", "malformed"), 0)
        self.mappings: dict[NodeAddress, tuple[bytes, int]] = {}
        self._asking: dict[NodeAddress, Asking] = {}
        self._emit, self._send_datagram, self._claimed = emit, send_datagram, claimed
        self._chance, self._parameters = chance, parameters

    def acquire(
        self, now_ns: int, networks: tuple[int, int] = STARTUP, hint: NodeAddress | None = None
    ) -> None:
        """Try for an address in ``networks``; ``hint`` first, if it lies there."""
        low, high = networks
        if hint is None or not low <= hint.network <= high or not 1 <= hint.node <= LAST_NODE:
            hint = NodeAddress(self._chance.randint(low, high), self._chance.randint(1, LAST_NODE))
        self.address = None
        self.claim = Claim(hint, networks, self._parameters.probes, now_ns)

    def send(self, to: NodeAddress, payload: bytes, now_ns: int) -> None:
        """Send a datagram to a node of this cable, once its MAC address is known."""
        known = self.mappings.get(to)
        if known is not None and known[1] > now_ns:
            self._send_datagram(known[0], payload)
            return
        self.mappings.pop(to, None)
        asking = self._asking.get(to)
        if asking is None:
            if len(self._asking) >= self._parameters.pending_limit:
                self.counters["held_overflow"] += 1
                return
            asking = self._asking[to] = Asking(now_ns, self._parameters.requests)
        if len(asking.held) >= self._parameters.held_limit:
            self.counters["held_overflow"] += 1
            return
        asking.held.append(payload)

    def receive(self, raw: bytes, now_ns: int) -> None:
        """Take an AARP packet."""
        packet = Aarp.parse(raw)
        if packet is None:
            self.counters["malformed"] += 1
            return
        if packet.mac == self.mac:
            return
        is_probe = packet.function is AarpFunction.PROBE
        if self.claim is not None and self._objects(packet, self.claim.address):
            self.counters["conflicts"] += 1
            self.acquire(now_ns, self.claim.networks)
            return
        if is_probe:
            self.mappings.pop(packet.wanted, None)
        else:
            self._learn(packet.address, packet.mac, now_ns)
        if self.address is None or packet.function is AarpFunction.RESPONSE or packet.wanted != self.address:
            return
        answer = Aarp(AarpFunction.RESPONSE, self.mac, self.address, packet.mac, packet.address)
        self._emit(packet.mac, AARP_SNAP, answer.emit())

    def advance(self, now_ns: int) -> None:
        """Send the probes and requests that are due."""
        claim = self.claim
        if claim is not None and claim.due_ns <= now_ns:
            if claim.left:
                claim.left -= 1
                claim.due_ns = now_ns + self._parameters.probe_ns
                self._ask(AarpFunction.PROBE, claim.address, claim.address)
            else:
                self.address, self.claim = claim.address, None
                self._claimed()
        for wanted, asking in list(self._asking.items()):
            if asking.due_ns > now_ns:
                continue
            if not asking.tries or self.address is None:
                self.counters["unresolved"] += len(asking.held)
                del self._asking[wanted]
                continue
            asking.tries -= 1
            asking.due_ns = now_ns + self._parameters.request_ns
            self._ask(AarpFunction.REQUEST, self.address, wanted)

    def next_deadline(self) -> int | None:
        """Return when ``advance`` is due."""
        due = [one.due_ns for one in self._asking.values()]
        if self.claim is not None:
            due.append(self.claim.due_ns)
        return min(due, default=None)

    @staticmethod
    def _objects(packet: Aarp, address: NodeAddress) -> bool:
        """Whether another station has our address, or is trying for it."""
        if packet.function is AarpFunction.PROBE:
            return packet.wanted == address
        return packet.address == address

    def _ask(self, function: AarpFunction, ours: NodeAddress, wanted: NodeAddress) -> None:
        self._emit(BROADCAST, AARP_SNAP, Aarp(function, self.mac, ours, NO_MAC, wanted).emit())

    def _learn(self, address: NodeAddress, mac: bytes, now_ns: int) -> None:
        if address == self.address or not 1 <= address.node <= LAST_NODE or mac[0] & 1:
            return
        if address not in self.mappings and len(self.mappings) >= self._parameters.mappings_limit:
            del self.mappings[next(iter(self.mappings))]
        self.mappings[address] = (mac, now_ns + self._parameters.mapping_ns)
        waiting = self._asking.pop(address, None)
        for payload in waiting.held if waiting is not None else ():
            self._send_datagram(mac, payload)
