"""Two hosts on a virtual wire, the near one with a filter engine at work: what the tests of it stand on."""

# ruff: noqa: D102 - doubles need no words

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from lab.host.virtual import VirtualHosts
from ntos.object.token import system_token
from protocols.transports.tcpip import StackConfig
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.tcp.connection import Connection, ConnectionHandler
from protocols.wfp import layers
from protocols.wfp.bfe import Bfe, Session
from protocols.wfp.callout import Callout, Incoming
from protocols.wfp.engine import FilterEngine
from protocols.wfp.kernel import CalloutDriver
from protocols.wfp.objects import ActionType, CalloutEntry, Filter

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.tcpip.errors import Failure
    from protocols.wfp.arbitration import ClassifyOut
    from protocols.wfp.conditions import Condition

NEAR, FAR, PORT = parse("10.0.0.1"), parse("10.0.0.2"), 80
UNKNOWN, INSPECTION = ActionType.CALLOUT_UNKNOWN, ActionType.CALLOUT_INSPECTION


class End(ConnectionHandler):
    """One end of a connection: what became of it."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.data = b""

    def connected(self, connection: Connection) -> None:
        del connection
        self.events.append("connected")

    def readable(self, connection: Connection) -> None:
        self.data += connection.receive()

    def remote_closed(self, connection: Connection) -> None:
        del connection
        self.events.append("remote closed")

    def closed(self, connection: Connection, failure: Failure | None) -> None:
        del connection
        self.events.append(failure.name if failure is not None else "closed")


class Does(Callout):
    """A callout that does what it is given."""

    def __init__(self, act: Callable[[Incoming, ClassifyOut], None]) -> None:
        self.act = act
        self.number = 0
        self.seen: list[Incoming] = []
        self.deleted: list[object] = []

    def classify(self, incoming: Incoming, out: ClassifyOut) -> None:
        self.seen.append(incoming)
        self.act(incoming, out)

    def flow_deleted(self, flow: int, context: object) -> None:
        del flow
        self.deleted.append(context)


class World:
    """Two hosts; the near one's engine is at work."""

    def __init__(self, config: StackConfig | None = None) -> None:
        self.hosts = VirtualHosts(config=config or StackConfig(ipv6=False))
        self.near, self.far = (host.stack for host in self.hosts.hosts)
        self.system = self.hosts.hosts[0].system
        self.bfe, self.engine = self.system.find(Bfe), self.system.find(FilterEngine)
        self.session: Session = self.bfe.engine_open(system_token())
        self.driver = CalloutDriver("tested", self.engine)
        self.server, self.client = End(), End()
        self.accepted: list[Connection] = []

    def block(self, layer: str, *conditions: Condition) -> int:
        return self.session.filter_add(Filter(layers.layer(layer), ActionType.BLOCK, conditions, layer))

    def callout(
        self,
        layer: str,
        act: Callable[[Incoming, ClassifyOut], None] = lambda _incoming, _out: None,
        action: ActionType = UNKNOWN,
    ) -> Does:
        key = uuid.uuid4()
        found = Does(act)
        found.number = self.driver.callout_register(key, found)
        self.session.callout_add(CalloutEntry(key, "does", layers.layer(layer)))
        self.session.filter_add(Filter(layers.layer(layer), action, callout=key))
        return found

    def listen(self, stack: Any = None) -> None:  # noqa: ANN401 - a stack
        def accept(connection: Connection) -> End:
            self.accepted.append(connection)
            return self.server

        (stack or self.far).tcp_listen(PORT, accept)

    def connect(self, stack: Any = None, remote: bytes = FAR) -> Connection:  # noqa: ANN401 - a stack
        made: Connection = (stack or self.near).tcp_connect(remote, PORT, self.client)
        self.run()
        return made

    def run(self, seconds: float = 0.5) -> None:
        self.near.flush()
        self.far.flush()
        self.hosts.run(seconds)

    def ping(self, remote: bytes = FAR) -> bool:
        results: list[Any] = []
        self.near.ping(remote, results.append, timeout=200_000_000)
        self.run()
        return bool(results and results[0].source)
