"""Two live hosts whose reference cards are joined by a socket pair, both verifiers on."""

from __future__ import annotations

import socket
from typing import Any

from device.engine.reference import ReferenceEngine
from lab.host.inprocess_card import DescriptorCable
from lab.host.live import LiveHost
from lab.host.locked_winsock import Locked
from ndis.verifier.core import Verifier
from protocols.apis.winsock.pysocket import socket_module
from protocols.transports.tcpip import StackConfig
from protocols.transports.tcpip.addresses import parse


class Pair:
    """Hosts 10.0.0.1 and 10.0.0.2; ``modules`` stand in for ``socket``, ``winsocks`` are below them."""

    def __init__(self) -> None:
        self.ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.verifiers = [Verifier(), Verifier()]
        self.hosts: list[LiveHost] = []
        self.modules: list[Any] = []
        self.winsocks: list[Any] = []
        for number, (end, verifier) in enumerate(zip(self.ends, self.verifiers, strict=True), 1):
            end.setblocking(False)  # noqa: FBT003 - the standard library's signature
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            host = LiveHost(
                host_name=f"host{number}", config=StackConfig(ipv6=False), observer=verifier, verify=True
            )
            cable = DescriptorCable(host, end.fileno(), bytes((2, 0, 0, 0, 0, number)), ReferenceEngine)
            link = host.driver.links[cable.name]
            host.stack.add_address(link.interface, parse(f"10.0.0.{number}"), 24)
            process = host.upper.process()
            process.startup()
            locked: Any = Locked(process, host.executive.entry)
            names: Any = Locked(host.upper.names, host.executive.entry)
            self.winsocks.append(locked)
            self.modules.append(socket_module(locked, names, interface_of=host.stack.interface_of))
            self.hosts.append(host)
        for host in self.hosts:
            host.start()

    def close(self) -> None:
        """Stop both."""
        for host in self.hosts:
            host.close()
        for end in self.ends:
            end.close()

    def reports(self) -> list[str]:
        """Return what the verifiers of NDIS and of the I/O system found."""
        found = [str(one) for verifier in self.verifiers for one in verifier.reports]
        return found + [str(one) for host in self.hosts for one in host.upper.verifier.reports]
