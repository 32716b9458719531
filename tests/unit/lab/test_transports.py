"""Transports by their short names."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import pytest

from lab.errors import UsageError
from lab.host import transports
from lab.host.virtual import VirtualHosts


def test_every_transport_on_demand_has_a_short_name_and_no_intermediate_driver_is_one() -> None:
    host = VirtualHosts(1).hosts[0]

    found = transports.names(host.loader)

    assert {"atalk", "dlc", "nbf"} <= set(found)
    assert not any(one.startswith("rw") for one in found)
    assert "tcpip" not in found


def test_a_transport_that_there_is_not_is_told_with_those_that_there_are() -> None:
    host = VirtualHosts(1).hosts[0]

    with pytest.raises(UsageError, match=r"no transport 'decnet'; there are atalk, dlc, nbf"):
        transports.load(host, ["decnet"])
