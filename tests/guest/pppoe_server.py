"""Puts Debian's pppoe-server and pppd into a guest, with the kernel modules they need."""

from __future__ import annotations

import lzma
from typing import TYPE_CHECKING

from lab import fetch
from lab.guest.elf import needs

if TYPE_CHECKING:
    from pathlib import Path

    from lab.guest.session import Guest

PROGRAMS = ("pppoe-server", "pppoe", "pppd")
LIBRARIES = "usr/lib/x86_64-linux-gnu"
MODULES = ("crc-ccitt", "slhc", "ppp_generic", "ppp_async", "ppp_synctty")
OPTIONS = "require-pap\nnodefaultroute\nlcp-echo-interval 0\nlocal\nnodetach\nmtu 1492\nmru 1492\n"
USER, PASSWORD = "ringwalk", "tunnel"
SERVER, FIRST = "10.92.0.1", "10.92.0.10"


def install(guest: Guest) -> None:
    """Copy programs, libraries and modules; write pppd's configuration; load the modules."""
    extra, base = fetch.tree("pppoe"), fetch.tree("guest")
    wanted = [f"usr/sbin/{name}" for name in PROGRAMS]
    seen: set[str] = set()
    while wanted:
        path = wanted.pop()
        if path in seen:
            continue
        seen.add(path)
        file = next((tree / path for tree in (extra, base) if (tree / path).exists()), None)
        if file is None:
            raise FileNotFoundError(path)
        content = file.resolve().read_bytes()
        guest.put(f"/{path}", content, 0o755)
        asked = needs(content)
        wanted += [
            f"{LIBRARIES}/{name}" for name in (asked.libraries if asked else ()) if "ld-linux" not in name
        ]
    guest.put("/etc/ppp/options", b"")
    guest.put("/etc/ppp/server", OPTIONS.encode())
    guest.put("/etc/ppp/pap-secrets", f'"{USER}" * "{PASSWORD}" *\n'.encode(), 0o600)
    modules = next((base / "usr/lib/modules").iterdir()) / "kernel"
    for name in MODULES:
        _load(guest, modules, name)


def _load(guest: Guest, modules: Path, name: str) -> None:
    file = next(modules.rglob(f"{name}.ko*"), None)
    if file is None:
        return  # built in
    content = file.read_bytes()
    guest.put(f"/root/{name}.ko", lzma.decompress(content) if file.suffix == ".xz" else content)
    guest.run(f"insmod /root/{name}.ko || grep -q '^{name.replace('-', '_')} ' /proc/modules", check=True)


def start(guest: Guest, interface: str) -> None:
    """Serve on an interface: addresses from ``FIRST`` on, name and password asked for."""
    guest.run(
        f"ip link set {interface} up; mkdir -p /var/run /run;"
        f" (pppoe-server -F -I {interface} -L {SERVER} -R {FIRST} -N 4 -C ringwalk -S gold -O /etc/ppp/server"
        " >/root/pppoe.log 2>&1 </dev/null &)",
        check=True,
    )
