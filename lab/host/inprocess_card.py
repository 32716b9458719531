"""An 82574L in this process whose cable is a descriptor: a socket pair's end, a switch's, or a TAP."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from miniport.adapter import Adapter
from miniport.hal.inprocess import InProcessBus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device.effects import FrameSent
    from lab.host.live import LiveHost
    from miniport.hal.inprocess import EngineFactory

BATCH = 64
READ_BYTES = 65536 + 64


class DescriptorCable:
    """A card on a ``LiveHost``, its frames read from and written to ``fd`` (non-blocking).

    ``header`` bytes precede each frame on the descriptor (a TAP's virtio_net_hdr), zero: no work left.
    """

    def __init__(
        self,
        host: LiveHost,
        fd: int,
        mac: bytes,
        engine: EngineFactory,
        *,
        header: int = 0,
        configuration: Mapping[str, object] | None = None,
    ) -> None:
        """Power a card on, add it to the host, and watch the descriptor."""
        self.fd = fd
        self.dropped = 0
        self._host = host
        self._header = bytes(header)
        self.bus = InProcessBus(engine, host.executive, mac, send=self._send)
        self.name = host.add_card(Adapter, self.bus, configuration)
        host.executive.watch(fd, self._receive)

    def _send(self, frame: FrameSent) -> None:
        try:
            os.writev(self.fd, [self._header, frame.data])
        except (BlockingIOError, ConnectionRefusedError):
            self.dropped += 1  # as a real queue does when it is full

    def _receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(BATCH):
                data = os.read(self.fd, READ_BYTES)
                self.bus.receive(data[len(self._header) :])
