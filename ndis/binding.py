"""The binding of a transport: what ProtocolBindAdapter gets, and what it has to answer.

Source: ProtocolBindAdapter, NdisOpenAdapter, NdisCompleteBindAdapter, ProtocolUnbindAdapter (NDIS 5.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ndis.miniport import Medium
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ndis.adapter import MiniportAdapter
    from ndis.open import Open
    from ndis.protocol import BindingClient


class Opener(Protocol):
    """Who opens adapters: NDIS."""

    def open_adapter(
        self, adapter: MiniportAdapter, client: BindingClient, protocol: str, media: Sequence[Medium]
    ) -> Open:
        """NdisOpenAdapter. Raises NdisError(UNSUPPORTED_MEDIA, ADAPTER_NOT_READY)."""


class BindContext:
    """What ProtocolBindAdapter gets: the adapter, and the way to open it."""

    def __init__(self, ndis: Opener, adapter: MiniportAdapter, protocol: str) -> None:
        self.adapter = adapter
        self.protocol = protocol
        self.status = Status.PENDING
        self.opened: Open | None = None
        self._ndis = ndis

    def open(self, client: BindingClient, media: Sequence[Medium] = (Medium.M802_3,)) -> Open:
        """NdisOpenAdapter.

        Raises NdisError(UNSUPPORTED_MEDIA, ADAPTER_NOT_READY).

        While the adapter resets the open pends: its ``state`` is OPENING until
        ``open_adapter_complete``.
        """
        self.opened = self._ndis.open_adapter(self.adapter, client, self.protocol, media)
        return self.opened

    def complete(self, status: Status) -> None:
        """NdisCompleteBindAdapter."""
        self.status = status


class ProtocolDriver(Protocol):
    """A transport: one object a system."""

    def bind_adapter(self, context: BindContext) -> Status:
        """ProtocolBindAdapter: open the adapter by ``context.open`` and keep the open; or refuse.

        PENDING: ``context.complete(status)`` is called later (NdisCompleteBindAdapter).
        """

    def unbind_adapter(self, open_: Open) -> Status:
        """ProtocolUnbindAdapter: stop sending, return what was received, close.

        PENDING: when closed.
        """
