"""Holds every new connection until a program has said whether it may be.

The scenario of Microsoft's "packet inspect" sample at ALE_AUTH_CONNECT and ALE_AUTH_RECV_ACCEPT: pend, ask,
complete. ``waiting`` is what the program looks at; ``decide`` is its answer.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from protocols.wfp.callout import Callout
from protocols.wfp.errors import FwpError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protocols.transports.tcpip.classify import Subject
    from protocols.wfp.arbitration import ClassifyOut
    from protocols.wfp.callout import Incoming
    from protocols.wfp.conditions import Condition
    from protocols.wfp.kernel import Pended
    from protocols.wfp.samples.installed import Installed

LAYERS = ("ALE_AUTH_CONNECT_V4", "ALE_AUTH_RECV_ACCEPT_V4", "ALE_AUTH_CONNECT_V6", "ALE_AUTH_RECV_ACCEPT_V6")
TCP = 6


class Inspector(Callout):
    """TCP only: UDP's first datagrams cannot be held at these layers, and pass."""

    def __init__(self, installed: Installed) -> None:
        self._installed = installed
        self.waiting: deque[Pended] = deque()

    def install(self, conditions: Iterable[Condition] = ()) -> None:
        """Ask at both directions of both IP versions."""
        for layer in LAYERS:
            self._installed.add(layer, _Ask(self), tuple(conditions))

    def hold(self, incoming: Incoming, out: ClassifyOut) -> None:
        """Pend; a reauthorization is of a connection that was decided on before."""
        if incoming.subject.protocol != TCP or incoming.is_reauthorization:
            return
        try:
            self.waiting.append(self._installed.driver.pend_operation(incoming))
        except FwpError:
            out.block()  # too many wait already
            return
        out.block(absorb=True)

    def decide(self, *, is_permitted: bool) -> Subject:
        """Answer for the one that has waited longest; return what it was. IndexError: none waits."""
        one = self.waiting.popleft()
        self._installed.driver.complete_operation(one, is_permitted=is_permitted)
        return one.subject


class _Ask(Callout):
    """One callout a layer: a key is of one layer."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector

    def classify(self, incoming: Incoming, out: ClassifyOut) -> None:
        """Hold it."""
        self._inspector.hold(incoming, out)
