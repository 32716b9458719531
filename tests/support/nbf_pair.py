"""NetBIOS stations on a wire that loses, duplicates and reorders, in virtual time. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.executive.contract import SECOND
from protocols.interfaces.llc import Station
from protocols.transports.nbf.parameters import FUNCTIONAL_ADDRESS
from protocols.transports.nbf.station import NbfStation
from tests.support.lossy_wire import LossyWire

if TYPE_CHECKING:
    from formats.llc import LlcFrame
    from protocols.transports.nbf.parameters import EndReason, NbfParameters
    from protocols.transports.nbf.session import Session


def name(text: str, suffix: int = 0) -> bytes:
    """Return a NetBIOS name."""
    return text.encode().ljust(15) + bytes((suffix,))


class Client:
    """A client of a session: takes all, or ``room`` bytes at a time."""

    def __init__(self, session: Session | None = None, room: int | None = None) -> None:
        self.session = session
        self.messages: list[bytes] = []
        self.partial = b""
        self.reasons: list[EndReason] = []
        self.opens = 0
        self.room = room
        """Bytes that are asked for; None: any number."""

    def opened(self) -> None:
        """Count."""
        self.opens += 1

    def receive(self, data: bytes, *, is_last: bool) -> int | None:
        """Take what there is room for."""
        if self.room is not None and self.room <= 0:
            return None
        taken = len(data) if self.room is None else min(self.room, len(data))
        if self.room is not None:
            self.room -= max(taken, 1)
        self.partial += data[:taken]
        if is_last and taken == len(data):
            self.messages.append(self.partial)
            self.partial = b""
        return taken

    def ended(self, reason: EndReason) -> None:
        """Keep the reason."""
        self.reasons.append(reason)


class Host:
    """A station with its LLC, and the clients that took calls."""

    def __init__(self, number: int, parameters: NbfParameters | None = None) -> None:
        self.mac = bytes((2, 0, 0, 0, 0, number))
        self.llc = Station(self.mac)
        self.accepted: list[Client] = []
        self.datagrams: list[tuple[bytes, bytes, bytes]] = []
        self.listening: set[bytes] = set()
        self.room: int | None = None
        self.added: dict[bytes, EndReason | None] = {}
        self.conflicts: list[bytes] = []
        self.nbf = NbfStation(self.llc, self, parameters)

    def listens(self, name: bytes) -> bool:
        """Whether the test listens."""
        return name in self.listening

    def accept(self, name: bytes, caller: bytes, session: Session) -> Client | None:
        """Take a call."""
        del caller
        if name not in self.listening:
            return None
        self.accepted.append(Client(session, self.room))
        return self.accepted[-1]

    def datagram(self, name: bytes, source: bytes, data: bytes) -> None:
        """Keep it."""
        self.datagrams.append((name, source, data))

    def add(self, name: bytes, *, is_group: bool = False, listens: bool = False) -> None:
        """Claim a name."""
        self.nbf.names.add(
            name,
            lambda reason: self.added.update({name: reason}),
            lambda: self.conflicts.append(name),
            is_group=is_group,
        )
        if listens:
            self.listening.add(name)


class Lan:
    """Hosts on one wire."""

    def __init__(self, count: int = 2, seed: int = 0, parameters: NbfParameters | None = None) -> None:
        self.now_ns = SECOND
        self.hosts = [Host(number, parameters) for number in range(1, count + 1)]
        for host in self.hosts:
            host.nbf.now_ns = self.now_ns
        self.frames: list[LlcFrame] = []
        """All that were sent, in order."""
        self.wire = LossyWire(seed)

    def settle(self, limit_ns: int = 600 * SECOND, quiet_ns: int = 4 * SECOND) -> None:
        """Carry frames and run timers until nothing is due within ``quiet_ns``, or for ``limit_ns``."""
        end = self.now_ns + limit_ns
        while True:
            self._collect()
            due = [one for host in self.hosts for one in self._deadlines(host) if one is not None]
            if self.wire.due_ns is not None:
                due.append(self.wire.due_ns)
            if not due or min(due) > min(end, self.now_ns + quiet_ns):
                return
            self.now_ns = max(self.now_ns, min(due))
            for to, raw in self.wire.arrived(self.now_ns):
                self.hosts[to].llc.receive(raw, self.now_ns)
            for host in self.hosts:
                host.llc.advance(self.now_ns)

    def _deadlines(self, host: Host) -> tuple[int | None, int | None]:
        return host.llc.next_deadline(), host.nbf.next_deadline()

    def _collect(self) -> None:
        for at, host in enumerate(self.hosts):
            host.nbf.serve(self.now_ns)
            while host.llc.outbox:
                frame = host.llc.outbox.popleft()
                self.frames.append(frame)
                for to, other in enumerate(self.hosts):
                    if to != at and frame.destination in (other.mac, FUNCTIONAL_ADDRESS):
                        self.wire.send(to, frame.emit(), self.now_ns)
