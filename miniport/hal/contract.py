"""The contract between a driver and the bus its card is on.

It is ``ndis.hardware.Hardware`` (registers, shared memory, interrupts, configuration space) and what a
PCI bus driver grants on top: how many interrupt messages, and a way to wait. Whoever implements it does the
I/O; a driver written against it runs on every bus. Source: HalGetInterruptVector, CM_RESOURCE_LIST,
KeStallExecutionProcessor, IoGetDmaAdapter (Windows DDK).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ndis.hardware import Hardware

if TYPE_CHECKING:
    from collections.abc import Callable


@runtime_checkable
class Bus(Hardware, Protocol):
    """One card on its bus."""

    @property
    def messages(self) -> int:
        """The interrupt messages granted: 0 a line (INTx), 1 MSI, more MSI-X.

        ``connect_interrupt`` takes 0 to ``max(messages, 1) - 1``.
        """

    def stall(self, delay_us: int) -> None:
        """KeStallExecutionProcessor: let ``delay_us`` of the card's time pass, here and now."""


@dataclass(eq=False, slots=True)
class Connection:
    """One connected interrupt: what ``connect_interrupt`` returns."""

    message: int
    service: Callable[[], bool]


class Reactor(Protocol):
    """What calls back when a file descriptor has something: the executive of a bus with real interrupts."""

    def watch(self, fd: int, ready: Callable[[], None], *, edge: bool = False) -> None:
        """Call ``ready`` whenever ``fd`` is readable, from ``wait`` or ``run`` of the executive.

        ``edge``: whenever it has become so; ``ready`` takes all there is.
        """

    def unwatch(self, fd: int) -> None:
        """Call it no more."""
