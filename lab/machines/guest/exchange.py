"""Files between the host and a guest: folders that both see, copies in and out, modules."""

from __future__ import annotations

import io
import re
import shlex
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lab.errors import UsageError
from lab.machines.qemu.command import PANIC_SLOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.machines.guest.session import Guest

MODULES: Final = "/run/modules"
"""Where the user's own modules are put in the guest."""
MOST_BYTES: Final = 1 << 30
"""No more than this is copied at once, in either direction."""
SLOT: Final = PANIC_SLOT - 1
"""The PCI slot of the first shared folder: behind the cards, which it shall not move."""
_TAG: Final = "share{}"


@dataclass(frozen=True, slots=True)
class Share:
    """A folder of the host's that the guest sees at ``/mnt/NAME``."""

    folder: Path
    writable: bool

    @property
    def mounted(self) -> str:
        """Where it is in the guest."""
        return f"/mnt/{self.folder.resolve().name or 'root'}"


def shares(texts: Sequence[str]) -> list[Share]:
    """Read the arguments of --share: DIR, or DIR:ro. UsageError."""
    found = []
    for text in texts:
        folder, colon, mode = text.rpartition(":")
        if not colon or mode not in ("ro", "rw"):
            folder, mode = text, "rw"
        if not Path(folder).is_dir():
            raise UsageError(f"--share {text}: {folder} is no folder of the host; give DIR or DIR:ro")
        if "," in str(Path(folder).resolve()):
            raise UsageError(
                f"--share {text}: no comma may be in the path, since it ends an option of QEMU's"
            )
        found.append(Share(Path(folder), mode == "rw"))
    names = [share.mounted for share in found]
    if len(set(names)) < len(names):
        raise UsageError("two of --share have one name, and the guest would see them in one place")
    return found


def share_arguments(found: Sequence[Share]) -> list[str]:
    """Return QEMU's arguments for the folders (9p; QEMU, -fsdev)."""
    arguments = []
    for number, share in enumerate(found):
        tag = _TAG.format(number)
        readonly = "" if share.writable else ",readonly=on"
        path = share.folder.resolve()
        arguments += [
            *("-fsdev", f"local,id={tag},path={path},security_model=none,multidevs=remap{readonly}"),
            *("-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag},addr={SLOT - number:#x}"),
        ]
    return arguments


def mount(guest: Guest, found: Sequence[Share]) -> None:
    """Mount the folders. GuestError."""
    if found:
        guest.run("modprobe -a 9pnet_virtio 9p", check=True)
    for number, share in enumerate(found):
        where, mode = shlex.quote(share.mounted), "rw" if share.writable else "ro"
        options = f"trans=virtio,version=9p2000.L,msize=262144,{mode}"
        guest.run(f"mkdir -p {where} && mount -t 9p -o {options} {_TAG.format(number)} {where}", check=True)


@dataclass(frozen=True, slots=True)
class Copy:
    """A file or a folder, here and there."""

    host: Path
    guest: str


def copies_in(texts: Sequence[str]) -> list[Copy]:
    """Read the arguments of --copy, HOST:GUEST; a guest's path that ends in a slash is a folder's."""
    found = []
    for text in texts:
        host, colon, guest = text.rpartition(":")
        if not colon or not guest.startswith("/"):
            raise UsageError(f"--copy {text}: give HOST:GUEST, where GUEST is an absolute path")
        if not host or not Path(host).exists():
            raise UsageError(f"--copy {text}: {host} is no file of the host, and no folder")
        found.append(Copy(Path(host), guest + Path(host).name if guest.endswith("/") else guest))
    return found


def copies_out(texts: Sequence[str]) -> list[Copy]:
    """Read the arguments of --copy-out, GUEST:HOST. UsageError."""
    found = []
    for text in texts:
        guest, colon, host = text.partition(":")
        if not colon or not guest.startswith("/") or not host:
            raise UsageError(f"--copy-out {text}: give GUEST:HOST, where GUEST is an absolute path")
        if not Path(host).absolute().parent.is_dir():
            raise UsageError(
                f"--copy-out {text}: the folder that {host} is to be in is missing, make it first"
            )
        found.append(Copy(Path(host), guest))
    return found


def put(guest: Guest, one: Copy) -> None:
    """Copy a file, or a folder with all that is in it, to the guest. UsageError, GuestError."""
    if one.host.is_file():
        guest.put(one.guest, one.host.read_bytes(), one.host.stat().st_mode & 0o777)
        return
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(one.host, arcname=".")
    if packed.tell() > MOST_BYTES:
        raise UsageError(f"--copy {one.host}: it has more than {MOST_BYTES >> 20} MiB; use --share")
    where = shlex.quote(one.guest)
    guest.run(f"mkdir -p {where} && tar -x -C {where}", data=packed.getvalue(), timeout_s=300, check=True)


def take(guest: Guest, one: Copy) -> None:
    """Copy a file or a folder of the guest's to the host. GuestError; UsageError: it cannot be written."""
    where = shlex.quote(one.guest)
    try:
        if guest.run(f"test -d {where}").ok:
            _unpack(guest.read(f"tar -c -C {where} .", one.guest), one.host)
        elif one.host.is_dir():
            (one.host / one.guest.rpartition("/")[2]).write_bytes(guest.get(one.guest))
        else:
            one.host.write_bytes(guest.get(one.guest))
    except OSError as error:
        raise UsageError(f"--copy-out {one.guest}: {one.host}: {error.strerror}") from error


def _unpack(packed: bytes, folder: Path) -> None:
    """Write what a guest has packed; nothing of it leaves the folder (PEP 706)."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(folder, filter="data")


def modules(texts: Sequence[Path]) -> list[Path]:
    """Check the arguments of --module. UsageError."""
    for path in texts:
        if not path.is_file() or ".ko" not in path.suffixes:
            raise UsageError(
                f"--module {path}: give a module, FILE.ko; `ringwalk kbuild DIR` builds one for the guest"
            )
    return list(texts)


def insert(guest: Guest, found: Sequence[Path]) -> None:
    """Load the user's modules, in their order. GuestError, with what the kernel says."""
    for path in found:
        where = f"{MODULES}/{path.name}"
        guest.put(where, path.read_bytes())
        # what it needs that is in the guest is loaded first, as modprobe would
        needs = re.split(r"[\s,]+", guest.run(f"modinfo -F depends {where}").out.strip())
        for name in filter(None, needs):
            guest.run(f"modprobe -q {shlex.quote(name)}")
        guest.run(f"insmod {where} 2>&1 || {{ dmesg | tail -5; false; }}", check=True)
