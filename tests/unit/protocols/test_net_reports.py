"""What ``ringwalk net ping`` and its kin print of a stack that had nothing to do for a while."""

from __future__ import annotations

import re

from lab.host import reports
from lab.host.virtual import VirtualHosts
from protocols.transports.tcpip.timers import SECOND

IDLE_NS = 60 * SECOND


def test_a_ping_of_an_idle_stack_measures_from_now_and_waits_its_whole_time() -> None:
    """The stack's own clock stands where its last turn was: a minute ago."""
    hosts = VirtualHosts()
    near = hosts.hosts[0]
    reports.ping(near, "10.0.0.2")
    hosts.network.now += IDLE_NS

    told = reports.ping(near, "10.0.0.2")

    times = [float(text) for text in re.findall(r"time=([\d.]+)ms", told)]
    assert len(times) == 4
    assert max(times) < 1000


def test_a_traced_neighbour_is_the_first_hop_of_an_idle_stack_too() -> None:
    """A probe whose time began long ago would have timed out as it left."""
    hosts = VirtualHosts()
    hosts.network.now += IDLE_NS

    told = reports.tracert(hosts.hosts[0], "10.0.0.2")

    assert re.fullmatch(r"Tracing route .*\n {2}1 +[\d.]+ ms {2}10\.0\.0\.2\n", told)
