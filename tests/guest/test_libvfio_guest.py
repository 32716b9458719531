"""QEMU drives the card on libvfio-user: their protocol engine between their driver and our device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.errors import UsageError
from lab.machines import libvfio_user
from lab.machines.cards import CardSpec
from lab.machines.guest.session import GuestSpec
from lab.machines.guest_machine import booted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.machines.guest_machine import Lab

pytestmark = [pytest.mark.guest, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", params=["82574l:reference", "82574l:native"])
def nic(request: pytest.FixtureRequest) -> str:
    """Return the engine, by the name that groups the guest tests."""
    return str(request.param)


@pytest.fixture(scope="module")
def lab(nic: str, fetched: None) -> Iterator[Lab]:  # noqa: ARG001 - it decides whether there is a guest
    """Boot a guest with the card served by the library; skip, and say why, where that cannot be made."""
    try:
        libvfio_user.binding()
    except UsageError as error:
        pytest.skip(f"no libvfio-user here: {error}")
    kind, _, engine = nic.partition(":")
    spec = CardSpec(kind, engine=engine, transport="libvfio-user")
    with booted([spec], GuestSpec(accel="auto")) as running:
        yield running


def test_traffic_flows_over_the_library(lab: Lab) -> None:
    """The link, MSI-X, pings, and TCP both ways with the checksum of all bytes."""
    told = lab.tell()

    assert told.flowed
    assert told.complaints == ()


def test_the_driver_s_own_registers_and_ring_tests_pass(lab: Lab) -> None:
    """``ethtool -t`` offline: registers, NVM, interrupts, loopback and link of e1000e."""
    result = lab.guest.run("ethtool -t eth0 offline", timeout_s=60)

    assert "The test result is PASS" in result.out, result.out + result.err


def test_the_driver_may_come_and_go(lab: Lab) -> None:
    """Unbinding takes every vector and region away; binding arms them anew."""
    address = lab.guest.run("basename $(readlink /sys/class/net/eth0/device)", check=True).out.strip()

    lab.guest.run(f"echo {address} > /sys/bus/pci/drivers/e1000e/unbind", check=True)
    lab.guest.run(f"echo {address} > /sys/bus/pci/drivers/e1000e/bind", check=True)
    lab.configure()

    assert lab.guest.run("ping -c 3 -i 0.2 -W 5 10.82.57.1", check=True).status == 0
