"""Loads an NT host's drivers as their INF files say: services in order, then bindings by the engine.

The files are those of ``infs``. What a service or a joint means is a table of the host's; this module knows
components, order and names only.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Protocol

from ntos.netcfg.component import Service, StartType, install, models, software_key
from ntos.netcfg.engine import Binding, BindingEngine
from ntos.netcfg.inf import Inf
from ntos.netcfg.services import start_order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ntos.netcfg.component import Component
    from ntos.netcfg.registry import Registry

NDIS_SERVICE = Service("NDIS", StartType.BOOT, "NDIS Wrapper", (), r"%12%\ndis.sys")
"""It comes with the system and not by an INF file."""
STANDING = frozenset({"Tcpip"})
"""Its devices are there without a card: 127.0.0.1 goes on, and sockets outlive an unbound card."""
HOST_FILES = (("nettcpip", ""), ("netafd", ""), ("netwsk", ""), ("netwsock", "Winsock"))
"""INF files, and the instance of what has no service to be called by."""


class Joint(Protocol):
    """What a component does when it is bound to one below it, named by its instance."""

    def bind(self, lower: str) -> None:
        """Join."""

    def unbind(self, lower: str) -> None:
        """Part; nothing is outstanding below when it returns."""

    def reorder(self, lowers: list[str]) -> None:
        """Take note of the order, the highest priority first."""


class Joints:
    """The engine's binder: each upper component has its own ``Joint``, a virtual card needs none."""

    def __init__(self) -> None:
        """Know no component yet."""
        self.of: dict[str, Joint] = {}

    def bind(self, binding: Binding) -> None:
        """Join the two."""
        joint = self.of.get(binding.upper)
        if joint is not None:
            joint.bind(binding.lower)

    def unbind(self, binding: Binding) -> None:
        """Part the two."""
        joint = self.of.get(binding.upper)
        if joint is not None:
            joint.unbind(binding.lower)

    def reorder(self, upper: str, lowers: list[str]) -> None:
        """Tell the upper component the order of what it is bound to."""
        joint = self.of.get(upper)
        if joint is not None:
            joint.reorder(lowers)


def read(name: str) -> Inf:
    """Return one of our INF files, by its name without the suffix."""
    return Inf.parse((resources.files("lab.host") / "infs" / f"{name}.inf").read_bytes())


class Loader:
    """One host's registry, engine and started services.

    Invariant: ``started`` is in an order in which each service comes after all that it depends on.
    """

    def __init__(self, entries: Mapping[str, Callable[[], object]]) -> None:
        """Know each service's DriverEntry; start nothing."""
        self.joints = Joints()
        self.engine = BindingEngine(binder=self.joints, standing=STANDING)
        self.started: list[Service] = []
        self._entries = {name.lower(): entry for name, entry in entries.items()}
        self._installed: dict[str, Service] = {NDIS_SERVICE.name.lower(): NDIS_SERVICE}
        self._cards = 0

    @property
    def registry(self) -> Registry:
        """What the INF files wrote, and Linkage."""
        return self.engine.registry

    def install(self, name: str, instance: str = "", connection: str = "") -> Component:
        """Install an INF file's first model; bind nothing yet. ``connection`` names an adapter for people."""
        inf = read(name)
        (_description, _section, identifier), *_ = models(inf)
        component = install(inf, self.registry, identifier, instance)
        self._installed.update((one.name.lower(), one) for one in component.services)
        if connection:
            self.registry.set(rf"{software_key(component)}\Connection", "Name", connection)
        return component

    def start(self, *, demand: str = "") -> None:
        """Start what is not started: all services but those on demand, of which only the named one.

        Raises DependencyError when one lacks what it depends on; nothing that depends on it is started.
        """
        for service in start_order(self._installed.values()):
            wanted = service.start < StartType.DEMAND or service.name == demand
            if wanted and service not in self.started:
                entry = self._entries.get(service.name.lower())
                if entry is not None:
                    entry()
                self.started.append(service)

    def load_host(self, files: Sequence[tuple[str, str]] = HOST_FILES) -> None:
        """Install the transports, services and APIs; start them in order; bind from the bottom up."""
        components = [self.install(name, instance) for name, instance in files]
        self.start()
        for component in components:
            self.engine.add(component)

    def add_adapter(self, name: str, connection: str) -> Component:
        """Install one more adapter and start its service. The caller makes its device, then ``bind``s it."""
        self._cards += 1
        component = self.install(name, f"{{{self._cards}}}", connection)
        self.start(demand=component.service)
        return component

    def bind(self, component: Component) -> None:
        """Let the engine match a component with all others, and make it live."""
        self.engine.add(component)

    def unbind_adapters(self) -> None:
        """Uninstall the adapters, the last first: a virtual one before what it stands on."""
        for one in [c for c in reversed(self.engine.components.values()) if c.is_adapter]:
            self.engine.remove(one.instance)

    def connection(self, instance: str) -> str:
        """Return an adapter's name for people; its instance when it has none."""
        component = self.engine.components.get(instance)
        if component is None or not component.is_adapter:
            return instance
        name = self.registry.get(rf"{software_key(component)}\Connection", "Name")
        return str(name) if name is not None else instance
