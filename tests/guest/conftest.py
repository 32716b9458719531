"""Guests for the guest tests: booted once a file, by kind of card; everything is closed with the file."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import pytest

from device.wire.spec import open_wire
from lab.errors import UsageError
from lab.machines import boot_report, fetch
from lab.machines.cards import CardSpec
from lab.machines.guest.session import GuestSpec
from lab.machines.guest_machine import Lab, booted
from tests.guest.cable_end import CableEnd
from tests.guest.pairs import Pair, join_pair

if TYPE_CHECKING:
    from collections.abc import Iterator

ENGINES = ("reference", "native")
NICS = ("qemu-e1000e", *(f"82574l:{engine}" for engine in ENGINES))
"""What every guest test runs with. Their driver on their device judges the tests themselves."""

JUDGE = "virtio-net"
"""At the far end of a cable: a card of another make, whose driver sums and tags in software."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that share a guest on one worker: those of one file and one kind of card."""
    for item in items:
        if item.get_closest_marker("guest") is not None:
            parameters = (
                item.callspec.params
                if isinstance(item, pytest.Function) and hasattr(item, "callspec")
                else {}
            )
            kind = "-".join(str(parameters[name]) for name in ("nic", "engine") if name in parameters)
            item.add_marker(pytest.mark.xdist_group(f"{item.path.name}-{kind}"))


def fetched_or_skipped(*sets: str) -> None:
    """Skip, with the reason, where what a guest needs is not in the cache and cannot be brought."""
    try:
        fetch.ensure(sets)
    except UsageError as error:
        pytest.skip(f"no guest can boot here: {error}")


@pytest.fixture(scope="session")
def fetched() -> None:
    """Skip, with the reason, where QEMU and the kernel are not in the cache and cannot be brought."""
    fetched_or_skipped("qemu", "guest")


def content(lab: Lab) -> None:
    """Fail where the kernel's log has what a healthy driver does not cause: Hang, WATCHDOG, Reset adapter."""
    log = lab.guest.dmesg()
    assert boot_report.complaints(log) == (), boot_report.around_complaints(log)


@pytest.fixture(scope="module", params=NICS)
def nic(request: pytest.FixtureRequest) -> str:
    """Return the kind of card, and the engine after a colon."""
    return str(request.param)


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Return the engine of our card, for tests that ask more than QEMU's model can do."""
    return str(request.param)


@pytest.fixture(scope="module")
def lab(nic: str, fetched: None) -> Iterator[Lab]:  # noqa: ARG001 - it decides whether there is a guest
    """Boot a guest with one card on a private network, configured."""
    kind, _, engine = nic.partition(":")
    with booted([CardSpec(kind, engine=engine or "native")], GuestSpec(accel="auto")) as running:
        running.configure()
        yield running
        content(running)


@pytest.fixture(scope="module")
def ours(engine: str, fetched: None) -> Iterator[Lab]:  # noqa: ARG001 - it decides whether there is a guest
    """Boot a guest with our card on a private network, configured; its state can be had (``kept_state``)."""
    with tempfile.TemporaryDirectory(prefix="rw-") as folder:
        spec = CardSpec(engine=engine, options=("--state", f"{folder}/state"))
        with booted([spec], GuestSpec(accel="auto")) as running:
            running.configure()
            yield running
            content(running)


@pytest.fixture(scope="module")
def cabled(engine: str, fetched: None) -> Iterator[tuple[Lab, CableEnd]]:  # noqa: ARG001 - as above
    """Boot a guest whose card's cable ends in this process: every frame is seen and sent by the test."""
    with tempfile.TemporaryDirectory(prefix="rw-") as folder:
        end = CableEnd(open_wire(f"dgram:{folder}/test,{folder}/card"))
        try:
            wire = f"dgram:{folder}/card,{folder}/test"
            with booted([CardSpec(wire=wire, engine=engine)], GuestSpec(accel="auto")) as running:
                # Nothing of its own shall be on the cable: the tests count frames.
                running.guest.run(
                    "sysctl -q -w net.ipv6.conf.default.disable_ipv6=1 net.ipv6.conf.all.disable_ipv6=1"
                )
                running.guest.wait_link("eth0")
                running.guest.run("ip address replace 10.82.90.2/24 dev eth0", check=True)
                yield running, end
                content(running)
        finally:
            end.close()


@pytest.fixture(scope="module")
def four(engine: str, fetched: None) -> Iterator[tuple[Lab, Pair, Pair]]:  # noqa: ARG001 - as above
    """Boot a guest with two cables: between two of our cards, and between ours and a judge.

    The far end of each is in a network namespace of the guest, so that what it is sent passes the cable.
    """
    with tempfile.TemporaryDirectory(prefix="rw-") as folder:
        ends = [
            (f"{folder}/{a}", f"{folder}/{b}") for a, b in (("a", "b"), ("b", "a"), ("c", "d"), ("d", "c"))
        ]
        kinds = ("82574l", "82574l", "82574l", JUDGE)
        specs = [
            CardSpec(kind, f"dgram:{local},{remote}", f"52:54:00:82:58:0{number}", engine)
            for number, (kind, (local, remote)) in enumerate(zip(kinds, ends, strict=True))
        ]
        with booted(specs, GuestSpec(accel="auto")) as running:
            names = running.interfaces()
            twins = join_pair(running.guest, names[0], names[1], "twin", 91)
            judged = join_pair(running.guest, names[2], names[3], "judge", 92)
            yield running, twins, judged
            content(running)
