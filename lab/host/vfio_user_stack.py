"""The stack over a card behind a vfio-user socket, on the real clock: no QEMU, DMA by memfd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.host.inprocess_stack import Settings, Stack
from miniport.hal.pci import Signalling
from miniport.hal.vfio_user import VfioUserBus
from ntos.executive.contract import SECOND
from ntos.executive.live import LiveExecutive

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import Unpack

PATIENCE_S = 10.0


class VfioUserStack(Stack):
    """A stack over the card at a socket."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        mode: Signalling = Signalling.MSIX,
        **settings: Unpack[Settings],
    ) -> None:
        """Connect and put the stack over it."""
        self.loop = LiveExecutive()
        self.bus = VfioUserBus(path, self.loop, mode=mode)
        super().__init__(self.loop, self.bus, **settings)

    def until(self, condition: Callable[[], bool], most_s: float = PATIENCE_S) -> bool:
        """Run until something holds; return whether it does."""
        return self.loop.run_until(condition, int(most_s * SECOND))

    def close(self) -> None:
        """Halt, hang up, give everything back."""
        self.halt()
        self.bus.close()
        self.loop.close()
