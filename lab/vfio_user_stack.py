"""The stack over a card behind a vfio-user socket, on the real clock: no QEMU, DMA by memfd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.stack import Stack
from miniport.hal.executive import LoopExecutive
from miniport.hal.pci import Signalling
from miniport.hal.vfio_user import VfioUserBus
from ndis.suite.bench import EVERYTHING

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from ndis.events import Observer
    from ndis.miniport import Version
    from ndis.protocol import BindingClient

PATIENCE_S = 10.0


class VfioUserStack(Stack):
    """A stack over the card at a socket."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        mode: Signalling = Signalling.MSIX,
        version: Version = (5, 1),
        configuration: Mapping[str, object] | None = None,
        client: BindingClient | None = None,
        observer: Observer | None = None,
        packet_filter: int = EVERYTHING,
    ) -> None:
        """Connect and put the stack over it."""
        self.loop = LoopExecutive()
        self.bus = VfioUserBus(path, self.loop, mode=mode)
        super().__init__(
            self.loop,
            self.bus,
            version=version,
            configuration=configuration,
            client=client,
            observer=observer,
            packet_filter=packet_filter,
        )

    def until(self, condition: Callable[[], bool], most_s: float = PATIENCE_S) -> bool:
        """Run until something holds; return whether it does."""
        return self.loop.run_until(condition, most_s)

    def close(self) -> None:
        """Halt, hang up, give everything back."""
        self.halt()
        self.bus.close()
        self.loop.close()
