"""A host with one emulated 82574L on a wire: what ``net up`` and ``boot --stack`` run."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from lab.host.event_loop import StackEventLoop
from lab.host.intermediates import insert
from lab.host.live import LiveHost
from lab.host.locked_winsock import Entered
from lab.host.ndis_rigs import ISR_REGISTERS
from lab.host.publishing import publish_host
from lab.host.vfio_user_card import Driver, SocketCard
from lab.machines import scratch
from lab.machines.card_process import start_card
from ndis.journal import Journal, Tee
from ndis.verifier.core import Verifier
from protocols.apis.winsock.pysocket import socket_module
from protocols.transports.tcpip.addresses import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from lab.host.control_socket import ControlServer
    from lab.machines.card_process import CardProcess

Answer = TypeVar("Answer")


LOG = structlog.get_logger("lab.station")


class Station:
    """The card's process, the host on it, and its socket module. ``close`` ends all of it."""

    def __init__(
        self,
        wire: str,
        *,
        mac: str | None = None,
        engine: str = "native",
        host_name: str = "ringwalk",
        large_sends: bool = True,
        checksums: bool = True,
        coalescing: bool = True,
        configuration: Mapping[str, object] | None = None,
        driver: Driver = Driver.SERIALIZED,
        options: tuple[str, ...] = (),
        verify: bool = False,
        intermediates: Sequence[str] = (),
    ) -> None:
        """Start the card and the host. UsageError when the wire cannot be had.

        ``options`` go to ``serve``. ``verify`` has NDIS's and the I/O system's verifiers watch, and keeps a
        journal. ``intermediates`` are put over the card, the first lowest; the uppermost virtual card has the
        address.
        """
        self.journal = Journal() if verify else None
        self.verifier = Verifier(isr_registers=ISR_REGISTERS) if verify else None
        observer = Tee(self.verifier, self.journal) if self.verifier and self.journal else None
        self._folder = Path(scratch.make())
        path = self._folder / "card.sock"
        self.process: CardProcess = start_card(path, wire, mac=mac, engine=engine, options=options)
        self.host = LiveHost(
            host_name=host_name,
            large_sends=large_sends,
            checksums=checksums,
            coalescing=coalescing,
            observer=observer,
            verify=verify,
        )
        self.card = SocketCard(self.host, path, configuration, driver)
        names = [self.card.name]
        for one in intermediates:
            names = insert(self.host, one)
        self.link = self.host.driver.links[names[0]]
        winsock = self.host.upper.process()
        winsock.startup()
        locked: Any = Entered(winsock, self.host.executive)
        self.winsock = locked
        namespaces: Any = Entered(self.host.upper.names, self.host.executive)
        self.sockets: Any = socket_module(
            self.winsock, namespaces, host_name=host_name, interface_of=self.host.stack.interface_of
        )

    def configure(
        self, address: str | None, gateway: str | None = None, dns: list[str] | None = None
    ) -> None:
        """Give it an address (``10.0.0.1/24``) or DHCP, then let it go."""
        stack = self.host.stack
        if address is None:
            stack.start_dhcp(self.link.interface)
        else:
            text, _, bits = address.partition("/")
            stack.add_address(self.link.interface, parse(text), int(bits or 24))
        if gateway is not None:
            stack.add_route("0.0.0.0/0", self.link.interface, parse(gateway))
        stack.llmnr.start(self.link.interface)
        self.host.upper.netbt.start(stack.llmnr.host_name)
        stack.dns.servers = [parse(one) for one in dns or []]
        self.host.start()
        LOG.info("station.started", card=self.card.name, address=address or "DHCP")

    def run(self, program: Coroutine[Any, Any, Answer]) -> Answer:
        """Run an asyncio program, as ``asyncio.run`` does, over this host's sockets."""
        with asyncio.Runner(loop_factory=lambda: StackEventLoop(self.winsock, self.sockets)) as runner:
            return runner.run(program)

    def publish(self, name: str, about: str, save: Callable[[], None] = lambda: None) -> ControlServer:
        """Let other processes look at it, and edit its bindings. UsageError when the name is taken."""
        return publish_host(name, about, self.host, journal=self.journal, verifier=self.verifier, save=save)

    @property
    def reports(self) -> list[str]:
        """What the verifiers have found."""
        ours = self.verifier.reports if self.verifier is not None else []
        return [str(one) for one in [*ours, *self.host.upper.verifier.reports]]

    def close(self) -> None:
        """Take it apart."""
        LOG.info("station.stopped", card=self.card.name)
        self.host.close()
        self.card.close()
        self.process.close()
        shutil.rmtree(self._folder, ignore_errors=True)
