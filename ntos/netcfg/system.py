"""What a driver finds when it is loaded: the executive, the I/O system, and what other drivers export.

As an NT driver is linked with ndis.sys and tdi.sys, ours asks for their exports, by class. The system knows
none of the classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ntos.netcfg.registry import SERVICES, Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.executive.contract import Executive
    from ntos.io.system import IoSystem
    from ntos.netcfg.driver import Driver, DriverObject
    from ntos.netcfg.registry import Value

Export = TypeVar("Export")


class MissingExportError(LookupError):
    """A driver needs what no driver that was loaded before it exports."""

    def __init__(self, kind: type) -> None:
        super().__init__(f"no driver exports {kind.__name__}: load the one that does first")
        self.kind = kind


class System:
    """One host, as its drivers see it."""

    def __init__(self, io: IoSystem, executive: Executive) -> None:
        self.io = io
        self.executive = executive
        self.registry = Registry()
        self.drivers: dict[str, Driver] = {}
        """The declarations of what is installed, by instance."""
        self.connection: Callable[[str], str] = lambda instance: instance
        """Returns an adapter's name by its instance."""
        self.service: Callable[[str], str] = lambda instance: instance
        """Returns the service of a component by its instance."""
        self.load_library: Callable[[str], DriverObject | None]
        """LoadLibrary: returns what the entry of a library makes, by its file name; None: there is none."""
        self._exports: dict[type, object] = {}

    def export(self, *things: object) -> None:
        """Let drivers that are loaded later find ``things`` by their classes; the last of a class counts."""
        for one in things:
            self._exports[type(one)] = one

    def find(self, kind: type[Export]) -> Export:
        """Return the export of a class. MissingExportError when there is none."""
        found = self._exports.get(kind)
        if not isinstance(found, kind):
            raise MissingExportError(kind)
        return found

    def has(self, kind: type) -> bool:
        """Whether somebody exports it."""
        return kind in self._exports

    def withdraw(self, kind: type) -> None:
        """Take an export back: its driver is unloaded."""
        self._exports.pop(kind, None)

    def parameter(self, service: str, name: str, default: Value) -> Value:
        """Return a value of the service's Parameters key; ``default`` when the registry has none."""
        found = self.registry.get(rf"{SERVICES}\{service}\Parameters", name)
        return default if found is None else found

    def set_parameters(self, service: str, **values: Value) -> None:
        """Write values of the service's Parameters key, before its driver is loaded."""
        for name, value in values.items():
            self.registry.set(rf"{SERVICES}\{service}\Parameters", name, value)
