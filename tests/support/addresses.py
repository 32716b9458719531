"""Addresses as TDI types them, for tests that look inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.interfaces.tdi.address import InternetAddress

if TYPE_CHECKING:
    from protocols.interfaces.tdi.address import TdiAddress


def inet(address: TdiAddress | None) -> InternetAddress:
    """Return an address that must be of either IP version."""
    assert isinstance(address, InternetAddress)
    return address
