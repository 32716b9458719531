"""``guest:CARD``: a card in a guest, reached by the guest's VFIO, as silicon is on a host with an IOMMU.

The guest has a virtual IOMMU, the card, and a virtio-net card at the other end of the cable; it mounts this
machine's files read-only and runs this checkout in them (``lab.host.nt_guest``), with the target
``vfio:DDDD:BB:DD.F,wire=IFNAME``. Here the guest is booted and the outcomes are brought home.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from lab.conformance import catalogue
from lab.conformance.verdict import Outcome, Result
from lab.errors import UsageError
from lab.host.nt_guest import PREPARE, machine, python
from lab.machines.cards import CardSpec
from lab.machines.guest.session import GuestError, GuestSpec
from lab.machines.guest_machine import booted
from lab.machines.kinds import ENGINES, KINDS
from lab.machines.qemu.process import QemuError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lab.conformance.check import Check

PEER: Final = "virtio-net"
PEER_MAC: Final = "52:54:00:82:57:fe"
LIMIT_S: Final = 3600.0

_QUIET_PEER = """set -e
name=$(basename "$(dirname "$(grep -l {mac} /sys/class/net/*/address)")")
sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
ethtool -K "$name" gro off gso off tso off rx off tx off >/dev/null 2>&1 || true
ip address flush dev "$name"
ip link set "$name" mtu 16384 up
echo "$name"
"""


def cards(text: str) -> CardSpec:
    """Return the card that ``guest:`` names; UsageError."""
    kind, _, engine = text.partition(":")
    if kind not in KINDS or kind == PEER or (engine and engine not in ENGINES):
        raise UsageError(
            f"guest:{text} names no card: give guest:82574l, guest:82574l:reference or guest:qemu-e1000e"
        )
    return CardSpec(kind, engine=engine or ENGINES[0])


def outcomes(target: str, spec: CardSpec, checks: Sequence[Check]) -> Iterator[Outcome]:
    """Boot, run the checks inside, and yield what became of them. UsageError when there is no guest."""
    try:
        lines = _run_inside(target, spec, [check.id for check in checks])
    except (GuestError, QemuError) as error:
        raise UsageError(f"{target}: {error}") from error
    for line in lines:
        yield parsed(line)


def _run_inside(target: str, spec: CardSpec, ids: Sequence[str]) -> list[str]:
    """Return the lines that ``lab.conformance.inside_guest`` prints. UsageError, GuestError, QemuError."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rw-"))
        near, far = f"{folder}/a,{folder}/b", f"{folder}/b,{folder}/a"
        specs = [replace(spec, wire=f"dgram:{near}"), CardSpec(PEER, f"dgram:{far}", PEER_MAC)]
        running = stack.enter_context(booted(specs, machine(GuestSpec(accel="auto"))))
        running.guest.run(PREPARE, check=True)
        peer = running.guest.run(_QUIET_PEER.format(mac=PEER_MAC), check=True).out.strip()
        arguments = ("-m", "lab.conformance.inside_guest", "--wire", peer, "--target", target)
        result = running.guest.run(python(*arguments), data=json.dumps(ids).encode(), timeout_s=LIMIT_S)
        if not result.ok:
            raise GuestError(f"the checks did not run in the guest:\n{result.err.strip() or result.out}")
        return result.out.splitlines()


def emitted(outcome: Outcome) -> str:
    """Return an outcome as a line."""
    return json.dumps([outcome.check, outcome.target, outcome.result.value, outcome.reason, outcome.seconds])


def parsed(line: str) -> Outcome:
    """Read such a line."""
    check, target, result, reason, seconds = json.loads(line)
    return Outcome(check, target, Result(result), reason, seconds)


def chosen(ids: Sequence[str]) -> list[Check]:
    """Return the checks with these ids, in the catalogue's order."""
    wanted = frozenset(ids)
    return [check for check in catalogue.checks() if check.id in wanted]
