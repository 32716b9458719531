"""Fits cards into a guest: a kind and a wire become QEMU's arguments, the wire's far end, and an account."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from device.wire.contract import Framing, Wire, WireError
from device.wire.netns import NetnsWire
from device.wire.passt import PasstWire
from device.wire.spec import open_wire, parse_spec
from device.wire.tap import TapWire
from lab.errors import UsageError
from lab.machines import fetch
from lab.machines.card_process import start_card
from lab.machines.fetch import prefix
from lab.machines.kinds import OURS, QEMU_DRIVERS
from lab.machines.libvfio_user import binding
from lab.machines.peer import LocalPeer, Peer
from lab.machines.qemu.command import Attachment, QemuNic, VfioUserNic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOCAL_MAC = "52:54:00:82:57:{:02x}"
OURS_ALONE = ("netns", "passt", "none", "loopback", "pcap")
"""Wires with nobody else's cards on them."""
LASTING = ("tap", "packet")
"""Wires with a name that one card has at a time."""


def default_mac(wire: str, number: int = 1) -> str:
    """Return the address of the ``number``-th card of this process where its user gives none.

    On a cable that has other processes' cards on it two must not have one address: there it is drawn from
    the process, or from the cable's name where only one card has that. Elsewhere it is the same every time.
    """
    kind = re.split("[:,]", wire, maxsplit=1)[0]
    if kind in OURS_ALONE:
        return LOCAL_MAC.format(number)
    which = wire.partition(",")[0] if kind in LASTING else str(os.getpid())
    drawn = hashlib.blake2s(f"{os.uname().nodename} {which} {number}".encode(), digest_size=3).hexdigest()
    return f"52:54:00:{drawn[:2]}:{drawn[2:4]}:{drawn[4:]}"


@dataclass(frozen=True, slots=True)
class CardSpec:
    """One card that a guest shall have."""

    kind: str = "82574l"
    wire: str = "netns"
    mac: str = LOCAL_MAC.format(1)
    engine: str = "native"
    transport: str = OURS
    asked_wire: str | None = None
    """The wire as the user wrote it, where more was filled in since."""
    options: tuple[str, ...] = ()
    """More arguments for the card's process (``ringwalk serve``)."""


@dataclass(frozen=True, slots=True)
class FarEnd:
    """The other end of a wire, where it is ours: how to run programs there, and its address."""

    peer: Peer
    address: ipaddress.IPv4Interface | None
    """None when the guest learns it by DHCP."""

    @property
    def guest_address(self) -> ipaddress.IPv4Interface | None:
        """The address after the far end's, for the guest."""
        if self.address is None:
            return None
        return ipaddress.IPv4Interface(f"{self.address.ip + 1}/{self.address.network.prefixlen}")


@dataclass(frozen=True, slots=True)
class Fitted:
    """A card that is ready for QEMU, and everything to close afterwards."""

    spec: CardSpec
    attachment: Attachment
    far_end: FarEnd | None
    account: Callable[[], dict[str, int]] | None
    close: Callable[[], None]
    lacks: Callable[[], bool] = lambda: False
    """Whether a recording or a capture of it lacks something; known when it is closed."""
    pid: int | None = None
    """The card's own process, where it has one."""


def innermost(wire: Wire) -> Wire:
    """Return the wire below impairment and capture."""
    while (inner := getattr(wire, "inner", None)) is not None:
        wire = inner
    return wire


def far_end(wire: Wire) -> tuple[LocalPeer, str | None] | None:
    """Return who can run programs at the far end, and its address with prefix length; None: not ours."""
    inner = innermost(wire)
    if isinstance(inner, NetnsWire):
        return LocalPeer(inner.popen), inner.options.address or None
    if isinstance(inner, PasstWire):
        return LocalPeer(), None
    return None


def with_address(wire: str, number: int) -> str:
    """Give each netns wire of one guest a network of its own: 10.82.57.1, then 10.82.58.1, and so on."""
    spec = parse_spec(wire)
    if spec.kind != "netns" or "address" in spec.options or number == 0:
        return wire
    separator = "," if ":" in wire or "," in wire else ":"
    return f"{wire}{separator}address=10.82.{57 + number}.1/24,address6=fd00:{8257 + number}::1/64"


def with_program(wire: str, *, offline: bool) -> str:
    """Name passt's program for a passt wire: the system's, or the cache's, fetched when missing."""
    spec = parse_spec(wire)
    if spec.kind != "passt" or "program" in spec.options:
        return wire
    if any(os.access(f"{folder}/passt", os.X_OK) for folder in os.get_exec_path()):
        return wire
    fetch.ensure(["passt"], offline=offline)
    separator = "," if ":" in wire else ":"
    return f"{wire}{separator}program={prefix.wrapper(fetch.tree('passt'), 'usr/bin/passt')}"


def prepare(specs: list[CardSpec], *, offline: bool = False) -> list[CardSpec]:
    """Check the wires and fill in what they need. Raises ``UsageError``."""
    if any(spec.transport != OURS for spec in specs):
        binding(offline=offline)  # before anything is started: it may have to be fetched and built
    try:
        return [
            replace(
                spec,
                wire=with_program(with_address(spec.wire, number), offline=offline),
                asked_wire=spec.asked_wire or spec.wire,
            )
            for number, spec in enumerate(specs)
        ]
    except WireError as error:
        raise UsageError(str(error)) from error


def fit(spec: CardSpec, folder: Path, number: int) -> Fitted:
    """Start what a card needs; ``folder`` is private and holds its socket. Raises ``UsageError``."""
    if spec.kind in QEMU_DRIVERS:
        return fit_qemu(spec, number)
    path = folder / f"card{number}"
    card = start_card(
        path, spec.wire, mac=spec.mac, engine=spec.engine, transport=spec.transport, options=spec.options
    )
    address = card.ready.peer_address
    end = (
        FarEnd(card.peer, ipaddress.IPv4Interface(address) if address else None)
        if card.peer is not None
        else None
    )
    attachment = VfioUserNic(path, card.ready.mac)
    return Fitted(spec, attachment, end, card.account, card.close, lambda: card.lacks, card.ready.pid)


def fit_qemu(spec: CardSpec, number: int) -> Fitted:
    """Open the wire for a card that QEMU emulates."""
    try:
        wire = open_wire(spec.wire)
    except WireError as error:
        raise UsageError(str(error)) from error
    reached = far_end(wire)

    def close() -> None:
        if reached is not None:
            reached[0].close()
        wire.close()

    try:
        netdev = netdev_of(wire)
    except UsageError:
        close()
        raise
    end = None
    if reached is not None:
        peer, address = reached
        end = FarEnd(peer, ipaddress.IPv4Interface(address) if address else None)
    fds = (wire.fd,) if wire.fd >= 0 else ()
    nic = QemuNic(QEMU_DRIVERS[spec.kind], netdev, spec.mac, fds, f"nic{number}")
    return Fitted(spec, nic, end, None, close)


def netdev_of(wire: Wire) -> str:
    """Return QEMU's ``-netdev`` for a wire that we hold, without its id."""
    if wire.framing is Framing.NONE:
        return "hubport,hubid=0"
    if wire.framing is Framing.DATAGRAM:
        return f"dgram,local.type=fd,local.str={wire.fd}"
    if wire.framing is Framing.STREAM:
        return f"stream,server=off,addr.type=fd,addr.str={wire.fd}"
    if isinstance(wire, TapWire) or getattr(wire, "cable", "") == "tap":
        return f"tap,fd={wire.fd}"
    raise UsageError(
        f"QEMU's own cards cannot use the wire {wire.spec} as it is here (no TAP):"
        " use --wire passt, or --nic 82574l"
    )
