"""Loading in the right order.

Dependencies, groups, start types; nothing starts without what it needs.

Source: DependOnService, DependOnGroup and ServiceGroupOrder of the service control manager.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ntos.netcfg.component import Service

GROUP_ORDER = (
    "Boot Bus Extender",
    "NDIS Wrapper",
    "NDIS",
    "PNP_TDI",
    "TDI",
    "NetBIOSGroup",
    "NetDDEGroup",
    "",
)


class DependencyError(Exception):
    """A service cannot start: ``service`` lacks ``missing``, or the dependencies go in a circle.

    Or it cannot ``stop``, because ``missing`` needs it.
    """

    def __init__(self, service: str, missing: str, why: str, verb: str = "start") -> None:
        super().__init__(f"{service} cannot {verb}: {missing} {why}")
        self.service = service
        self.missing = missing


def start_order(services: Iterable[Service]) -> list[Service]:
    """Return the services in the order in which they start.

    First by start type, then by group, then by name; a dependency always before who depends on it.
    Raises DependencyError. A dependency on a group (``+TDI``) needs at least one service of that
    group.
    """
    known = {s.name.lower(): s for s in services}
    ranks = {group.lower(): at for at, group in enumerate(GROUP_ORDER)}
    ordered = sorted(
        known.values(),
        key=lambda s: (s.start, ranks.get(s.group.lower(), len(ranks)), s.name.lower()),
    )
    done: dict[str, Service] = {}
    for service in ordered:
        _visit(service, known, done, [])
    return list(done.values())


def _visit(service: Service, known: dict[str, Service], done: dict[str, Service], path: list[str]) -> None:
    name = service.name.lower()
    if name in done:
        return
    if name in path:
        raise DependencyError(service.name, known[path[-1]].name, "depends on it in a circle")
    for wanted in service.depends:
        for other in _providers(service, wanted, known):
            _visit(other, known, done, [*path, name])
    done[name] = service


def _providers(service: Service, wanted: str, known: dict[str, Service]) -> list[Service]:
    if wanted.startswith("+"):
        group = wanted[1:].lower()
        found = [s for s in known.values() if s.group.lower() == group and s is not service]
        if not found:
            raise DependencyError(service.name, wanted, "has no member")
        return found
    if wanted.lower() not in known:
        raise DependencyError(service.name, wanted, "is not installed")
    return [known[wanted.lower()]]
