"""WSK calls that wait: for code at PASSIVE_LEVEL outside of callbacks, as a driver's own threads are.

It is what drivers do with an event and a completion routine ("Using IRPs with Winsock Kernel Functions").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntos.executive.irql import Irql
from ntos.io.status import NtError, NtStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.executive.contract import Executive
    from ntos.io.irp import Irp
    from protocols.apis.wsk.client import WskClient

PATIENCE_NS = 30_000_000_000


class Blocking:
    """Makes WSK calls of one client, one at a time."""

    def __init__(self, client: WskClient, executive: Executive, patience_ns: int = PATIENCE_NS) -> None:
        """Wait for so long at most; then the IRP is cancelled."""
        self.client = client
        self._executive = executive
        self._patience_ns = patience_ns

    def irp(self, function: Callable[..., NtStatus], *arguments: Any, **named: Any) -> Irp:  # noqa: ANN401 - each function has its own
        """Call, wait, and return the completed IRP, whatever its status is."""
        self.client.subsystem.irql.require(Irql.PASSIVE, "a WSK call that waits")
        irp = self.client.allocate_irp()
        function(*arguments, irp=irp, **named)
        if not self._executive.wait(lambda: irp.completed, "a WSK call", self._patience_ns):
            self.client.subsystem.io.cancel(irp)
        return irp

    def call(self, function: Callable[..., NtStatus], *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - each function has its own
        """Call, wait, and return the IRP's result, or its information if it has none. NtError."""
        irp = self.irp(function, *arguments, **named)
        if not irp.status.ok:
            raise NtError(irp.status)
        return irp.information if irp.result is None else irp.result
