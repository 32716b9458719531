"""Watches messages of TCP connections to some ports, and changes nothing.

The scenario of Microsoft's "message monitor" sample: FLOW_ESTABLISHED gives a connection a context, the
STREAM layer looks at what passes, flowDeleteFn closes the account.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocols.wfp.callout import Callout
from protocols.wfp.conditions import Condition
from protocols.wfp.layers import Field
from protocols.wfp.objects import ActionType

if TYPE_CHECKING:
    from protocols.wfp.arbitration import ClassifyOut
    from protocols.wfp.callout import Incoming
    from protocols.wfp.samples.installed import Installed

MOST_BYTES = 4096
"""Of each direction of a connection: the beginning is kept, the rest is counted."""


@dataclass(slots=True)
class Account:
    """What is known of one connection."""

    peer: tuple[bytes | None, int]
    kept: dict[bool, bytearray] = field(default_factory=lambda: {False: bytearray(), True: bytearray()})
    """By whether it was received."""
    counted: dict[bool, int] = field(default_factory=lambda: {False: 0, True: 0})
    is_over: bool = False


class Monitor(Callout):
    """The callout of the STREAM layer; its contexts are accounts."""

    def __init__(self, installed: Installed, *ports: int) -> None:
        self._installed = installed
        self._ports = ports
        self._number = 0
        self.accounts: list[Account] = []

    def install(self) -> None:
        """Look at IPv4 and nothing else, for one layer a key."""
        conditions = [Condition(Field.IP_REMOTE_PORT, port) for port in self._ports]
        inspects = ActionType.CALLOUT_INSPECTION
        self._number = self._installed.add("STREAM_V4", self, conditions, inspects)
        self._installed.add("ALE_FLOW_ESTABLISHED_V4", _Opens(self), conditions, inspects)

    def opened(self, incoming: Incoming) -> None:
        """Open an account."""
        subject = incoming.subject
        account = Account((subject.remote, subject.remote_port))
        self.accounts.append(account)
        self._installed.driver.flow_associate_context(incoming.flow, self._number, account)

    def classify(self, incoming: Incoming, out: ClassifyOut) -> None:
        """Keep what passes."""
        del out
        account, stream = incoming.flow_context, incoming.stream
        if isinstance(account, Account) and stream is not None:
            kept = account.kept[stream.is_inbound]
            kept += stream.data[: MOST_BYTES - len(kept)]
            account.counted[stream.is_inbound] += len(stream.data)

    def flow_deleted(self, flow: int, context: object) -> None:
        """Close the account."""
        del flow
        if isinstance(context, Account):
            context.is_over = True


class _Opens(Callout):
    """The callout of ALE_FLOW_ESTABLISHED."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def classify(self, incoming: Incoming, out: ClassifyOut) -> None:
        """Open an account."""
        del out
        self._monitor.opened(incoming)
