"""The bindings as text, as INetCfg's bindview shows them.

Components by class, below each what it is bound to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.netcfg.component import ComponentClass

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.netcfg.component import Component
    from ntos.netcfg.engine import BindingEngine

TITLES = (
    (ComponentClass.CLIENT, "Clients"),
    (ComponentClass.SERVICE, "Services"),
    (ComponentClass.TRANSPORT, "Protocols"),
    (ComponentClass.NET, "Adapters"),
)


def tree(engine: BindingEngine, name: Callable[[str], str] = str) -> str:
    """Return the whole tree; a disabled binding is marked ``x``, one that waits for what is below it ``?``.

    ``name`` gives an adapter's name for people, where it has one.
    """
    lines = []
    for kind, title in TITLES:
        members = [c for c in engine.components.values() if c.kind is kind]
        if members:
            lines.append(title)
        for component in members:
            lines.append(f"  {_name(component, name)}")
            lines += _below(engine, component.instance, 2, name)
    return "\n".join(lines) + "\n"


def _below(engine: BindingEngine, instance: str, depth: int, name: Callable[[str], str]) -> list[str]:
    lines = []
    for binding in engine.bindings():
        if binding.upper != instance:
            continue
        mark = "-" if binding in engine.live else "?" if engine.enabled(binding) else "x"
        lower = engine.components[binding.lower]
        lines.append("  " * depth + f"{mark} {_name(lower, name)}")
        lines += _below(engine, binding.lower, depth + 1, name)
    return lines


def _name(component: Component, name: Callable[[str], str]) -> str:
    called = name(component.instance)
    if called != component.instance:
        return f"{called}, {component.description} ({component.instance})"
    return f"{component.description} ({component.instance})"
