"""NT hosts on a virtual wire and a virtual clock: for tests, deterministic."""

from __future__ import annotations

from lab.host.host import Upper
from lab.host.virtual_wire import Network
from ntos.executive.contract import SECOND
from protocols.transports.tcpip import Stack, StackConfig
from protocols.transports.tcpip.addresses import parse

FAST = StackConfig(ipv6=False)
"""Without IPv6 a host has nothing to do before it is used."""


class VirtualHosts:
    """Hosts 10.0.0.1, 10.0.0.2, ... on one wire."""

    def __init__(self, count: int = 2, *, seed: int = 1, config: StackConfig = FAST) -> None:
        """Make them, and let duplicate address detection end."""
        self.network = Network(seed)
        self.executive = self.network.executive
        self.hosts: list[Upper] = []
        for number in range(1, count + 1):
            stack = self.network.add(Stack(self.network.entropy, self.network.now, config, f"host{number}"))
            stack.context.timers.clock = self.executive.now_ns
            interface = self.network.join(stack)
            stack.add_address(interface, parse(f"10.0.0.{number}"), 24)
            self.hosts.append(Upper(stack, self.executive, host_name=f"host{number}"))
        self.run(3 if config.ipv6 else 0.01)

    def run(self, seconds: float = 0.1) -> None:
        """Let time pass."""
        self.network.run(lambda: False, int(seconds * SECOND))
