"""The names of cards, engines and transports. It loads nothing: ``--help`` names them."""

from __future__ import annotations

from typing import Final

QEMU_DRIVERS: Final = {"qemu-e1000e": "e1000e", "virtio-net": "virtio-net-pci"}
KINDS: Final = ("82574l", *QEMU_DRIVERS)
ENGINES: Final = ("native", "reference")
"""Who moves our card's frames; the first is the default."""
OURS: Final = "vfio-user"
LIBVFIO: Final = "libvfio-user"
TRANSPORTS: Final = (OURS, LIBVFIO)
"""Whose vfio-user our card is served by."""
