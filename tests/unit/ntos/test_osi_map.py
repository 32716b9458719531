"""The OSI map."""

from __future__ import annotations

import itertools

import pytest

from lab.host.systems import osi_map
from ntos.netcfg.osi import Component, Layer, Registry, UnknownComponentError, UpsideDownError

SEND = ["winsock", "afd", "tdi", "tcp", "ip", "ndis", "miniport", "82574l", "wire"]


def test_a_send_names_every_layer_it_passes() -> None:
    """From the API to the cable."""
    trace = osi_map().describe(SEND)

    assert trace == (
        "winsock(7/6/5) -> afd(5) -> tdi(5/4) -> tcp(4) -> ip(3) -> ndis(2 LLC/2 MAC) -> "
        "miniport(2 MAC) -> 82574l(2 MAC/1) -> wire(1)"
    )
    numbers = {layer.number for name in SEND for layer in osi_map()[name].layers}
    assert numbers == set(range(1, 8))


def test_neighbours_of_a_send_share_an_edge() -> None:
    """What one calls below is what the next one offers above."""
    broken = [(a, b) for a, b in itertools.pairwise(SEND) if not osi_map().joins(a, b)]

    assert broken == []


def test_a_kernel_send_goes_by_its_own_seam() -> None:
    """WSK and the transport's own interface in place of Winsock, AFD and TDI."""
    hops = ["wsk", "tlnpi", *SEND[3:]]

    broken = [(a, b) for a, b in itertools.pairwise(hops) if not osi_map().joins(a, b)]

    assert broken == []
    assert osi_map().describe(hops[:3]) == "wsk(5) -> tlnpi(5/4) -> tcp(4)"


def test_a_trace_that_goes_up_is_refused() -> None:
    """A component wholly above the one before it cannot come after it."""
    with pytest.raises(UpsideDownError, match="tcp"):
        osi_map().annotate(["ip", "tcp"])


def test_an_unknown_hop_is_named() -> None:
    """A hop that nobody registered is a bug of the trace."""
    with pytest.raises(UnknownComponentError, match="carrier pigeon"):
        osi_map().describe(["winsock", "carrier pigeon"])


def test_a_name_is_registered_once_and_has_a_layer() -> None:
    """Two components of one name would make traces ambiguous."""
    registry = Registry([Component("a", (Layer.NETWORK,), "x", "y", "")])

    with pytest.raises(ValueError, match="already"):
        registry.add(Component("a", (Layer.MAC,), "x", "y", ""))
    with pytest.raises(ValueError, match="no layer"):
        registry.add(Component("b", (), "x", "y", ""))


def test_the_map_is_walked_from_the_top() -> None:
    """The docs' table is made in this order."""
    heights = [component.top.number for component in osi_map()]

    assert heights == sorted(heights, reverse=True)
