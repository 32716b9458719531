"""A system as a declaration: what a folder's ``driver.py`` exports as ``DRIVER``.

The folder has the system's INF file beside it. The INF's ServiceBinary (of a library its ComponentDll) names
the file that ``Driver.binary`` stands for: so the loader finds the code. Nothing here knows a driver by name.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.netcfg.component import Service
    from ntos.netcfg.osi import Component
    from ntos.netcfg.system import System


class State(enum.Enum):
    """How far a system is."""

    WORKS = "works"
    PART = "in part"
    NOT_YET = "not yet"


class DriverObject:
    """What DriverEntry returns: how the driver is bound to what is below it, and how it ends.

    ``lower`` is the instance of the component below, as the binding engine names it.
    """

    def bind(self, lower: str) -> None:
        """Join: use the component below from now on."""

    def unbind(self, lower: str) -> None:
        """Part; nothing is outstanding below when this returns."""

    def reorder(self, lowers: list[str]) -> None:
        """Take note of the order of what it is bound to, the highest priority first."""

    def unload(self) -> None:
        """DriverUnload: it is bound to nothing any more; take back what DriverEntry has made."""


@dataclass(frozen=True, slots=True)
class Driver:
    """One system. What is not needed to load it is there for the documents."""

    name: str
    """The service of the INF file; of a library, its instance in the bindings."""
    binary: str
    """The NT file that it stands for, as ServiceBinary and ComponentDll name it, without the folder."""
    title: str
    components: tuple[Component, ...]
    """Its OSI layers and edges, and where in its folder each is."""
    seed: str
    """The section of the seed documents that asks for it."""
    proof: str
    """The command that proves it."""
    judge: str
    """The outside program that judged; empty where there is none."""
    entry: Callable[[System], DriverObject] | None = None
    """DriverEntry. None: nothing runs when it is loaded."""
    devices: tuple[str, ...] = ()
    """The TDI devices that it creates."""
    is_standing: bool = False
    """Whether its devices are of use without a card: a transport with a loopback of its own."""
    service: Service | None = None
    """The service of a driver that comes with the system, without an INF file."""
    state: State = State.WORKS
    rows: tuple[int, ...] = ()
    """The rows of the list of all systems (docs/reference/systems.md) that it is."""
