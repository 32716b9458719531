"""Puts Debian's pppoe-server and pppd into a guest, with the kernel modules they need."""

from __future__ import annotations

import io
import lzma
import tarfile
from typing import TYPE_CHECKING

from lab.machines import fetch
from lab.machines.guest.elf import needs

if TYPE_CHECKING:
    from lab.machines.guest.session import Guest

PROGRAMS = ("pppoe-server", "pppoe", "pppd")
LIBRARIES = "usr/lib/x86_64-linux-gnu"
MODULES = ("crc-ccitt", "slhc", "ppp_generic", "ppp_async", "ppp_synctty")
OPTIONS = "require-pap\nnodefaultroute\nlcp-echo-interval 0\nlocal\nnodetach\nmtu 1492\nmru 1492\n"
NOBODY = "nobody:x:65534:65534::/:/bin/false"
"""Whom pppoe becomes when it has opened its socket: without that user it ends, and its pppd with it."""
USER, PASSWORD = "ringwalk", "tunnel"
SERVER, FIRST = "10.92.0.1", "10.92.0.10"


def install(guest: Guest) -> None:
    """Copy programs, libraries, modules and pppd's configuration, in one archive; load the modules."""
    modules = next((fetch.tree("guest") / "usr/lib/modules").iterdir()) / "kernel"
    files = programs() | {
        "etc/ppp/options": b"",
        "etc/ppp/server": OPTIONS.encode(),
        "etc/ppp/pap-secrets": f'"{USER}" * "{PASSWORD}" *\n'.encode(),
    }
    loaded = []
    for name in MODULES:
        file = next(modules.rglob(f"{name}.ko*"), None)  # else it is built in
        if file is not None:
            content = file.read_bytes()
            files[f"tmp/{name}.ko"] = lzma.decompress(content) if file.suffix == ".xz" else content
            loaded.append(name)
    # What the guest has is in use, and must not be written over.
    there = guest.run(f"for f in {' '.join(files)}; do test -e /$f && echo $f; done; true").out.split()
    files = {path: content for path, content in files.items() if path not in there}
    guest.run("cat >/tmp/pppoe.tar", data=archive(files), timeout_s=200, check=True)
    guest.run("mkdir -p /var/run; tar -x -C / -f /tmp/pppoe.tar; test -x /usr/sbin/pppoe-server", check=True)
    guest.run(f"grep -q ^nobody: /etc/passwd || echo '{NOBODY}' >>/etc/passwd", check=True)
    for name in loaded:
        known = f"grep -q '^{name.replace('-', '_')} ' /proc/modules"
        guest.run(f"{known} || insmod /tmp/{name}.ko", check=True)


def programs() -> dict[str, bytes]:
    """Return the programs, and every library that any of them needs."""
    extra, base = fetch.tree("pppoe"), fetch.tree("guest")
    wanted = [*(f"usr/sbin/{name}" for name in PROGRAMS), f"{LIBRARIES}/ossl-modules/legacy.so"]
    found: dict[str, bytes] = {}
    while wanted:
        path = wanted.pop()
        if path in found:
            continue
        file = next(tree / path for tree in (extra, base) if (tree / path).exists())
        found[path] = file.resolve().read_bytes()
        asked = needs(found[path])
        libraries = asked.libraries if asked else ()
        wanted += [f"{LIBRARIES}/{name}" for name in libraries if not name.startswith("ld-linux")]
    return found


def archive(files: dict[str, bytes]) -> bytes:
    """Return a tar archive of executable files."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for path, content in files.items():
            about = tarfile.TarInfo(path)
            about.size, about.mode = len(content), 0o700
            tar.addfile(about, io.BytesIO(content))
    return raw.getvalue()


def start(guest: Guest, interface: str) -> None:
    """Serve on an interface: addresses from ``FIRST`` on, name and password asked for."""
    guest.run(
        f"ip link set {interface} up; mkdir -p /var/run /run;"
        f" (pppoe-server -F -I {interface} -L {SERVER} -R {FIRST} -N 4 -C ringwalk -S gold -O /etc/ppp/server"
        " >/tmp/pppoe.log 2>&1 </dev/null &)",
        check=True,
    )
