"""Whether KVM is worth using here.

``/dev/kvm`` may open, make a machine and run HLT, and yet not boot Linux. So: what KVM gives a guest must be
x86-64-v2 at least (CPUID), and a guest must have written to its console in ten seconds. The verdict
holds until the next boot of the host.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.errors import UsageError
from lab.machines import cache

DEVICE = Path("/dev/kvm")
KVM_GET_API_VERSION = 0xAE00
KVM_GET_SUPPORTED_CPUID = 0xC008AE05
API_VERSION = 12
CPUID_ENTRY = struct.Struct("<10I")  # function index flags eax ebx ecx edx padding[3] (linux/kvm.h)
MOST_ENTRIES = 256
FIRST_CONSOLE_S = 10.0

X86_64_V2 = {
    # (leaf, register): bit -> feature; x86-64 psABI, table of micro-architecture levels
    (0x1, "ecx"): {0: "SSE3", 9: "SSSE3", 13: "CX16", 19: "SSE4.1", 20: "SSE4.2", 23: "POPCNT"},
    (0x80000001, "ecx"): {0: "LAHF"},
}
FILE = "kvm.json"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of KVM. ``proven`` when a guest did boot, or did not."""

    usable: bool
    reason: str
    proven: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """The accelerator to use, and why."""

    accelerator: str
    reason: str
    watch: bool = False
    """Whether this is KVM on trial: it must show a console line in time."""


def missing_features(cpuid: dict[int, dict[str, int]]) -> list[str]:
    """Return what of x86-64-v2 a CPUID table (leaf to registers) lacks."""
    return [
        name
        for (leaf, register), bits in X86_64_V2.items()
        for bit, name in bits.items()
        if not cpuid.get(leaf, {}).get(register, 0) >> bit & 1
    ]


def parse_cpuid(raw: bytes) -> dict[int, dict[str, int]]:
    """Read ``struct kvm_cpuid2``: the first sub-leaf of each leaf."""
    (count,) = struct.unpack_from("<I", raw)
    table: dict[int, dict[str, int]] = {}
    for n in range(count):
        function, _, _, eax, ebx, ecx, edx, *_ = CPUID_ENTRY.unpack_from(raw, 8 + n * CPUID_ENTRY.size)
        table.setdefault(function, {"eax": eax, "ebx": ebx, "ecx": ecx, "edx": edx})
    return table


def probe() -> Verdict:
    """Ask the kernel what its KVM can give a guest; starts nothing."""
    if not DEVICE.exists():
        return Verdict(usable=False, reason="there is no /dev/kvm")
    try:
        fd = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return Verdict(usable=False, reason=f"/dev/kvm does not open ({error.strerror})")
    try:
        if fcntl.ioctl(fd, KVM_GET_API_VERSION) != API_VERSION:
            return Verdict(usable=False, reason="KVM has another API version than 12")
        raw = bytearray(8 + MOST_ENTRIES * CPUID_ENTRY.size)
        struct.pack_into("<I", raw, 0, MOST_ENTRIES)
        fcntl.ioctl(fd, KVM_GET_SUPPORTED_CPUID, raw)
    except OSError as error:
        return Verdict(usable=False, reason=f"KVM does not answer ({error.strerror})")
    finally:
        os.close(fd)
    if missing := missing_features(parse_cpuid(bytes(raw))):
        return Verdict(
            usable=False, reason=f"KVM gives a guest less than x86-64-v2 (no {', '.join(missing)})"
        )
    return Verdict(usable=True, reason="KVM opens and offers x86-64-v2")


def boot_id() -> str:
    """Return what changes when the host boots (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def remembered() -> Verdict | None:
    """Return what an earlier guest of this host's boot showed."""
    path = cache.root() / FILE
    try:
        held = json.loads(path.read_text())
        return Verdict(**held["verdict"]) if held["boot_id"] == boot_id() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a missing or damaged note costs one trial


def remember(verdict: Verdict) -> None:
    """Keep a verdict for the other guests of this boot."""
    path = cache.directory() / FILE
    new = path.with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps({"boot_id": boot_id(), "verdict": asdict(verdict)}))
    new.replace(path)


def verdict() -> Verdict:
    """Return the best knowledge there is: a guest's, else the probe's."""
    return remembered() or probe()


def choose(asked: str) -> Choice:
    """Decide between KVM and TCG; ``asked`` is auto, kvm or tcg.

    Raises ``UsageError`` for a KVM that was asked for and cannot be.
    """
    if asked == "tcg":
        return Choice("tcg", "asked for")
    known = verdict() if asked == "auto" else probe()
    if asked == "kvm" and not known.usable:
        raise UsageError(f"--accel kvm: {known.reason}; use --accel tcg, or auto")
    if asked == "kvm":
        return Choice("kvm", "asked for")
    if known.usable:
        return Choice("kvm", known.reason, watch=not known.proven)
    return Choice("tcg", known.reason)
