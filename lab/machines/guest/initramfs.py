"""Builds the guest's first root from the unpacked packages and the recipe in ``guest-images``.

No root and no device node is needed: init mounts devtmpfs. The archive is not compressed: QEMU copies it by
DMA in no time, and a guest without KVM would pay for every byte it has to unpack.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import UsageError
from lab.machines import cache, fetch, recipes
from lab.machines.fetch import contents, record
from lab.machines.guest.cpio import Entry, emit
from lab.machines.guest.elf import needs

if TYPE_CHECKING:
    from collections.abc import Iterable

LIBRARY_FOLDERS = ("usr/lib/x86_64-linux-gnu", "usr/lib")
LOADER_FOLDER = "usr/lib64"
KERNEL_TABLES = ("modules.order", "modules.builtin", "modules.builtin.modinfo")
MERGED = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
EMPTY = ("dev", "proc", "sys", "run", "tmp", "root", "mnt", "var")
KMOD_NAMES = ("modprobe", "insmod", "rmmod", "lsmod", "modinfo", "depmod")


def kernel(*, offline: bool = False) -> Path:
    """Return the path of the guest's vmlinuz, fetched when missing."""
    fetch.ensure(["guest"], offline=offline)
    return newest(fetch.tree("guest") / "boot", "vmlinuz-*")


def image(*, offline: bool = False) -> Path:
    """Return the path of the initramfs, built when the recipe or the packages changed."""
    fetch.ensure(["guest"], offline=offline)
    tree = fetch.tree("guest")
    path = cache.directory("guest") / f"initramfs-{fingerprint()}.cpio"
    if path.exists():
        return path
    with cache.exclusive("initramfs"):
        if not path.exists():
            new = path.with_suffix(".new")
            pieces = emit(entries(tree, recipes.load("guest.toml")))
            try:
                with new.open("wb") as file:
                    file.writelines(pieces)
            except OSError as error:
                new.unlink(missing_ok=True)
                if error.errno in cache.FULL:
                    raise cache.full_disk(path.parent) from error
                raise
            for old in path.parent.glob("initramfs-*.*"):
                if old != new:
                    old.unlink()
            new.rename(path)
    return path


def fingerprint() -> str:
    """Return what changes when the archive would."""
    held = record.read()["guest"]
    digest = hashlib.sha256(json.dumps([p.sha256 for p in held.packages]).encode())
    digest.update(Path(__file__).read_bytes())  # another builder makes another archive
    for path in sorted(recipes.folder().iterdir()):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def newest(folder: Path, pattern: str) -> Path:
    """Return the last of the files that match; ``UsageError`` when there is none."""
    found = sorted(folder.glob(pattern))
    if not found:
        raise UsageError(f"no {pattern} in {folder}: run `ringwalk fetch --clean`, then `ringwalk fetch`")
    return found[-1]


def entries(tree: Path, recipe: dict[str, Any]) -> list[Entry]:
    """Return everything that goes into the archive."""
    version = newest(tree / "usr/lib/modules", "*").name
    found = [Entry.folder(name, 0o1777 if name == "tmp" else 0o755) for name in EMPTY]
    found += [Entry.link(name, target) for name, target in MERGED.items()]
    found += [Entry.file(path, text.encode()) for path, text in recipe["texts"].items()]
    found += [
        Entry.file(place["path"], (recipes.folder() / name).read_bytes(), place["mode"])
        for name, place in recipe["files"].items()
    ]
    found.append(Entry.file("etc/ringwalk/early", " ".join(recipe["early"]).encode()))
    found += programs(tree, recipe["programs"])
    found += modules(tree, version, recipe["modules"])
    found += [Entry.link(name, target) for name, target in recipe["links"].items()]
    taken = {entry.path.rsplit("/", 1)[-1] for entry in found if "bin/" in entry.path}
    found += [Entry.link(f"usr/bin/{name}", "kmod") for name in KMOD_NAMES]
    found += [
        Entry.link(f"usr/bin/{name}", "busybox")
        for name in applets(tree / "usr/bin/busybox")
        if name not in taken and name not in KMOD_NAMES
    ]
    # the kernel's own modprobe helper path
    found.append(Entry.link("usr/sbin/modprobe", "../bin/kmod"))
    return found


def applets(busybox: Path) -> list[str]:
    """Return the commands that the busybox provides (it is static: it runs on any Linux)."""
    done = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(f"{busybox} does not run on this machine: an x86-64 Linux is needed")
    return sorted(set(done.stdout.split()) - {"busybox"})


def programs(tree: Path, paths: Iterable[str]) -> list[Entry]:
    """Return the programs that are there, and each library and loader that any of them needs."""
    found: dict[str, Entry] = {}
    waiting = [path for path in paths if (tree / path).exists()]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        content = (tree / path).resolve().read_bytes()
        found[path] = Entry.file(path, content, 0o755)
        if (asked := needs(content)) is None:
            continue
        if asked.loader is not None:
            waiting.append(f"{LOADER_FOLDER}/{asked.loader.rsplit('/', 1)[-1]}")
        waiting += [library(tree, name) for name in asked.libraries]
    return list(found.values())


def library(tree: Path, name: str) -> str:
    """Return where a library is in the tree."""
    if name.startswith("ld-linux"):
        return f"{LOADER_FOLDER}/{name}"
    for folder in LIBRARY_FOLDERS:
        if (tree / folder / name).exists():
            return f"{folder}/{name}"
    raise UsageError(f"the guest's packages lack {name}: run `ringwalk fetch --clean`, then `ringwalk fetch`")


def dependencies(table: str) -> dict[str, list[str]]:
    """Read ``modules.dep``: each module file and the files it needs (modules.dep(5))."""
    lines = (line.split(":", 1) for line in table.splitlines() if ":" in line)
    return {path: rest.split() for path, rest in lines}


def module_name(path: str) -> str:
    """Return a module's name: its file's, with dashes as underscores, as the kernel has it."""
    return path.rsplit("/", 1)[-1].split(".ko", 1)[0].replace("-", "_")


def modules(tree: Path, version: str, names: Iterable[str]) -> list[Entry]:
    """Return the named modules with all that they depend on, unpacked, and depmod's tables for just them."""
    folder = tree / "usr/lib/modules" / version
    table = dependencies((folder / "modules.dep").read_text())
    by_name = {module_name(path): path for path in table}
    wanted: set[str] = set()
    for name in names:
        if (path := by_name.get(module_name(name))) is not None:  # else built in, or gone from this kernel
            wanted |= {path, *table[path]}
    with tempfile.TemporaryDirectory(prefix="ringwalk-") as base:
        stage = Path(base) / "usr/lib/modules" / version
        for path in wanted:
            content = (folder / path).read_bytes()
            file = stage / path.removesuffix(".xz")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(lzma.decompress(content) if path.endswith(".xz") else content)
        for name in KERNEL_TABLES:
            (stage / name).write_bytes((folder / name).read_bytes())
        contents.depmod(tree, Path(base), version)
        return [
            Entry.file(str(file.relative_to(base)), file.read_bytes())
            for file in sorted(stage.rglob("*"))
            if file.is_file()
        ]
