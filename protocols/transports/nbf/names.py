"""The names of a station: claimed by asking everybody, defended by answering. Sans I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from protocols.transports.nbf.frame import GROUP, NO_NAME, Command, NameFrame
from protocols.transports.nbf.parameters import EndReason, NbfError
from protocols.transports.nbf.states import NAME_TRANSITIONS, NameEvent, NameState

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.nbf.parameters import NbfParameters


class NameSender(Protocol):
    """The station of the names, as their table sees it."""

    parameters: NbfParameters
    now_ns: int
    counters: dict[str, int]
    permanent: bytes
    """NAME_NUMBER_1: ten zeros and the station's address."""

    def send_to_all(self, frame: NameFrame) -> None:
        """Send UI to the functional address."""

    def send_to(self, station: bytes, frame: NameFrame) -> None:
        """Send UI to one station."""

    def next_correlator(self) -> int:
        """Return a number that is not 0 and not used for long."""


@dataclass(slots=True)
class Name:
    """A name of ours. ``number`` is its place in the table, 2 to 254; 1 is the permanent name."""

    name: bytes
    number: int
    is_group: bool
    state: NameState
    done: Callable[[EndReason | None], None]
    conflicted: Callable[[], None]
    correlator: int = 0
    tries: int = 0
    deadline: int | None = None

    def step(self, event: NameEvent) -> bool:
        """Follow the table; False: the event is nothing in this state."""
        after = NAME_TRANSITIONS.get((self.state, event))
        if after is not None:
            self.state = after
        return after is not None


class NameTable:
    """The names, by their 16 bytes."""

    def __init__(self, sender: NameSender) -> None:
        self.names: dict[bytes, Name] = {}
        self._sender = sender

    def add(
        self,
        name: bytes,
        done: Callable[[EndReason | None], None],
        conflicted: Callable[[], None],
        *,
        is_group: bool,
    ) -> None:
        """Claim a name; ``done`` hears None when nobody has objected, or the reason.

        NbfError: no such name, no room, or it is ours already.
        """
        sender = self._sender
        if name in self.names or name in (NO_NAME, sender.permanent) or name[0] in b"*\0":
            raise NbfError(EndReason.NAME_IN_USE)
        used = {one.number for one in self.names.values()}
        number = next((free for free in range(2, 255) if free not in used), None)
        if number is None or len(self.names) >= sender.parameters.names_limit:
            raise NbfError(EndReason.TABLE_FULL)
        made = Name(name, number, is_group, NameState.REGISTERING, done, conflicted, sender.next_correlator())
        self.names[name] = made
        self._ask(made)

    def release(self, name: bytes) -> None:
        """Give a name up; nothing is sent. A name that is not ours is no error."""
        found = self.names.pop(name, None)
        if found is not None:
            found.step(NameEvent.RELEASED)

    def usable(self, name: bytes) -> Name | None:
        """Return a name that is ours without doubt."""
        found = self.names.get(name)
        return found if found is not None and found.state is NameState.REGISTERED else None

    def is_ours(self, name: bytes) -> bool:
        """Whether we answer to a name."""
        return name == self._sender.permanent or self.usable(name) is not None

    # Frames

    def asked(self, source: bytes, frame: NameFrame) -> None:
        """ADD_NAME_QUERY and ADD_GROUP_NAME_QUERY of another: object to a name of ours."""
        found = self.names.get(frame.source)
        is_taken = frame.source == self._sender.permanent
        if found is not None and found.state in (NameState.REGISTERING, NameState.REGISTERED):
            is_taken = not (found.is_group and frame.command is Command.ADD_GROUP_NAME_QUERY)
        if is_taken:
            is_claimed = found is not None and found.state is NameState.REGISTERING
            answer = NameFrame(
                Command.ADD_NAME_RESPONSE,
                frame.source,
                frame.source,
                data1=int(is_claimed),
                data2=GROUP if found is not None and found.is_group else 0,
                transmit=frame.response,
            )
            self._sender.send_to(source, answer)

    def objected(self, frame: NameFrame) -> None:
        """ADD_NAME_RESPONSE: another has the name. A group may have many stations."""
        found = self.names.get(frame.destination)
        if found is None or found.state is not NameState.REGISTERING or frame.transmit != found.correlator:
            self._sender.counters["unasked"] += 1
        elif not (found.is_group and frame.data2 & GROUP):
            self._over(found, EndReason.NAME_IN_USE)

    def in_conflict(self, frame: NameFrame) -> None:
        """NAME_IN_CONFLICT: a station has found two that have this name."""
        found = self.names.get(frame.destination)
        if found is not None and not found.is_group and found.step(NameEvent.CONFLICTED):
            self._sender.counters["conflicts"] += 1
            found.conflicted()

    # Time

    def next_deadline(self) -> int | None:
        """Return when ``advance`` is due."""
        return min((one.deadline for one in self.names.values() if one.deadline is not None), default=None)

    def advance(self) -> None:
        """Ask again, or have the names that nobody objected to."""
        now = self._sender.now_ns
        for name in [one for one in self.names.values() if one.deadline is not None and one.deadline <= now]:
            if name.tries < self._sender.parameters.add_name_query_retries:
                self._ask(name)
            else:
                name.deadline = None
                name.step(NameEvent.UNCONTESTED)
                name.done(None)

    def stop(self, reason: EndReason) -> None:
        """End all claims: the card goes."""
        for name in list(self.names.values()):
            if name.state is NameState.REGISTERING:
                self._over(name, reason)
        self.names.clear()

    def _ask(self, name: Name) -> None:
        sender = self._sender
        name.tries += 1
        name.deadline = sender.now_ns + sender.parameters.add_name_query_ns
        command = Command.ADD_GROUP_NAME_QUERY if name.is_group else Command.ADD_NAME_QUERY
        sender.send_to_all(NameFrame(command, source=name.name, response=name.correlator))

    def _over(self, name: Name, reason: EndReason) -> None:
        del self.names[name.name]
        name.deadline = None
        name.step(NameEvent.CONTESTED)
        name.done(reason)
