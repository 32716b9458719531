"""Loads a host's drivers as their INF files say: services in order, then bindings by the engine.

It knows components, order and declarations, and no driver by name. What a file means is in the driver store;
what a binding means is the driver object's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.netcfg.component import Component, StartType, install, models, services, software_key
from ntos.netcfg.engine import Binding, BindingEngine
from ntos.netcfg.services import DependencyError, start_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntos.netcfg.component import Service
    from ntos.netcfg.driver import Driver, DriverObject
    from ntos.netcfg.registry import Registry
    from ntos.netcfg.store import DriverStore, Package
    from ntos.netcfg.system import System


class DriverObjects:
    """The engine's binder: the upper component's driver object joins and parts; a virtual card has none."""

    def __init__(self) -> None:
        self.of: dict[str, DriverObject] = {}

    def bind(self, binding: Binding) -> None:
        """Join the two."""
        upper = self.of.get(binding.upper)
        if upper is not None:
            upper.bind(binding.lower)

    def unbind(self, binding: Binding) -> None:
        """Part the two."""
        upper = self.of.get(binding.upper)
        if upper is not None:
            upper.unbind(binding.lower)

    def reorder(self, upper: str, lowers: list[str]) -> None:
        """Tell the upper component the order of what it is bound to."""
        found = self.of.get(upper)
        if found is not None:
            found.reorder(lowers)


class Loader:
    """One host's engine, started services and driver objects.

    Invariant: ``started`` is in an order in which each service comes after all that it depends on.
    """

    def __init__(self, store: DriverStore, system: System) -> None:
        """Take drivers from ``store``; start nothing."""
        self.store = store
        self.system = system
        self.objects = DriverObjects()
        self.engine = BindingEngine(system.registry, self.objects)
        self.started: list[Service] = []
        system.connection = self.connection
        system.service = self.service
        system.load_library = self.load_library
        self._installed: dict[str, Service] = {}
        self._entries: dict[str, tuple[str, Driver]] = {}
        """By service: the instance of its component, and the declaration of its code."""
        self._libraries: dict[str, DriverObject] = {}
        self._cards = 0
        for driver in store.built_in():
            if driver.service is not None:
                self._know(driver.service, driver.name, driver)

    @property
    def registry(self) -> Registry:
        """What the INF files wrote, and Linkage."""
        return self.engine.registry

    def install(self, name: str, instance: str = "", connection: str = "") -> Component:
        """Install an INF file's first model; bind nothing yet. ``connection`` names an adapter for people.

        DriverStoreError when there is no such file, or when its folder declares other drivers.
        """
        package, inf = self.store.find(name)
        (_description, _section, identifier), *_ = models(inf)
        component = install(inf, self.registry, identifier, instance)
        driver = self._driver(package, component)
        for service in component.services:
            self._know(service, component.instance, driver)
        if driver is not None:
            self.system.drivers[component.instance] = driver
            if driver.is_standing:
                self.engine.standing.add(component.instance)
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
                self._run_entry(service.name)
                self.started.append(service)

    def load_host(self, names: Sequence[str] | None = None) -> None:
        """Install what starts with the system (or ``names``), start it in order, bind from the bottom up."""
        wanted = self.automatic() if names is None else names
        components = [self.install(name) for name in wanted]
        self.start()
        order = {service.name: at for at, service in enumerate(self.started)}
        for component in sorted(components, key=lambda one: order.get(one.service, len(order))):
            self._attach_library(component)
            self.engine.add(component)

    def load(self, name: str) -> Component:
        """Install one more transport, service or library, start it whatever its start type, and bind it."""
        component = self.install(name)
        self.start(demand=component.service)
        self._attach_library(component)
        self.engine.add(component)
        return component

    def unload(self, instance: str) -> None:
        """End what is bound to it, then its own bindings, then the driver: DriverUnload.

        Raises DependencyError while a started service depends on it.
        """
        component = self.engine.components[instance]
        for other in self.started:
            if component.service and component.service.lower() in map(str.lower, other.depends):
                raise DependencyError(component.service, other.name, "depends on it", "stop")
        self.engine.remove(instance)
        found = self.objects.of.pop(instance, None)
        if found is not None:
            found.unload()
        gone = {service.name.lower() for service in component.services}
        self.started = [one for one in self.started if one.name.lower() not in gone]
        for name in gone:
            self._installed.pop(name, None)
            self._entries.pop(name, None)
        self.system.drivers.pop(instance, None)
        self.engine.standing.discard(instance)

    def reload(self, service: str) -> None:
        """Run a started service's DriverEntry again: its driver was unloaded by its own means."""
        self._run_entry(service)

    def automatic(self) -> list[str]:
        """Return the INF files of what starts with the system: no adapter, and no service on demand."""
        found = []
        for name in self.store.names():
            _package, inf = self.store.find(name)
            component_class = inf.get("Version", "Class")
            is_adapter = component_class is not None and component_class.value(0).lower() == "net"
            if not is_adapter and all(one.start < StartType.DEMAND for one in services(inf)):
                found.append(name)
        return found

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

    def service(self, instance: str) -> str:
        """Return the service of a component; empty when it has none."""
        component = self.engine.components.get(instance)
        return component.service if component is not None else ""

    def load_library(self, binary: str) -> DriverObject | None:
        """LoadLibrary: run a library's entry, once; None when no declaration stands for the file."""
        key = binary.lower()
        if key not in self._libraries:
            driver = self.store.library(key)
            if driver is None or driver.entry is None:
                return None
            self._libraries[key] = driver.entry(self.system)
        return self._libraries[key]

    def _know(self, service: Service, instance: str, driver: Driver | None) -> None:
        self._installed[service.name.lower()] = service
        if driver is not None:
            self._entries[service.name.lower()] = instance, driver

    def _driver(self, package: Package, component: Component) -> Driver | None:
        library = self.registry.get(rf"{software_key(component)}\Ndi", "ComponentDll")
        binaries = [one.binary for one in component.services] or [str(library or "")]
        return package.driver(binaries[0].rpartition("\\")[2])

    def _run_entry(self, service: str) -> None:
        found = self._entries.get(service.lower())
        if found is not None:
            self._enter(*found)

    def _attach_library(self, component: Component) -> None:
        """Run the entry of what has no service to be started by."""
        driver = self.system.drivers.get(component.instance)
        if driver is not None and not component.service:
            self._enter(component.instance, driver)

    def _enter(self, instance: str, driver: Driver) -> None:
        if driver.entry is not None:
            self.objects.of[instance] = driver.entry(self.system)
