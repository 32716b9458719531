"""Samba's nmblookup asks our stack for its NetBIOS names, over an emulated card."""

from __future__ import annotations

import shutil
import time

import pytest

from lab.errors import UsageError
from lab.host.station import Station
from protocols.transports.netbt.names import State

pytestmark = pytest.mark.skipif(
    shutil.which("nmblookup") is None, reason="no nmblookup here: install samba-common-bin"
)
PATIENCE_S = 60.0


def test_nmblookup_finds_our_name_by_broadcast_and_lists_all_of_them() -> None:
    """A name query (RFC 1002 4.2.12) and a node status (4.2.17), read by Samba."""
    try:
        station = Station("netns", host_name="anna", verify=True)
    except UsageError as error:
        pytest.skip(str(error))
    try:
        station.configure("10.82.57.9/24")
        names, until = station.host.upper.netbt.names, time.monotonic() + PATIENCE_S
        while any(one.state is not State.OWNED for one in names.values()) and time.monotonic() < until:
            time.sleep(0.1)
        peer = station.process.peer
        assert peer is not None
        ask = ["nmblookup", "-s", "/dev/null"]

        found = peer.finish(peer.start([*ask, "-B", "10.82.57.255", "anna"]), PATIENCE_S)
        status = peer.finish(peer.start([*ask, "-A", "10.82.57.9"]), PATIENCE_S)
    finally:
        station.close()

    assert "10.82.57.9 anna<00>" in found.out
    assert [line.split()[:2] for line in status.out.splitlines() if "<ACTIVE>" in line] == [
        ["ANNA", "<00>"],
        ["ANNA", "<20>"],
        ["WORKGROUP", "<00>"],
    ]
    assert station.reports == []
