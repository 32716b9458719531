"""An NT host that runs: NDIS, TCP/IP and all above on the machine's clock, over cards that others give it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from lab.host.host import Upper
from ndis.miniport import MiniportCharacteristics
from ndis.wrapper import Ndis
from ntos.executive.live import LiveExecutive
from protocols.transports.tcpip import Stack, StackConfig
from protocols.transports.tcpip import driver as tcpip
from protocols.transports.tcpip.ndis_edge import TcpipDriver
from protocols.transports.tcpip.tcp import states

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ndis.adapter import MiniportAdapter
    from ndis.events import Observer
    from ndis.hardware import Hardware

DONE_SENDING = frozenset((states.State.FIN_WAIT_2, states.State.TIME_WAIT))
"""The far end has all of ours, and would take a reset for a loss of what it has not read yet."""
FAREWELL_NS = 2_000_000_000
"""How long a host that goes down waits for the FINs of closed connections to be acknowledged."""


class LiveHost:
    """NDIS, TCP/IP and all above on one ``LiveExecutive``, loaded and bound as the INF files say."""

    def __init__(
        self,
        *,
        host_name: str = "ringwalk",
        config: StackConfig | None = None,
        observer: Observer | None = None,
        large_sends: bool = True,
        checksums: bool = True,
        coalescing: bool = True,
        verify: bool = False,
    ) -> None:
        """Put it together; ``add_card`` gives it a card, ``start`` sets it going."""
        self.executive = LiveExecutive()
        self.ndis = Ndis(self.executive, observer)
        self.stack = Stack(os.urandom, time.monotonic_ns(), config, host_name)
        self.upper = Upper(self.stack, self.executive, host_name=host_name, verify=verify, load=False)
        self.upper.system.export(self.ndis)
        self.upper.system.set_parameters(
            tcpip.SERVICE,
            **{
                tcpip.LARGE_SENDS: int(large_sends),
                tcpip.CHECKSUMS: int(checksums),
                tcpip.COALESCING: int(coalescing),
            },
        )
        self.loader = self.upper.loader
        self.adapters: list[MiniportAdapter] = []
        self.upper.load()
        self.driver = self.upper.system.find(TcpipDriver)

    def add_card(
        self,
        miniport: type,
        hardware: Hardware | None,
        configuration: Mapping[str, object] | None = None,
        version: tuple[int, int] = (5, 1),
    ) -> str:
        """Start a card and have the engine bind what matches it; return the interface's name."""
        name = f"Local Area Connection {len(self.adapters) + 1}"
        component = self.loader.add_adapter("netrwnic", name)
        driver = self.ndis.register_miniport(MiniportCharacteristics.of(miniport, version))
        self.adapters.append(self.ndis.add_adapter(driver, name, hardware, configuration))
        self.loader.bind(component)
        return name

    def start(self) -> None:
        """Set it going."""
        self.stack.request_turn()
        self.executive.start()

    def close(self) -> None:
        """End the connections, stop the thread, unbind from the top down, and take the cards away."""
        self._say_farewell()
        self.executive.stop()
        self.loader.unbind_adapters()
        for adapter in self.adapters:
            self.ndis.remove_adapter(adapter)
        self.executive.close()

    def _say_farewell(self) -> None:
        """Let closed connections end in good order, and reset the others: nobody is left to serve them.

        Without it a FIN that is queued, or lost, is never sent, and the far end waits for ever.
        """
        with self.executive.entry:
            if not self.executive.is_running:
                return
            connections = self.stack.tcp.connections
            self.executive.wait(
                lambda: not any(one.state in states.HAS_CLOSED for one in connections.values()),
                "the last acknowledgments",
                FAREWELL_NS,
            )
            for connection in list(connections.values()):
                if connection.state not in DONE_SENDING:
                    connection.abort()
            self.stack.request_turn()
            self.executive.drain()
