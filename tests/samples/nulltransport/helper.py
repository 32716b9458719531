"""wshnull.dll: the null transport's family."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from protocols.apis.winsock.constants import Sock
from protocols.apis.winsock.helpers.contract import CatalogEntry, WinsockHelper

from .address import ANY_STATION, NullAddress
from .tdi import DEVICE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocols.interfaces.tdi.address import TdiAddress

AF_NULL = 0x4E55
MOST_BYTES = 1494


class NullHelper(WinsockHelper):
    """One protocol."""

    catalog = (CatalogEntry("MSAFD Null [datagrams]", AF_NULL, Sock.DGRAM, 1, DEVICE, MOST_BYTES),)
    addresses: ClassVar[Mapping[int, type[TdiAddress]]] = {AF_NULL: NullAddress}

    def any_address(self, family: int) -> TdiAddress:
        """Any channel of any card."""
        del family
        return NullAddress(ANY_STATION)
