"""The transports that start on demand: which there are, and loading them into a host by their short names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.host.host import Upper
    from ntos.netcfg.loader import Loader

TRANSPORT, ADAPTER = "nettrans", "net"
"""Classes of INF files."""
PREFIX: Final = "net"
"""Of a transport's INF file: ``netnbf`` is nbf."""


def names(loader: Loader) -> list[str]:
    """Return the short names of all that start on demand."""
    automatic = set(loader.automatic())
    return [
        name.removeprefix(PREFIX)
        for name in loader.store.names()
        if name not in automatic and _is_transport(loader, name)
    ]


def load(host: Upper, asked: Sequence[str]) -> None:
    """Load transports by their short names; the host's lock is held. UsageError: there is no such one."""
    known = names(host.loader)
    unknown = [one for one in asked if one not in known]
    if unknown:
        raise UsageError(f"there is no transport {unknown[0]!r}; there are {', '.join(known)}")
    for one in dict.fromkeys(asked):
        host.loader.load(PREFIX + one)


def _is_transport(loader: Loader, name: str) -> bool:
    """Whether an INF file is a transport's: an intermediate driver's has its card's beside it."""
    package, _inf = loader.store.find(name)
    classes = {one: _class(loader, one) for one in package.infs}
    return classes[name] == TRANSPORT and ADAPTER not in classes.values()


def _class(loader: Loader, name: str) -> str:
    said = loader.store.find(name)[1].get("Version", "Class")
    return said.value(0).lower() if said is not None else ""
