"""The link as the transports know it: awaited when the card starts, told when it came or went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.status import Status

if TYPE_CHECKING:
    from miniport.nic import Nic
    from ndis.upcalls import Upcalls

WAIT_MS, LOOK_MS = 3000, 50


class Link:
    """What NDIS was told of one card's link."""

    def __init__(self, ndis: Upcalls, nic: Nic) -> None:
        """Read how long a link may take; touch no hardware yet."""
        self._ndis = ndis
        self._nic = nic
        self._told_up = False
        self._wait_ms = ndis.read_configuration("LinkWaitMs", WAIT_MS)

    def wait(self) -> None:
        """Give the PHY time to negotiate before the first send; go on without a link when that is over.

        What was found is known to NDIS, which asks when the driver's initialization returns.
        """
        stall = getattr(self._nic.ndis.resources.hardware, "stall", None)
        for _ in range(self._wait_ms // LOOK_MS):
            self._nic.look_at_link()
            if self._nic.link_up or stall is None:
                break
            stall(LOOK_MS * 1000)
        else:
            self._nic.look_at_link()
        self._told_up = self._nic.link_up

    def look(self) -> None:
        """Look, and tell NDIS of a change; a reset may have looked before, and told nobody."""
        self._nic.look_at_link()
        up = self._nic.link_up
        if up != self._told_up:
            self._told_up = up
            self._ndis.indicate_status(Status.MEDIA_CONNECT if up else Status.MEDIA_DISCONNECT)
            self._ndis.indicate_status_complete()
