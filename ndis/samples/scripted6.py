"""An NDIS 6 miniport that does as it is told: for tests of lists, filters and pausing.

No hardware.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ndis.oids import Oid
from ndis.samples.scripted import ADDRESS, NUMBERS
from ndis.status import Status

if TYPE_CHECKING:
    from ndis.nbl import NetBufferList
    from ndis.requests import InformationBuffer
    from ndis.upcalls import Upcalls


class Script6:
    """Keeps what it is given in ``got`` until ``complete`` is called."""

    def __init__(self, ndis: Upcalls) -> None:
        """Accept everything, answer a few OIDs."""
        self.ndis = ndis
        self.log: list[str] = []
        self.got: list[NetBufferList] = []
        self.returned: list[NetBufferList] = []
        self.pause_pends = False

    def initialize_ex(self) -> Status:
        """MiniportInitializeEx."""
        return Status.SUCCESS

    def halt_ex(self) -> None:
        """MiniportHaltEx."""
        self.log.append("halt")

    def pause(self) -> Status:
        """MiniportPause: complete what is held, unless told to pend."""
        self.log.append("pause")
        if self.pause_pends:
            return Status.PENDING
        self.complete(Status.SUCCESS)
        return Status.SUCCESS

    def restart(self) -> Status:
        """MiniportRestart."""
        self.log.append("restart")
        return Status.SUCCESS

    def reset_ex(self) -> tuple[Status, bool]:
        """MiniportResetEx."""
        self.complete(Status.REQUEST_ABORTED)
        return Status.SUCCESS, False

    def oid_request(self, kind: str, oid: int, buffer: InformationBuffer) -> Status:
        """MiniportOidRequest."""
        if kind == "set":
            buffer.bytes_read = buffer.length
            return Status.SUCCESS
        if oid == Oid.O802_3_CURRENT_ADDRESS:
            return buffer.write(ADDRESS)
        if oid in NUMBERS:
            return buffer.write(struct.pack("<I", NUMBERS[Oid(oid)]))
        return Status.NOT_SUPPORTED

    def send_net_buffer_lists(self, nbls: list[NetBufferList]) -> None:
        """MiniportSendNetBufferLists."""
        self.got += nbls

    def return_net_buffer_lists(self, nbls: list[NetBufferList]) -> None:
        """MiniportReturnNetBufferLists."""
        self.returned += nbls

    def cancel_send(self, cancel_id: object) -> None:
        """MiniportCancelSend."""
        mine = [n for n in self.got if n.cancel_id == cancel_id]
        self.got = [n for n in self.got if n.cancel_id != cancel_id]
        self._complete(mine, Status.REQUEST_ABORTED)

    def complete(self, status: Status) -> None:
        """Complete everything that is held."""
        held, self.got = self.got, []
        self._complete(held, status)

    def _complete(self, nbls: list[NetBufferList], status: Status) -> None:
        for nbl in nbls:
            nbl.status = status
        if nbls:
            self.ndis.send_net_buffer_lists_complete(nbls)
