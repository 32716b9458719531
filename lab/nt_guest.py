"""``boot --guest nt``: our own driver drives the card, inside the guest, through a virtual IOMMU.

The guest's Linux only lends VFIO: it mounts this machine's root read-only by 9p, and our Python and this
checkout run in it. Frames go from NDIS through the miniport's rings to the card behind vfio-user, and over
its wire.
"""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import lab
from lab import booting, cards
from lab.errors import UsageError
from lab.guest.session import GuestError

if TYPE_CHECKING:
    from lab.booting import Begun, Fit
    from lab.cards import CardSpec
    from lab.guest.session import GuestSpec

TAG: Final = "ringwalkhost"
MEMORY_MIB: Final = 768
HUGE_PAGES: Final = 8
LIMIT_S: Final = 180.0

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
    top = Path(lab.__file__).resolve().parents[1]
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
    begun: Begun = booting.nobody,
) -> dict[str, Any]:
    """Boot, ping the far end through our own stack; return what the guest told. UsageError, GuestError."""
    with booting.booted(specs, machine(spec), fit, begun) as running:
        end = running.fitted[0].far_end
        if end is None or end.address is None or end.guest_address is None:
            raise UsageError("the far end of this wire has no address: use --wire netns")
        running.guest.run(PREPARE, check=True)
        arguments = [
            *("-m", "lab.nt_inside"),
            *("--ours", str(end.guest_address.ip), "--peer", str(end.address.ip), "--count", str(count)),
            *(("--deserialized",) if deserialized else ()),
        ]
        result = running.guest.run(python(*arguments), timeout_s=LIMIT_S)
        lines = result.out.strip().splitlines()
        if not lines or not lines[-1].startswith("{"):
            raise GuestError(
                f"our stack did not start in the guest:\n{result.err.strip() or result.out.strip()}"
            )
        told: dict[str, Any] = json.loads(lines[-1])
        return told


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
