"""The bindings as text, as INetCfg's bindview shows them.

Components by class, below each what it is bound to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.binding.component import ComponentClass
from ndis.binding.engine import Binding, BindingEngine

if TYPE_CHECKING:
    from ndis.binding.component import Component

TITLES = (
    (ComponentClass.CLIENT, "Clients"),
    (ComponentClass.SERVICE, "Services"),
    (ComponentClass.TRANSPORT, "Protocols"),
    (ComponentClass.NET, "Adapters"),
)


def tree(engine: BindingEngine) -> str:
    """Return the whole tree; a disabled binding is marked with ``x``."""
    lines = []
    for kind, title in TITLES:
        members = [c for c in engine.components.values() if c.kind is kind]
        if members:
            lines.append(title)
        for component in members:
            lines.append(f"  {_name(component)}")
            lines += _below(engine, component.instance, 2)
    return "\n".join(lines) + "\n"


def _below(engine: BindingEngine, instance: str, depth: int) -> list[str]:
    lines = []
    for binding in engine.bindings():
        if binding.upper != instance:
            continue
        mark = "-" if engine.enabled(Binding(instance, binding.lower)) else "x"
        lower = engine.components[binding.lower]
        lines.append("  " * depth + f"{mark} {_name(lower)}")
        lines += _below(engine, binding.lower, depth + 1)
    return lines


def _name(component: Component) -> str:
    return f"{component.description} ({component.instance})"
