"""Sends UDP datagrams for one address and port to another, and gives the answers the old address.

The scenario of Microsoft's "datagram proxy" sample: a clone at OUTBOUND_TRANSPORT gets another destination,
one at INBOUND_TRANSPORT another source; the program notices nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from protocols.wfp.callout import Callout
from protocols.wfp.conditions import Condition
from protocols.wfp.layers import Field

if TYPE_CHECKING:
    from protocols.transports.tcpip.classify import Endpoint
    from protocols.wfp.arbitration import ClassifyOut
    from protocols.wfp.callout import Incoming
    from protocols.wfp.samples.installed import Installed

UDP = 17
SOURCE, DESTINATION = slice(0, 2), slice(2, 4)
"""Where UDP's header has its ports."""


@dataclass(slots=True)
class DatagramProxy(Callout):
    """``told``: where programs send to. ``real``: where it goes."""

    installed: Installed
    told: Endpoint
    real: Endpoint
    moved: int = 0

    def install(self) -> None:
        """Filter what goes to ``told`` and what comes from ``real``."""
        version = 4 if self.told.address is not None and len(self.told.address) == 4 else 6
        for layer, end in (("OUTBOUND", self.told), ("INBOUND", self.real)):
            conditions = [Condition(Field.IP_PROTOCOL, UDP), Condition(Field.IP_REMOTE_PORT, end.port)]
            if end.address is not None:
                conditions.append(Condition(Field.IP_REMOTE_ADDRESS, end.address))
            self.installed.add(f"{layer}_TRANSPORT_V{version}", self, conditions)

    def classify(self, incoming: Incoming, out: ClassifyOut) -> None:
        """Take the datagram, change a clone of it, and inject that."""
        driver = self.installed.driver
        clone = driver.clone(incoming)
        is_inbound = incoming.subject.is_inbound
        end, place = (self.told, SOURCE) if is_inbound else (self.real, DESTINATION)
        data = bytearray(clone.data)
        data[place] = end.port.to_bytes(2)
        clone.data = bytes(data)
        clone.subject = replace(clone.subject, remote=end.address, remote_port=end.port)
        inject = driver.inject_transport_receive_async if is_inbound else driver.inject_transport_send_async
        inject(clone)
        out.block(absorb=True)
        self.moved += 1
