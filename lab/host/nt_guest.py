"""``boot --guest nt``: our own driver drives the card, inside the guest, through a virtual IOMMU.

The guest's Linux only lends VFIO: it mounts this machine's root read-only by 9p, and our Python and this
checkout run in it. Frames go from NDIS through the miniport's rings to the card behind vfio-user, and over
its wire.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lab.errors import UsageError
from lab.host.control_socket import ControlServer
from lab.host.fifo_relay import ANSWER, ASK, relayed
from lab.host.views import NAMES
from lab.machines import cards, guest_machine
from lab.machines.guest.session import PATIENCE_S, GuestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.machines.cards import CardSpec
    from lab.machines.guest.session import Guest, GuestSpec
    from lab.machines.guest_machine import Begun, Fit

TAG: Final = "ringwalkhost"
MEMORY_MIB: Final = 768
HUGE_PAGES: Final = 8
LIMIT_S: Final = 180.0
CARRY_S: Final = 30.0
POLL_S: Final = 1.0
GONE: Final = 3
FOLDER: Final = "/dev/ringwalk-nt"
"""In the guest, and by the same name in what it sees of this machine's files."""

PREPARE: Final = f"""set -e
modprobe vfio-pci
modprobe vfio_iommu_type1 2>/dev/null || true
modprobe 9pnet_virtio
modprobe 9p
echo {HUGE_PAGES} >/proc/sys/vm/nr_hugepages
mkdir -p /host
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=262144,cache=loose {TAG} /host
mount --bind /proc /host/proc
mount --bind /sys /host/sys
mount --bind /dev /host/dev
"""


_START = f"""set -e
mkdir -p {FOLDER}
({{inside}} </dev/null >/run/nt.out 2>/run/nt.err) &
echo $! >/run/nt.pid
"""
_POLL = f"""if [ -s {FOLDER}/told ]; then cat {FOLDER}/told; exit 0; fi
kill -0 $(cat /run/nt.pid) 2>/dev/null && exit 1
cat /run/nt.out /run/nt.err >&2
exit {GONE}
"""
_CARRY = f"""[ -p {FOLDER}/{ANSWER} ] || exit 1
cat >{FOLDER}/{ASK} && head -n 1 {FOLDER}/{ANSWER}
"""
_END = "kill -TERM $(cat /run/nt.pid)"


def machine(spec: GuestSpec) -> GuestSpec:
    """Return the machine with a virtual IOMMU and a view of this machine's files.

    ``no_timer_check``: a host that is too busy to let the PIT tick ten times makes Linux panic at its start
    ("timer doesn't work through Interrupt-remapped IO-APIC", check_timer in arch/x86/kernel/apic/io_apic.c).
    """
    return replace(
        spec,
        memory_mib=max(spec.memory_mib, MEMORY_MIB),
        append=f"{spec.append} intel_iommu=on no_timer_check".strip(),
        features=(*spec.features, "kernel-irqchip=split"),
        leading=("-device", "intel-iommu,intremap=on,caching-mode=on"),
        extra=(
            *spec.extra,
            *("-virtfs", f"local,path=/,mount_tag={TAG},security_model=none,readonly=on,multidevs=remap"),
        ),
    )


def python(*arguments: str) -> str:
    """Return the guest's command that runs our Python, in this checkout, after ``PREPARE``."""
    top = Path(__file__).resolve().parents[2]
    command = shlex.join([sys.executable, *arguments])
    inside = f"cd {shlex.quote(str(top))} && PYTHONDONTWRITEBYTECODE=1 exec {command}"
    return f"exec chroot /host /bin/sh -c {shlex.quote(inside)}"


def run_inside(
    specs: list[CardSpec],
    spec: GuestSpec,
    *,
    deserialized: bool,
    count: int,
    fit: Fit = cards.fit,
    begun: Begun = guest_machine.nobody,
    hold: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Boot, ping the far end through our own stack; return what the guest told. UsageError, GuestError.

    Meanwhile ``ringwalk ndis`` can look at the stack; it ends when ``hold``, called with its name, returns.
    """
    with guest_machine.booted(specs, machine(spec), fit, begun) as running:
        end = running.fitted[0].far_end
        if end is None or end.address is None or end.guest_address is None:
            raise UsageError("the far end of this wire has no address: use --wire netns")
        running.guest.run(PREPARE, check=True)
        arguments = [
            *("-m", "lab.host.nt_inside"),
            *("--ours", str(end.guest_address.ip), "--peer", str(end.address.ip), "--count", str(count)),
            *(("--deserialized",) if deserialized else ()),
            *("--folder", FOLDER),
        ]
        running.guest.run(_START.format(inside=python(*arguments)), check=True)
        agent = threading.Lock()  # it carries one conversation at a time

        def carry(line: bytes) -> bytes:
            with agent:
                return running.guest.run(_CARRY, data=line, timeout_s=CARRY_S).out.encode()

        name = f"guest-{os.getpid()}"
        with ControlServer(name, "boot --guest nt", relayed(NAMES, carry)):
            told = _wait(running.guest, agent)
            if hold is not None:
                hold(name)
        with agent:
            running.guest.run(_END)
        return told


def _wait(guest: Guest, agent: threading.Lock) -> dict[str, Any]:
    """Wait until the stack in the guest has told its story."""
    end_s = time.monotonic() + (PATIENCE_S if guest.spec.patient else LIMIT_S)
    while time.monotonic() < end_s:
        with agent:
            result = guest.run(_POLL)
        if result.ok:
            told: dict[str, Any] = json.loads(result.out)
            return told
        if result.status == GONE:
            raise GuestError(f"our stack did not start in the guest:\n{result.err.strip()}")
        time.sleep(POLL_S)  # questions come in between
    raise GuestError(f"our stack in the guest told nothing in {LIMIT_S:g} s")


def text(told: dict[str, Any]) -> str:
    """Return the story for a reader."""
    trips = told["round_trip_us"]
    middle = sorted(trips)[len(trips) // 2] if trips else 0
    pages = "2 MiB hugepages" if told["hugepages"] else "ordinary pages"
    lines = [
        f"our miniport, {told['mode']}, drives {told['card']} ({told['mac']}) in the guest through VFIO",
        f"  {told['interrupts_messages']} MSI-X messages, DMA memory of {pages}",
        f"  ARP: the far end is {told['peer_mac']}",
        f"  ICMP: {told['echoes_answered']} of {told['echoes_sent']} echoes answered, median {middle} µs",
        *(f"  verifier: {line}" for line in told["verifier"]),
    ]
    return "\n".join(lines)
