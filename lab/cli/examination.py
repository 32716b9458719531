"""Looks at the machine, one subject a function; nothing is changed and nothing fetched.

Each function returns a ``Finding``; ``examine`` is their list.
"""

from __future__ import annotations

import ctypes
import errno
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from device.hardening import Posture
from device.sandbox import needs
from lab.errors import UsageError
from lab.machines import cache, fetch
from lab.machines.fetch import apt, record, sources
from lab.machines.fetch.progress import mega
from lab.machines.qemu import accelerator, binary
from lab.machines.recipes import package_sets

if TYPE_CHECKING:
    from collections.abc import Callable

OLDEST_PYTHON = (3, 11)
ROOM_BYTES = 800_000_000
SYS_LANDLOCK_CREATE_RULESET = 444
LANDLOCK_CREATE_RULESET_VERSION = 1
TUN = Path("/dev/net/tun")


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one subject."""

    name: str
    state: Literal["good", "limited", "missing"]
    found: str
    advice: str = ""
    needed: bool = False
    """Whether ``boot`` cannot do without it."""


def python() -> Finding:
    """Look at the interpreter."""
    version = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        return Finding("Python", "missing", version, "install Python 3.11 or later", needed=True)
    return Finding("Python", "good", f"{version} at {sys.executable}")


def processor() -> Finding:
    """Look at the machine's architecture: what is fetched is x86-64."""
    machine = platform.machine()
    if machine != "x86_64":
        advice = "give an x86-64 QEMU of your own by --qemu; what is fetched runs on x86-64 only"
        return Finding("processor", "limited", machine, advice)
    return Finding("processor", "good", f"{machine}, {os.cpu_count()} CPUs")


def compiler() -> Finding:
    """Look for a C compiler: the native engine is built with it."""
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        return Finding("C compiler", "missing", "none", "sudo apt-get install gcc libc6-dev", needed=True)
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    return Finding("C compiler", "good", (said.splitlines() or [found])[0])


def headers() -> Finding:
    """Look for Python's C headers."""
    path = Path(sysconfig.get_path("include")) / "Python.h"
    if not path.exists():
        return Finding(
            "Python headers", "missing", f"no {path}", "sudo apt-get install python3-dev", needed=True
        )
    return Finding("Python headers", "good", str(path))


def qemu() -> Finding:
    """Look for a QEMU with vfio-user-pci."""
    found = binary.system() or binary.cached()
    if found is not None:
        return Finding("QEMU", "good", f"{found.version_text} ({found.origin}), with vfio-user-pci")
    return Finding("QEMU", "limited", "none with vfio-user-pci", "ringwalk fetch brings one, without root")


def kvm() -> Finding:
    """Say whether KVM will be used, and why or why not."""
    verdict = accelerator.verdict()
    if verdict.usable:
        tried = "a guest booted with it" if verdict.proven else "not tried yet, boot will"
        return Finding("KVM", "good", f"{verdict.reason} ({tried})")
    advice = "TCG is used: slower, and everything works"
    if accelerator.DEVICE.exists() and not os.access(accelerator.DEVICE, os.R_OK | os.W_OK):
        advice = "join the group kvm (sudo usermod -aG kvm $USER) and log in anew; until then TCG is used"
    return Finding("KVM", "limited", verdict.reason, advice)


def tap() -> Finding:
    """Look whether this user may make a TAP."""
    if not TUN.exists():
        return Finding(
            "TAP", "limited", f"no {TUN}", "sudo modprobe tun; without it a veth pair takes its place"
        )
    if os.access(TUN, os.R_OK | os.W_OK):
        return Finding("TAP", "good", f"{TUN} is open to this user")
    advice = "a veth pair takes its place; for TAP: sudo chmod 666 /dev/net/tun"
    return Finding("TAP", "limited", f"{TUN} is closed to this user", advice)


def namespaces() -> Finding:
    """Try to make a user and a network namespace, in a process that ends at once."""
    argv = ["unshare", "--user", "--map-root-user", "--net", "true"]
    if shutil.which("unshare") is None:
        return Finding(
            "namespaces", "limited", "cannot tell: no unshare program", "sudo apt-get install util-linux"
        )
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return Finding("namespaces", "good", "user and network namespaces may be made")
    advice = (
        "allow user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns=0), run as root,"
        " or use --wire passt"
    )
    return Finding("namespaces", "limited", done.stderr.strip() or "refused", advice)


def full_screen() -> Finding:
    """Look for textual: only ``--tui`` needs it."""
    try:
        version = importlib.metadata.version("textual")
    except importlib.metadata.PackageNotFoundError:
        advice = (
            "for --tui: `./ringwalk step --tui` in a checkout brings it; else pip install 'ringwalk[tui]'"
        )
        return Finding("full screen", "limited", "no textual", advice)
    return Finding("full screen", "good", f"textual {version}")


def hugepages() -> Finding:
    """Look for free 2 MiB huge pages: only the miniport's VFIO bus wants them."""
    folder = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
    try:
        free = int((folder / "free_hugepages").read_text())
    except OSError:
        free = 0
    if free:
        return Finding("huge pages", "good", f"{free} of 2 MiB are free")
    advice = "only DMA over real VFIO gains by them: echo 64 | sudo tee /proc/sys/vm/nr_hugepages"
    return Finding("huge pages", "limited", "none of 2 MiB is free", advice)


def landlock() -> Finding:
    """Ask the kernel for its Landlock ABI (landlock_create_ruleset(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    abi = libc.syscall(SYS_LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_CREATE_RULESET_VERSION)
    if abi > 0:
        return Finding("Landlock", "good", f"ABI {abi}")
    off = ctypes.get_errno() == errno.EOPNOTSUPP
    why = "switched off when the kernel booted" if off else "not in this kernel"
    return Finding("Landlock", "limited", why, "the card then runs without a file-system sandbox")


def hardening() -> Finding:
    """Have a process give up rights as a served card does, and say what that came to."""
    argv = [sys.executable, "-m", "device.hardening"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it failed"])[-1]
        return Finding("hardening", "limited", said, "serve --no-harden runs the card with every right")
    posture = Posture(**json.loads(done.stdout))
    if not posture.seccomp:
        return Finding(
            "hardening", "limited", str(posture), "a kernel with seccomp also refuses system calls"
        )
    if not posture.landlock_abi:
        return Finding("hardening", "limited", str(posture), "a kernel with Landlock also keeps files away")
    return Finding("hardening", "good", str(posture))


def by_wire() -> Finding:
    """Tell which wires and options leave the card's process more than the rule does."""
    return Finding("  beyond the rule", "good", needs.beyond())


def disk() -> Finding:
    """Look at the cache's disk, and what the cache holds."""
    room, held = cache.free_bytes(), fetch.size_bytes(cache.root())
    found = f"{mega(room)} free for {cache.root()}, which holds {mega(held)}"
    if room + held < ROOM_BYTES:
        return Finding(
            "disk", "missing", found, "free some space, or set XDG_CACHE_HOME to another disk", needed=True
        )
    return Finding("disk", "good", found)


def packages() -> Finding:
    """Look at the fetched sets, and whether what is missing could be fetched."""
    held = record.read()
    missing = [name for name, one in package_sets().items() if name != "passt" and not fetch.complete(one)]
    if not missing:
        return Finding("cache", "good", ", ".join(f"{n} ({r.fetched[:10]})" for n, r in held.items()))
    if not apt.available():
        return Finding(
            "cache",
            "limited",
            "no apt-get to fetch with",
            "install apt and dpkg, or give --qemu, --kernel and --initrd",
        )
    try:
        mirror = sources.discover()
    except UsageError as error:
        return Finding("cache", "limited", f"lacks {', '.join(missing)}", str(error))
    return Finding("cache", "limited", f"lacks {', '.join(missing)}", f"ringwalk fetch (from {mirror.uri})")


def passt() -> Finding:
    """Look for the passt program."""
    found = shutil.which("passt") or (str(fetch.tree("passt")) if fetch.tree("passt").is_dir() else None)
    if found:
        return Finding("passt", "good", found)
    return Finding(
        "passt",
        "limited",
        "not installed",
        "only --wire passt wants it, and fetches it: ringwalk fetch passt",
    )


CHECKS: tuple[Callable[[], Finding], ...] = (
    python,
    processor,
    compiler,
    headers,
    qemu,
    kvm,
    tap,
    namespaces,
    passt,
    full_screen,
    hugepages,
    landlock,
    hardening,
    by_wire,
    disk,
    packages,
)


def examine() -> list[Finding]:
    """Look at everything."""
    return [check() for check in CHECKS]
