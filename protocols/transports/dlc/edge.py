"""DLC over NDIS: an adapter for each network card. It answers XID and TEST at the null SAP."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final

from formats import ethernet
from formats.llc import SNAP_SAP
from protocols.interfaces.llc.edge import LlcDriver, LlcLink
from protocols.transports.dlc.adapter import DlcAdapter
from protocols.transports.dlc.ccb import Code

if TYPE_CHECKING:
    from ndis.wrapper import Ndis
    from protocols.transports.dlc.ccb import Ccb

INDIVIDUAL_SAPS: Final = frozenset(range(2, 0x100, 2)) - {SNAP_SAP}


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A frame as it is."""

    data: bytes

    def emit(self) -> bytes:
        """Return it."""
        return self.data


class DlcCard:
    """A card as an adapter sees it."""

    def __init__(self, link: LlcLink) -> None:
        self._link = link
        self._link_wanted = link.wanted

    def send_raw(self, frame: bytes) -> None:
        """Send a frame as it is."""
        self._link.send([RawFrame(frame)])  # type: ignore[list-item]  # the link asks a frame for its bytes, no more

    def listen_to(self, ethertypes: frozenset[int]) -> None:
        """Receive frames of these EtherTypes, too."""
        if self._link_wanted is not None:
            self._link.wanted = replace(self._link_wanted, ethertypes=ethertypes)

    def set_groups(self, addresses: frozenset[bytes]) -> None:
        """Receive these group addresses."""
        self._link.set_multicast(addresses)


class DlcEdge(LlcDriver):
    """The protocol driver; ``adapters`` are its cards' by their names."""

    name = "dlc"
    saps: ClassVar[frozenset[int]] = INDIVIDUAL_SAPS

    def __init__(self, ndis: Ndis) -> None:
        super().__init__(ndis)
        self.adapters: dict[str, DlcAdapter] = {}

    def issue(self, card: str, block: Ccb) -> Code:
        """AcsLan: issue a command for a card."""
        adapter = self.adapters.get(card)
        if adapter is None:
            block.complete(Code.ADAPTER_CLOSED)
            return block.code
        adapter.now_ns = self.now_ns()
        code = adapter.issue(block)
        self.request_turn()
        return code

    def card_came(self, link: LlcLink) -> None:
        """Make the card's adapter."""
        self.adapters[link.name] = DlcAdapter(link.station, DlcCard(link))

    def card_went(self, link: LlcLink) -> None:
        """End what its adapter has."""
        adapter = self.adapters.pop(link.name)
        adapter.serve(self.now_ns())
        adapter.close()

    def deliver(self, link: LlcLink, frames: list[bytes], now_ns: int) -> None:
        """Give DIX frames to the adapter, the others to LLC."""
        with_length = []
        for frame in frames:
            if ethernet.ethertype(frame) > ethernet.LARGEST_LENGTH:
                self.adapters[link.name].direct(frame)
            else:
                with_length.append(frame)
        super().deliver(link, with_length, now_ns)

    def served(self, now_ns: int) -> None:
        """Serve all adapters."""
        for adapter in list(self.adapters.values()):
            adapter.serve(now_ns)

    def next_deadline(self) -> int | None:
        """Return the earliest deadline of the adapters and their LLC."""
        due = [one.next_deadline() for one in self.adapters.values()] + [super().next_deadline()]
        return min((one for one in due if one is not None), default=None)
