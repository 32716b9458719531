"""What ``net wfp`` says and does: a host's filters, state and net events, and rules written as sentences.

``block tcp to 10.0.0.9 port 80`` is a filter at ALE_AUTH_CONNECT, ``from`` one at ALE_AUTH_RECV_ACCEPT.
There a port is the local one, and its packets are filtered too, so that a port where nobody listens is as
silent. ICMP has no connection: its packets are filtered at the transport layers.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from formats.transport import ICMP, ICMPV6, TCP, UDP
from lab.host.control_socket import Answer, QuestionError
from ntos.object.token import system_token
from protocols.transports.tcpip import addresses
from protocols.wfp import layers
from protocols.wfp.bfe import Bfe
from protocols.wfp.conditions import AddressMask, Condition, MatchType, Span
from protocols.wfp.engine import FilterEngine, NetEvent
from protocols.wfp.errors import FwpError
from protocols.wfp.layers import Field
from protocols.wfp.objects import ActionType, CalloutEntry, Filter, Lifetime, Provider, SubLayer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lab.host.host import Upper
    from protocols.wfp.bfe import Session
    from protocols.wfp.conditions import Value

PROVIDER = Provider(uuid.uuid5(uuid.NAMESPACE_OID, "ringwalk net wfp"), "net wfp", Lifetime.PERSISTENT)
PROTOCOLS: dict[str, dict[int, int]] = {
    "tcp": {4: TCP, 6: TCP},
    "udp": {4: UDP, 6: UDP},
    "icmp": {4: ICMP, 6: ICMPV6},
    "any": {},
}
"""A protocol's number by IP version; ``any`` compares none."""
CONNECTIONS = {True: "ALE_AUTH_CONNECT", False: "ALE_AUTH_RECV_ACCEPT"}
"""By whether the rule is about what goes out."""
PACKETS = {True: "OUTBOUND_TRANSPORT", False: "INBOUND_TRANSPORT"}
MOST_PORT = 65535
GRAMMAR = "write PROTOCOL [to|from ADDRESS[/BITS]|any] [port N[-N]], as in: tcp to 10.0.0.9 port 80"
SHOWN = ("filters", "state", "netevents")


@dataclass(frozen=True, slots=True)
class Rule:
    """A sentence that was read."""

    protocol: str
    is_outbound: bool = True
    network: AddressMask | None = None
    ports: Span | None = None

    @classmethod
    def read(cls, words: Sequence[str]) -> Rule:
        """Read it. QuestionError: it is none."""
        if words[0] not in PROTOCOLS:
            raise QuestionError(f"{words[0]} is none of {', '.join(PROTOCOLS)}; {GRAMMAR}")
        rest = list(words[1:])
        pairs = dict(zip(rest[::2], rest[1::2], strict=False))
        wrong = set(pairs) - {"to", "from", "port"}
        if len(rest) % 2 or wrong or {"to", "from"} <= set(pairs) or len(pairs) * 2 != len(rest):
            raise QuestionError(GRAMMAR)
        if "port" in pairs and words[0] not in {"tcp", "udp"}:
            raise QuestionError(f"{words[0]} has no ports")
        return cls(
            words[0],
            "from" not in pairs,
            _network(pairs.get("to", pairs.get("from", "any"))),
            _ports(pairs["port"]) if "port" in pairs else None,
        )

    def filters(self) -> Iterator[Filter]:
        """Walk its filters: one, or one for each IP version."""
        versions = (4, 6) if self.network is None else (4 if len(self.network.address) == 4 else 6,)
        for version in versions:
            conditions = tuple(Condition(*one) for one in self._conditions(version))
            for stem in self._stems():
                layer = layers.layer(f"{stem}_V{version}")
                yield Filter(
                    layer,
                    ActionType.BLOCK,
                    conditions,
                    str(self),
                    provider=PROVIDER.key,
                    lifetime=Lifetime.PERSISTENT,
                )

    def _stems(self) -> tuple[str, ...]:
        connections, packets = CONNECTIONS[self.is_outbound], PACKETS[self.is_outbound]
        if self.ports is not None and not self.is_outbound:
            return connections, packets  # a port that nobody listens at is to be as silent
        return {"icmp": (packets,), "any": (connections, packets)}.get(self.protocol, (connections,))

    def _conditions(self, version: int) -> Iterator[tuple[Field, Value, MatchType]]:
        number = PROTOCOLS[self.protocol].get(version)
        if number is not None:
            yield Field.IP_PROTOCOL, number, MatchType.EQUAL
        if self.network is not None:
            yield Field.IP_REMOTE_ADDRESS, self.network, MatchType.EQUAL
        if self.ports is not None:
            field = Field.IP_REMOTE_PORT if self.is_outbound else Field.IP_LOCAL_PORT
            yield field, self.ports, MatchType.RANGE

    def __str__(self) -> str:
        """Return it as it is written, in one form."""
        where = "any"
        if self.network is not None:
            where = f"{addresses.text(self.network.address)}/{self.network.bits}"
        ports = ""
        if self.ports is not None:
            low, high = self.ports
            ports = f" port {low!r}" if low == high else f" port {low!r}-{high!r}"
        return f"{self.protocol} {'to' if self.is_outbound else 'from'} {where}{ports}"


def _network(text: str) -> AddressMask | None:
    if text == "any":
        return None
    host, slash, bits = text.partition("/")
    try:
        address = addresses.parse(host)
        length = int(bits) if slash else len(address) * 8
    except ValueError as error:
        raise QuestionError(f"{error}; write addresses as in 10.0.0.9 or 10.0.0.0/8") from error
    if not 0 <= length <= len(address) * 8:
        raise QuestionError(f"{text}: a network of IPv{4 if len(address) == 4 else 6} has no {bits} bits")
    return AddressMask(address, length)


def _ports(text: str) -> Span:
    low, _, high = text.partition("-")
    if not (low.isdecimal() and (high or low).isdecimal()):
        raise QuestionError(f"{text} is no port; write 80 or 1-1023")
    found = Span(int(low), int(high or low))
    if not 0 < int(low) <= int(high or low) <= MOST_PORT:
        raise QuestionError(f"{text}: ports are 1 to {MOST_PORT}, the lower one first")
    return found


def answer(host: Upper, action: str, words: Sequence[str]) -> Answer:
    """Show, block or unblock. QuestionError: the words are none of it, or there is no such rule."""
    bfe = host.system.find(Bfe)
    session = bfe.engine_open(system_token())
    if action == "show":
        if len(words) != 1 or words[0] not in SHOWN:
            raise QuestionError(f"show what? {', '.join(SHOWN)}")
        lines = {"filters": _filters, "state": _state, "netevents": _events}[words[0]](host, session)
        return Answer("".join(f"{line}\n" for line in lines) or "nothing\n", lines)
    rule = Rule.read(words)
    try:
        count = block(session, rule) if action == "block" else unblock(session, rule)
    except FwpError as error:
        raise QuestionError(str(error)) from error
    said = f"{rule}: {count} filter{'s' if count != 1 else ''} {'added' if action == 'block' else 'deleted'}"
    return Answer(f"{said}\n", {"rule": str(rule), "filters": count})


def block(session: Session, rule: Rule) -> int:
    """Add a rule's filters, all at once; return how many. QuestionError: it is there."""
    if _named(session, rule):
        raise QuestionError(f"{rule} is blocked already")
    session.transaction_begin()
    try:
        if PROVIDER.key not in {one.key for one in session.enumerate(Provider)}:
            session.provider_add(PROVIDER)
        count = sum(1 for one in rule.filters() if session.filter_add(one))
    except FwpError:
        session.transaction_abort()
        raise
    session.transaction_commit()
    return count


def unblock(session: Session, rule: Rule) -> int:
    """Delete a rule's filters, all at once; return how many. QuestionError: there are none."""
    found = _named(session, rule)
    if not found:
        raise QuestionError(f"{rule} is not blocked: see `ringwalk net wfp show filters`")
    session.transaction_begin()
    for one in found:
        session.filter_delete_by_id(one.number)
    session.transaction_commit()
    return len(found)


def _named(session: Session, rule: Rule) -> list[Filter]:
    found = session.enumerate(Filter)
    return [
        one
        for one in found
        if isinstance(one, Filter) and one.provider == PROVIDER.key and one.name == str(rule)
    ]


def _filters(_host: Upper, session: Session) -> list[str]:
    names = {one.key: one.name for one in session.enumerate(SubLayer)}
    return [
        f"{one.number:>5}  {one.layer.name:<28} {names[one.sublayer]:<12} {one.effective_weight:#018x}  "
        f"{one.action.name.lower():<20} {one.name}"
        for one in session.enumerate(Filter)
        if isinstance(one, Filter)
    ]


def _state(host: Upper, session: Session) -> list[str]:
    engine, bfe = host.system.find(FilterEngine), host.system.find(Bfe)
    kinds = (Provider, SubLayer, CalloutEntry, Filter)
    lines = [f"{kind.__name__.lower()}s: {len(session.enumerate(kind))}" for kind in kinds]
    lines.append(f"policy generation: {bfe.generation}")
    lines.append(f"classify points: {', '.join(sorted(one.name for one in engine.points)) or 'none'}")
    lines += [
        f"layer {layer.name}: {sum(map(len, found.sublayers))} filters"
        for layer, found in sorted(bfe.layers.items(), key=lambda one: one[0].name)
    ]
    return lines + [str(one) for one in engine.verifier.reports]


def _events(host: Upper, _session: Session) -> list[str]:
    return [_event(one) for one in host.system.find(Bfe).events if isinstance(one, NetEvent)]


def _event(one: NetEvent) -> str:
    subject = one.subject
    ends = [
        f"{addresses.text(address) if address is not None else '*'}:{port}"
        for address, port in ((subject.local, subject.local_port), (subject.remote, subject.remote_port))
    ]
    way = "<-" if subject.is_inbound else "->"
    what = f"{one.time_ns / 1e9:.3f}  {one.kind}  {one.layer}  {subject.protocol}"
    return f"{what}  {ends[0]} {way} {ends[1]}  filter {one.number} {one.filter}"
