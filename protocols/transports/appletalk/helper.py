"""wshatalk.dll: AF_APPLETALK's datagrams, a protocol for each DDP type (``DDPPROTO_*``, atalkwsh.h)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from formats.appletalk import DDP_DATA, DdpType
from protocols.apis.winsock.constants import Sock
from protocols.apis.winsock.helpers.contract import CatalogEntry, WinsockHelper
from protocols.interfaces.tdi.address import AppletalkAddress
from protocols.transports.appletalk.tdi import DEVICE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocols.interfaces.tdi.address import TdiAddress

AF_APPLETALK = 16
DDP_PROTOCOL = 1000
"""DDPPROTO_RTMP is 1001: the DDP type is behind it."""


class AppletalkHelper(WinsockHelper):
    """One protocol a DDP type."""

    catalog = tuple(
        CatalogEntry(
            f"MSAFD AppleTalk [DDP {kind.name}]",
            AF_APPLETALK,
            Sock.DGRAM,
            DDP_PROTOCOL + kind,
            f"{DEVICE}{kind.value}",
            DDP_DATA,
        )
        for kind in DdpType
    )
    addresses: ClassVar[Mapping[int, type[TdiAddress]]] = {AF_APPLETALK: AppletalkAddress}

    def any_address(self, family: int) -> TdiAddress:
        """Any socket of our node."""
        del family
        return AppletalkAddress(0, 0)
