"""The name service of a broadcast node (RFC 1001 15, RFC 1002 5.1.1): claims, defends, answers and asks.

Sans I/O: a TDI client of UDP (``udp``), with a clock and chance of the host's. Left out: name servers (WINS;
P, M and H nodes), scopes. Conflict demands and releases by others of what is ours are ignored: anybody on the
link could silence a host by them (Microsoft's MS00-047).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from protocols.transports.netbt import message
from protocols.transports.netbt.message import (
    Flags,
    Kind,
    Message,
    MessageError,
    NetbiosName,
    Opcode,
    Rcode,
    Record,
)
from protocols.transports.netbt.udp import UdpPort
from protocols.transports.tcpip.timers import MILLISECOND

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from protocols.interfaces.tdi.client import TdiClient
    from protocols.interfaces.tdi.ip_information import IpEntry, IpInterface
    from protocols.transports.netbt.udp import Arrived
    from protocols.transports.tcpip.timers import TimerQueue

PORT: Final = 137
TRIES: Final = 3
"""BCAST_REQ_RETRY_COUNT (RFC 1002 6)."""
TIMEOUT: Final = 250 * MILLISECOND
"""BCAST_REQ_RETRY_TIMEOUT."""
TTL_S: Final = 300_000
WORKSTATION, SERVER = 0x00, 0x20
MOST_FOUND: Final = 64
"""Addresses of a group that are believed in an answer."""
Status = tuple[list[tuple[NetbiosName, int]], bytes]


class Surroundings(Protocol):
    """What the service takes of the host besides UDP."""

    @property
    def timers(self) -> TimerQueue:
        """The clock."""

    @property
    def counters(self) -> Counter[str]:
        """What happened how often."""

    def random(self, bits: int) -> int:
        """Return an unpredictable number."""

    def catch_up(self) -> None:
        """Begin a call: it is now what the clock says."""


class State(enum.Enum):
    """What has become of a name of ours."""

    CLAIMING = "registering"
    OWNED = "registered"
    CONFLICT = "conflict"


@dataclass(slots=True)
class Owned:
    """A name of ours."""

    name: NetbiosName
    group: bool
    state: State = State.CLAIMING

    @property
    def flags(self) -> int:
        """NB_FLAGS: the group bit, and B node."""
        return message.GROUP if self.group else 0


class NameService:
    """NetBT's names of one host. Nothing is claimed or answered before ``start``."""

    def __init__(self, tdi: TdiClient, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._port = UdpPort(tdi, PORT, self._receive)
        self._asked: dict[int, Callable[[Message, Arrived], None]] = {}
        self._suspended: list[Owned] = []
        self.names: dict[NetbiosName, Owned] = {}

    def start(self, host_name: str, workgroup: str = "WORKGROUP") -> bool:
        """Open the port and claim the host's names.

        False when the host has a name that NetBIOS cannot have, or somebody else the port.
        """
        try:
            names = [NetbiosName.of(host_name, suffix) for suffix in (WORKSTATION, SERVER)]
            group = NetbiosName.of(workgroup, WORKSTATION)
        except MessageError:
            return False
        if not self._port.open():
            return False
        for name in names:
            self.register(name)
        self.register(group, group=True)
        return True

    def stop(self) -> None:
        """Release what is ours, and listen no more."""
        for name in list(self.names):
            self.release(name)
        self._port.close()

    def suspend(self) -> None:
        """Stop, and remember what was ours: the transport below is unbound."""
        self._suspended = list(self.names.values())
        self.stop()

    def resume(self) -> None:
        """Claim what was remembered."""
        claimed, self._suspended = self._suspended, []
        for one in claimed:
            self.register(one.name, group=one.group)

    # Names of ours

    def register(self, name: NetbiosName, *, group: bool = False) -> bool:
        """Claim a name: three broadcasts; it is ours when nobody has objected (RFC 1002 5.1.1.1).

        False: nothing is claimed, since somebody else has the port.
        """
        if not self._port.open():
            return False
        owned = self.names.setdefault(name, Owned(name, group))
        owned.group, owned.state = group, State.CLAIMING
        ident = self._ident()

        def heard(told: Message, _datagram: Arrived) -> None:
            about = told.record.name if told.record is not None else told.question
            if told.opcode == Opcode.REGISTRATION and told.rcode != Rcode.OK and about == name:
                owned.state = State.CONFLICT
                self._asked.pop(ident, None)

        def over() -> None:
            if owned.state is State.CLAIMING:
                owned.state = State.OWNED
                self._broadcast(lambda ip: self._claim(ident, owned, ip, Flags.BROADCAST))  # overwrite demand

        self._asked[ident] = heard
        flags = Flags.RD | Flags.BROADCAST
        self._repeat(ident, lambda: self._broadcast(lambda ip: self._claim(ident, owned, ip, flags)), over)
        return True

    def release(self, name: NetbiosName) -> None:
        """Give a name up, and say so (RFC 1002 4.2.9)."""
        owned = self.names.pop(name, None)
        if owned is None or owned.state is not State.OWNED:
            return
        ident = self._ident()
        self._broadcast(
            lambda ip: Message(
                ident,
                Opcode.RELEASE,
                Flags.BROADCAST,
                question=name,
                record=Record(name, Kind.NB, 0, message.ENTRY.pack(owned.flags, ip)),
            )
        )

    # Names of others

    def query(self, name: NetbiosName, done: Callable[[list[bytes]], None]) -> None:
        """Ask the link for a name; ``done`` is called once, with the addresses of the first who answers."""
        if not self._port.open():
            done([])
            return
        ident = self._ident()

        def heard(told: Message, _datagram: Arrived) -> None:
            record = told.record
            if told.opcode or told.rcode or record is None or record.name != name or record.kind != Kind.NB:
                return
            del self._asked[ident]
            done([address for _flags, address in record.entries][:MOST_FOUND])

        self._asked[ident] = heard
        asked = Message(ident, Opcode.QUERY, Flags.RD | Flags.BROADCAST, question=name)
        self._repeat(ident, lambda: self._broadcast(lambda _ip: asked), lambda: done([]))

    def adapter_status(self, address: bytes, done: Callable[[Status | None], None]) -> None:
        """Ask a host for its names (``nbtstat -A``); ``done`` is called once, with None when it is silent."""
        if not self._port.open():
            done(None)
            return
        ident = self._ident()

        def heard(told: Message, datagram: Arrived) -> None:
            record = told.record
            if datagram.source != address or record is None or record.kind != Kind.NBSTAT:
                return
            del self._asked[ident]
            try:
                done(message.status_of(record.data))
            except MessageError:
                done(None)

        self._asked[ident] = heard
        asked = Message(ident, Opcode.QUERY, question=message.ANY, question_kind=Kind.NBSTAT)
        self._repeat(ident, lambda: self._send(asked, address, PORT), lambda: done(None))

    # Inside

    def _repeat(self, ident: int, send: Callable[[], None], over: Callable[[], None]) -> None:
        """Send a request three times, until somebody took it out of what is asked; else say it is over."""
        tries = iter(range(TRIES))

        def tick() -> None:
            if ident not in self._asked:
                return
            if next(tries, None) is None:
                del self._asked[ident]
                over()
                return
            timer.start(TIMEOUT)
            send()

        timer = self._surroundings.timers.timer(tick)
        tick()

    def _receive(self, datagram: Arrived) -> None:
        try:
            told = message.parse(datagram.data)
        except MessageError:
            self._surroundings.counters["netbt.in_errors"] += 1
            return
        if told.flags & Flags.RESPONSE:
            waiting = self._asked.get(told.ident)
            if waiting is not None and datagram.source_port == PORT:
                waiting(told, datagram)
        elif not any(
            datagram.source == one.address for each in self._port.interfaces() for one in each.entries
        ):
            self._answer(told, datagram)

    def _answer(self, told: Message, datagram: Arrived) -> None:
        if told.question is None:
            return
        if told.opcode == Opcode.QUERY and told.question_kind == Kind.NBSTAT:
            self._tell_status(told, datagram)
            return
        owned = self.names.get(told.question)
        if owned is None or owned.state is State.CONFLICT:
            return
        if told.opcode == Opcode.QUERY and owned.state is State.OWNED:
            self._reply(told, datagram, owned, Rcode.OK)
        elif told.opcode == Opcode.REGISTRATION and told.record is not None:
            theirs = any(flags & message.GROUP for flags, _address in told.record.entries)
            if not (owned.group and theirs):
                self._reply(told, datagram, owned, Rcode.ACT_ERR)

    def _reply(self, told: Message, datagram: Arrived, owned: Owned, rcode: Rcode) -> None:
        interface = self._interface(datagram)
        entries = _addresses(interface) if interface is not None else []
        data = b"".join(message.ENTRY.pack(owned.flags, entry.address) for entry in entries)
        flags = Flags.RESPONSE | Flags.AA | Flags.RD | (Flags.RA if rcode else Flags.NONE)
        record = Record(owned.name, Kind.NB, 0 if rcode else TTL_S, data)
        made = Message(told.ident, told.opcode, flags, rcode, record=record)
        self._send(made, datagram.source, datagram.source_port)

    def _tell_status(self, told: Message, datagram: Arrived) -> None:
        if told.question not in (message.ANY, *self.names):
            return
        names = [
            (one.name, one.flags | message.ACTIVE) for one in self.names.values() if one.state is State.OWNED
        ]
        interface = self._interface(datagram)
        data = message.node_status(names, interface.mac if interface is not None else bytes(6))
        record = Record(told.question or message.ANY, Kind.NBSTAT, 0, data)
        made = Message(told.ident, Opcode.QUERY, Flags.RESPONSE | Flags.AA, record=record)
        self._send(made, datagram.source, datagram.source_port)

    def _claim(self, ident: int, owned: Owned, address: bytes, flags: Flags) -> Message:
        record = Record(owned.name, Kind.NB, TTL_S, message.ENTRY.pack(owned.flags, address))
        return Message(ident, Opcode.REGISTRATION, flags, question=owned.name, record=record)

    def _broadcast(self, make: Callable[[bytes], Message]) -> None:
        """Send a message on every interface that has an IPv4 address, which ``make`` is given."""
        for interface in self._port.interfaces():
            for entry in _addresses(interface):
                if interface.is_up:
                    self._send(make(entry.address), entry.broadcast, PORT, interface.index)

    def _send(self, told: Message, to: bytes, port: int, interface: int = 0) -> None:
        if self._port.is_open and not self._port.send(told.emit(), to, port, interface):
            self._surroundings.counters["netbt.out_errors"] += 1

    def _interface(self, datagram: Arrived) -> IpInterface | None:
        found = self._port.interfaces()
        return next((one for one in found if one.index == datagram.interface), None)

    def _ident(self) -> int:
        self._surroundings.catch_up()
        return next(n for n in iter(lambda: self._surroundings.random(16), None) if n not in self._asked)


def _addresses(interface: IpInterface) -> list[IpEntry]:
    """Return the IPv4 addresses that an interface may use."""
    return [one for one in interface.entries if len(one.address) == 4]
