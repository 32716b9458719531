"""Builds a kernel module for the guest's kernel: Debian's headers and compiler, in a root of their own.

Nothing of this machine's is used but unshare, mount and chroot. The module's folder is /ours in there, and
the only one that is written.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from lab.errors import UsageError
from lab.machines import fetch, scratch
from lab.machines.guest import initramfs

if TYPE_CHECKING:
    from pathlib import Path

SET: Final = "headers"
MAKEFILES: Final = ("Kbuild", "Makefile")
LIMIT_S: Final = 1800.0
_ROOT: Final = """
set -e
tree=$1 work=$2 root=$3
shift 3
mount -t tmpfs -o mode=755 none "$root"
for folder in etc usr var; do
    mkdir "$root/$folder"
    mount --rbind "$tree/$folder" "$root/$folder"
    mount -o remount,bind,ro "$root/$folder"
done
for folder in bin lib lib64 sbin; do ln -s "usr/$folder" "$root/$folder"; done
mkdir "$root/proc" "$root/dev" "$root/tmp" "$root/ours"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$work" "$root/ours"
mount -t tmpfs none "$root/tmp"
exec env -i HOME=/tmp USER=root PATH=/usr/bin:/usr/sbin LC_ALL=C.UTF-8 chroot "$root" "$@"
"""
"""Makes the unpacked packages the root: GCC and make start programs of their own by absolute paths."""


def build(folder: Path, *, offline: bool = False) -> list[Path]:
    """Build what ``folder`` has; return the modules. UsageError: the compiler's words, or what is missing."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: give the one with the module's sources")
    for program in ("unshare", "mount", "chroot"):
        if shutil.which(program) is None:
            raise UsageError(f"no {program} program: install util-linux and coreutils")
    fetch.ensure([SET, "guest"], offline=offline)
    tree = fetch.tree(SET)
    version = initramfs.newest(fetch.tree("guest") / "usr/lib/modules", "*").name
    if not (tree / "usr/src" / f"linux-headers-{version}").is_dir():
        raise UsageError(
            f"the headers in the cache are not those of the guest's kernel, {version}: both are to be of one"
            " day; run `ringwalk fetch --clean`, then `ringwalk fetch` and `ringwalk fetch headers`"
        )
    _makefile(folder)
    return _make(tree, folder.absolute(), version)


def _makefile(folder: Path) -> None:
    """Write a Kbuild file where there is none: each source is a module of its own."""
    if any((folder / name).exists() for name in MAKEFILES):
        return
    sources = sorted(path for path in folder.glob("*.c") if not path.name.endswith(".mod.c"))
    if not sources:
        raise UsageError(f"{folder} has neither a Kbuild file nor a .c file: there is nothing to build")
    (folder / "Kbuild").write_text("".join(f"obj-m += {path.stem}.o\n" for path in sources))


def _make(tree: Path, folder: Path, version: str) -> list[Path]:
    root = scratch.make()
    # BTF wants the kernel's own vmlinux, which no package has
    make = ["make", "-C", f"/usr/src/linux-headers-{version}", "M=/ours", "CONFIG_DEBUG_INFO_BTF_MODULES="]
    space = ["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"]
    try:
        done = subprocess.run(
            [*space, "sh", "-c", _ROOT, "kbuild", str(tree), str(folder), str(root), *make, "modules"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"{folder} is not built after {LIMIT_S:.0f} s") from error
    finally:
        shutil.rmtree(root, ignore_errors=True)
    said = done.stdout.replace("/ours/", "").strip()
    if done.returncode:
        raise UsageError(f"{folder} does not build for Linux {version}:\n{said}")
    modules = sorted(folder.glob("*.ko"))
    if not modules:
        raise UsageError(f"{folder}: make has built no module:\n{said}")
    return modules
