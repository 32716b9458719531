"""Bindings between installed components.

Matched by range, ordered, disabled, written to Linkage, made live.

A binding joins an upper component to a lower one that exports an interface it wants. A path runs
from a component down to an adapter. The engine calls a ``Binder`` for what changes; it sends
nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ntos.netcfg.component import Characteristics, Component, ComponentClass
from ntos.netcfg.registry import SERVICES, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVICE = "\\Device\\"


@dataclass(frozen=True, slots=True)
class Binding:
    """One joint: the instance names of its upper and lower component."""

    upper: str
    lower: str


class Binder(Protocol):
    """Who makes a binding live.

    ``Ndis.bind`` for protocols over adapters, TDI for what is above.
    """

    def bind(self, binding: Binding) -> None:
        """Join the two."""

    def unbind(self, binding: Binding) -> None:
        """Part them; nothing of the upper's is outstanding in the lower when this returns."""

    def reorder(self, upper: str, lowers: list[str]) -> None:
        """Tell ``upper`` the new order of what it is bound to (NetEventBindList)."""


class Notify(Protocol):
    """A component's notify object (INetCfgComponentNotifyBinding)."""

    def query_binding_path(self, path: tuple[str, ...]) -> bool:
        """Whether a new path may be enabled."""

    def notify_binding_path(self, change: str, path: tuple[str, ...]) -> None:
        """Tell that a path was enabled, disabled, added or removed."""


class BindingEngine:
    """The installed components and the joints between them.

    Invariants: ``_order`` has for every upper each lower it matches, once; what is live is exactly
    what is enabled and whose path reaches an adapter, or a component that is ``standing``.
    """

    def __init__(
        self,
        registry: Registry | None = None,
        binder: Binder | None = None,
    ) -> None:
        self.standing: set[str] = set()
        """Transports with a loopback of their own: who is bound to them stays so without a card."""
        self.registry = registry if registry is not None else Registry()
        self.components: dict[str, Component] = {}
        self.live: list[Binding] = []
        self.notify: dict[str, Notify] = {}
        self._binder = binder
        self._order: dict[str, list[str]] = {}
        self._disabled: set[Binding] = set()

    # Components.

    def add(self, component: Component) -> None:
        """Install: match it with all others, newest first in no list, and make live what is new."""
        if component.instance in self.components:
            raise ValueError(f"{component.instance} is installed already")
        self.components[component.instance] = component
        self._order[component.instance] = [
            other.instance for other in self.components.values() if matches(component, other)
        ]
        for other in self.components.values():
            circular = other.instance in self._below(component.instance)
            if other is not component and matches(other, component) and not circular:
                self._order[other.instance].append(component.instance)
        self.apply()

    def remove(self, instance: str) -> None:
        """Uninstall: its bindings end first."""
        component = self.components[instance]
        for binding in [b for b in self.bindings() if instance in (b.upper, b.lower)]:
            self._disabled.add(binding)
        self.apply()
        del self.components[instance]
        del self._order[instance]
        for order in self._order.values():
            if instance in order:
                order.remove(instance)
        self._disabled = {b for b in self._disabled if instance not in (b.upper, b.lower)}
        if component.service and not self._of_service(component.service):
            self.registry.delete(rf"{SERVICES}\{component.service}\Linkage")
        self.apply()

    # Bindings.

    def bindings(self) -> Iterator[Binding]:
        """Every match, in order, enabled or not."""
        for upper, lowers in self._order.items():
            for lower in lowers:
                yield Binding(upper, lower)

    def lowers(self, upper: str) -> list[str]:
        """Return what ``upper`` is bound to, the highest priority first."""
        return [x for x in self._order[upper] if self.enabled(Binding(upper, x))]

    def enabled(self, binding: Binding) -> bool:
        """Whether the user has left it on."""
        return binding not in self._disabled

    def enable(self, binding: Binding) -> bool:
        """Switch a binding on; False when a notify object objects."""
        self._require(binding)
        path = (binding.upper, binding.lower)
        objector = self.notify.get(self.components[binding.upper].notify_class)
        if objector is not None and not objector.query_binding_path(path):
            return False
        self._disabled.discard(binding)
        self.apply()
        if objector is not None:
            objector.notify_binding_path("enabled", path)
        return True

    def disable(self, binding: Binding) -> None:
        """Switch a binding off; it is unbound when this returns."""
        self._require(binding)
        self._disabled.add(binding)
        self.apply()
        told = self.notify.get(self.components[binding.upper].notify_class)
        if told is not None:
            told.notify_binding_path("disabled", (binding.upper, binding.lower))

    def move(self, binding: Binding, to: int) -> None:
        """Give a binding another place in its upper's order; 0 is the highest priority."""
        self._require(binding)
        order = self._order[binding.upper]
        order.remove(binding.lower)
        order.insert(to, binding.lower)
        self.apply()
        if self._binder is not None:
            lowers = [b.lower for b in self.live if b.upper == binding.upper]
            self._binder.reorder(binding.upper, lowers)

    def paths(self, top: str) -> list[tuple[str, ...]]:
        """Return the enabled paths from ``top`` down to adapters, in order of priority."""
        if self.components[top].is_adapter:  # a virtual one too: what it stands on is its driver's affair
            return [(top,)] if self._reaches(top) else []
        return [(top, *path) for lower in self.lowers(top) for path in self.paths(lower)]

    # What follows.

    def apply(self) -> None:
        """Write Linkage anew, and bind and unbind what has changed: top down off, bottom up on."""
        self._write_linkage()
        wanted = [b for b in self.bindings() if self.enabled(b) and self._reaches(b.lower)]
        gone = [b for b in self.live if b not in wanted]
        new = [b for b in wanted if b not in self.live]
        for binding in sorted(gone, key=lambda b: -self._height(b.upper)):
            self.live.remove(binding)
            if self._binder is not None:
                self._binder.unbind(binding)
        for binding in sorted(new, key=lambda b: self._height(b.upper)):
            if self._binder is not None:
                self._binder.bind(binding)  # if it cannot, the binding is not live
            self.live.append(binding)
        self.live.sort(key=wanted.index)

    def _reaches(self, instance: str) -> bool:
        """Whether there is an adapter at the end: a virtual one counts while it stands on another."""
        if instance in self.standing:
            return True
        if self.components[instance].is_adapter:
            return not self._order[instance] or any(map(self._reaches, self.lowers(instance)))
        return any(map(self._reaches, self.lowers(instance)))

    def _below(self, instance: str) -> set[str]:
        """Everything that the component may stand on."""
        lowers = self._order[instance]
        return set(lowers).union(*(self._below(lower) for lower in lowers))

    def device(self, path: tuple[str, ...]) -> str:
        r"""Return the device that the top of a path exports: ``\Device\NetBT_Tcpip_{…}``."""
        names = [self.components[i].service or i for i in path[:-1]]
        return DEVICE + "_".join([*names, path[-1]])

    def _write_linkage(self) -> None:
        services = {c.service for c in self.components.values() if c.service}
        for service in services:
            members = self._of_service(service)
            paths = [p for m in members for p in self.paths(m.instance)]
            below = [p[1:] for p in paths if len(p) > 1]
            key = rf"{SERVICES}\{service}\Linkage"
            self.registry.set(key, "Bind", tuple(self.device(p) for p in below))
            self.registry.set(key, "Export", tuple(self.device(p) for p in paths))
            self.registry.set(key, "Route", tuple(self._route(p) for p in below))
            off = [b.lower for b in self._disabled if b.upper in {m.instance for m in members}]
            disabled = tuple(self.device((lower,)) for lower in sorted(off))
            self.registry.set(key + r"\Disabled", "Bind", disabled)

    def _route(self, path: tuple[str, ...]) -> str:
        names = [self.components[i].service or i for i in path[:-1]]
        return " ".join(f'"{name}"' for name in [*names, path[-1]])

    def _of_service(self, service: str) -> list[Component]:
        return [c for c in self.components.values() if c.service == service]

    def _height(self, instance: str) -> int:
        return 1 + max((self._height(x) for x in self._order.get(instance, [])), default=0)

    def _require(self, binding: Binding) -> None:
        if binding.lower not in self._order.get(binding.upper, ()):
            raise ValueError(f"{binding.upper} does not match {binding.lower}")


def matches(upper: Component, lower: Component) -> bool:
    """Whether ``upper`` can be bound to ``lower``.

    An interface in both ranges, and the right kinds.

    A light-weight filter matches adapters by media type and is no rung of the ladder.
    """
    if upper is lower or Characteristics.LW_FILTER & upper.characteristics:
        return False
    if upper.is_adapter and Characteristics.VIRTUAL not in upper.characteristics:
        return False
    rank = list(ComponentClass).index
    same_rank = upper.kind is lower.kind
    if rank(upper.kind) < rank(lower.kind) and not upper.is_adapter:
        return False
    if same_rank and upper.instance in lower.lower:
        return False
    return bool(upper.lower & lower.upper)
