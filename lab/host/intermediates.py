"""Intermediate drivers between a host's cards and TCP/IP: ``--im capture=FILE``, ``--im vlans=10,20``.

Both edges are installed from INF files. As the MUX sample's notify object does, the transports are taken off
the cards below: what they had there comes through the virtual cards.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import UsageError
from ndis.im.lbfo import Lbfo, Mode
from ndis.im.mux import Mux, Vlan
from ndis.im.passthru import Capture
from ndis.im.span import Span
from protocols.interfaces.edge.bindings import NdisBindings

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.host.live import LiveHost
    from ndis.im.edge import Intermediate
    from ndis.wrapper import Ndis
    from ntos.netcfg.engine import Binding

MOST_VLAN = 4094


@dataclass(frozen=True, slots=True)
class Kind:
    """One driver: the stem of its INF files (``…p``, ``…m``), its service, and its maker."""

    files: str
    service: str
    make: Callable[[Ndis, str], Intermediate]


def _capture(ndis: Ndis, path: str) -> Intermediate:
    try:
        file = Path(path).open("wb", buffering=0)  # noqa: SIM115 - it is written as long as the driver lives
    except OSError as error:
        raise UsageError(f"--im capture={path}: {error.strerror}; give a file that can be written") from error

    def write(data: bytes) -> None:
        file.write(data)

    return Capture(ndis, write)


def _vlans(ndis: Ndis, numbers: str) -> Intermediate:
    try:
        wanted = [int(one) for one in numbers.split(",")]
    except ValueError as error:
        raise UsageError(f"--im vlans={numbers}: write numbers with commas, 0 for untagged") from error
    if len(set(wanted)) != len(wanted) or not all(0 <= one <= MOST_VLAN for one in wanted):
        raise UsageError(f"--im vlans={numbers}: each once, 0 to {MOST_VLAN}")
    return Mux(ndis, [Vlan(f"VLAN {one}" if one else "untagged", one) for one in wanted])


def _span(ndis: Ndis, number: str) -> Intermediate:
    if not number.isdecimal() or int(number) > MOST_VLAN:
        raise UsageError(f"--im span={number}: give one VLAN, 0 for untagged")
    return Span(ndis, int(number))


def _team(ndis: Ndis, mode: str) -> Intermediate:
    found = {one.name.lower(): one for one in Mode}.get(mode)
    if found is None:
        raise UsageError(f"--im team={mode}: take {', '.join(one.name.lower() for one in Mode)}")
    return Lbfo(ndis, found)


KINDS = {
    "capture": Kind("netrwcap", "rwcap", _capture),
    "vlans": Kind("netrwmux", "rwmux", _vlans),
    "span": Kind("netrwmux", "rwmux", _span),
    "team": Kind("netrwlbfo", "rwlbfo", _team),
}


def insert(host: LiveHost, text: str) -> list[str]:
    """Put an intermediate driver over the host's cards; return its virtual adapters' names. UsageError."""
    name, mark, argument = text.partition("=")
    kind = KINDS.get(name)
    if kind is None or not mark:
        raise UsageError(f"--im {text}: take capture=FILE, vlans=N,N, span=N or team=MODE")
    loader = host.loader
    driver = kind.make(host.ndis, argument)
    edge = loader.install(f"{kind.files}p")
    loader.start(demand=kind.service)
    loader.objects.of[edge.instance] = NdisBindings(host.upper.system, host.ndis, driver.protocol)
    below = [one for one in loader.engine.bindings() if _is_transports(host, one)]
    for binding in below:
        loader.engine.disable(binding)
    loader.bind(edge)
    made = [adapter.name for adapter in driver.adapters]
    for one in made:
        virtual = loader.add_adapter(f"{kind.files}m", one)
        loader.bind(virtual)
    return made


def _is_transports(host: LiveHost, binding: Binding) -> bool:
    """Whether a transport is bound to a card there, not another intermediate driver."""
    components = host.loader.engine.components
    upper = components[binding.upper]
    stands = any(upper.upper & one.lower for one in components.values() if one.is_adapter)
    return components[binding.lower].is_adapter and not upper.is_adapter and not stands
