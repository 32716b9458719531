"""The bindings of a stack, shown and edited: of one that runs, or of INF files alone.

An edit is ``ACTION=UPPER>LOWER``, with instances or adapters' names as the tree prints them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.host.control_socket import Answer, QuestionError
from ndis.errors import NdisError
from ntos.netcfg.engine import Binding
from ntos.netcfg.registry import SERVICES
from ntos.netcfg.tree import tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.netcfg.component import Service
    from ntos.netcfg.engine import BindingEngine

LINKAGE, ORDER = "linkage", "services"
SHOWN = (LINKAGE, ORDER)


@dataclass(slots=True)
class Bound:
    """An engine, what its adapters are called, and the services in the order they were started."""

    engine: BindingEngine
    name: Callable[[str], str] = lambda instance: instance
    started: list[Service] = field(default_factory=list)
    save: Callable[[], None] = lambda: None


def _enable(engine: BindingEngine, binding: Binding) -> None:
    if not engine.enable(binding):
        raise QuestionError(f"the notify object of {binding.upper} objects to {binding.lower}")


def _move(engine: BindingEngine, binding: Binding, by: int) -> None:
    lowers = [one.lower for one in engine.bindings() if one.upper == binding.upper]
    if binding.lower not in lowers:
        raise ValueError(f"{binding.upper} does not match {binding.lower}")
    at = lowers.index(binding.lower) + by
    if 0 <= at < len(lowers):
        engine.move(binding, at)


ACTIONS: dict[str, Callable[[BindingEngine, Binding], None]] = {
    "enable": _enable,
    "disable": lambda engine, binding: engine.disable(binding),
    "bind": _enable,
    "unbind": lambda engine, binding: engine.disable(binding),
    "first": lambda engine, binding: engine.move(binding, 0),
    "up": lambda engine, binding: _move(engine, binding, -1),
    "down": lambda engine, binding: _move(engine, binding, 1),
}
"""``bind`` and ``unbind`` are for now; the others are also kept, where a stack keeps anything."""
KEPT = frozenset(ACTIONS) - {"bind", "unbind"}


def bindings(bound: Bound, arguments: list[str]) -> Answer:
    """Do the edits in order, then show the tree, and what else was asked for."""
    for argument in arguments:
        if argument not in SHOWN:
            edit(bound, argument)
    lines = [tree(bound.engine, bound.name)]
    if LINKAGE in arguments:
        lines += [f"{line}\n" for line in linkage(bound.engine)]
    if ORDER in arguments:
        lines += [f"{n}. {_service(one)}\n" for n, one in enumerate(bound.started, 1)]
    return Answer("".join(lines), data(bound))


def edit(bound: Bound, text: str) -> None:
    """Do one edit. QuestionError says what is wrong with it."""
    action, _, rest = text.partition("=")
    upper, mark, lower = rest.partition(">")
    if action not in ACTIONS or not mark:
        raise QuestionError(f"{text!r} is no edit: write {' | '.join(ACTIONS)}=UPPER>LOWER")
    binding = Binding(_instance(bound, upper), _instance(bound, lower))
    try:
        ACTIONS[action](bound.engine, binding)
    except ValueError as error:
        raise QuestionError(f"{error}; see the tree for the names in parentheses") from error
    except NdisError as error:
        raise QuestionError(f"{text}: {error}") from error
    if action in KEPT:
        bound.save()


def linkage(engine: BindingEngine) -> list[str]:
    """Return every service's Linkage values."""
    found = []
    for service in engine.registry.keys(SERVICES):
        for key, value in (("", "Bind"), ("", "Export"), ("", "Route"), (r"\Disabled", "Bind")):
            texts = engine.registry.strings(rf"{SERVICES}\{service}\Linkage{key}", value)
            found += [f"{service}\\Linkage{key}\\{value}: {text}" for text in texts]
    return found


def data(bound: Bound) -> dict[str, object]:
    """Return components, bindings in order, and services, as JSON can hold them."""
    engine = bound.engine
    return {
        "components": [
            {
                "instance": one.instance,
                "class": one.kind.value,
                "description": one.description,
                "service": one.service,
                "name": bound.name(one.instance),
            }
            for one in engine.components.values()
        ],
        "bindings": [
            {
                "upper": one.upper,
                "lower": one.lower,
                "enabled": engine.enabled(one),
                "live": one in engine.live,
            }
            for one in engine.bindings()
        ],
        "services": [one.name for one in bound.started],
    }


def _instance(bound: Bound, text: str) -> str:
    """Return the component that a name means: an instance, or an adapter's name, in any case."""
    wanted = text.strip().lower()
    for one in bound.engine.components:
        if wanted in {one.lower(), bound.name(one).lower()}:
            return one
    return text.strip()


def _service(service: Service) -> str:
    needs = f", after {', '.join(service.depends)}" if service.depends else ""
    return f"{service.name} ({service.start.name.lower()}, group {service.group or 'none'}{needs})"
