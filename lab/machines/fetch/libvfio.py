"""Builds libvfio-user, and the samples that judge both our ends, from the source that Debian's QEMU carries.

By the C compiler alone, for it is eight files: meson and its search for cmocka would be more to bring than to
build. json-c comes as a Debian package and stays beside the library, which finds it there (``$ORIGIN``).

Source of what is compiled with what: lib/meson.build and samples/meson.build of libvfio-user.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.machines.fetch.placement import Placement

if TYPE_CHECKING:
    from pathlib import Path

NAME = "libvfio-user"
KEPT = ("include", "lib", "samples", "LICENSE")
LIBRARY = "libvfio-user.so.0"
LIBRARY_SOURCES = ("dma", "irq", "libvfio-user", "migration", "pci", "pci_caps", "tran", "tran_sock")
CLIENT_SOURCES = ("samples/client", "lib/migration", "lib/tran", "lib/tran_sock")
FLAGS = ("-std=gnu99", "-O2", "-w", "-D_GNU_SOURCE")
MULTIARCH = "usr/lib/x86_64-linux-gnu"


def unpack_source(tarball: Path, folder: str, target: Path) -> None:
    """Unpack what is kept of ``folder`` of a source package's tarball. UsageError where it is not there."""
    depth = len(folder.split("/")) + 1  # the tarball has one top directory of its own
    found = False
    target.mkdir(parents=True, exist_ok=True)
    placement = Placement(target)
    with tarfile.open(tarball, "r|*") as tar:
        for member in tar:
            parts = member.name.removeprefix("./").split("/")
            inside = parts[depth:]
            if parts[1:depth] != folder.split("/") or not inside or inside[0] not in KEPT or ".." in inside:
                continue
            content = tar.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            placement.file("/".join(inside), content)
            found = True
    if not found:
        raise UsageError(f"{tarball.name} has no {folder}: this release's QEMU no longer carries it")


def build(tree: Path, source: Path) -> None:
    """Make ``tree`` hold the library, its headers and samples, out of unpacked packages and ``source``."""
    packages = tree / "usr"
    built = tree / "built"
    made = built / "lib"
    made.mkdir(parents=True)
    json = next((tree / MULTIARCH).glob("libjson-c.so.5"), None) or next(
        (tree / "lib/x86_64-linux-gnu").glob("libjson-c.so.5"), None
    )
    if json is None:
        raise UsageError(
            "the package libjson-c5 has no libjson-c.so.5: run `ringwalk fetch --clean` and again"
        )
    shutil.copyfile(json, made / json.name)
    include = ["-Iinclude", "-Ilib", f"-I{packages / 'include/json-c'}"]
    library = [f"lib/{name}.c" for name in LIBRARY_SOURCES]
    shared = ["-shared", "-fPIC", "-fvisibility=hidden", f"-Wl,-soname,{LIBRARY}", "-Wl,-rpath,$ORIGIN"]
    beside = "-Wl,-rpath,$ORIGIN/../lib"
    samples = built / "samples"
    samples.mkdir()
    _compile(source, [*include, *shared, *library, str(made / json.name), "-o", str(made / LIBRARY)])
    client = [f"{name}.c" for name in CLIENT_SOURCES]
    link = [str(made / json.name), "-pthread", beside]
    _compile(source, [*include, *client, *link, "-o", str(samples / "client")])
    link = [str(made / LIBRARY), beside, f"-Wl,-rpath-link,{made}"]
    _compile(source, [*include, "samples/server.c", *link, "-o", str(samples / "server")])
    shutil.copytree(source / "include", built / "include")
    shutil.copyfile(source / "LICENSE", built / "LICENSE")
    for used in [path for path in tree.iterdir() if path != built]:  # the packages were for building only
        shutil.rmtree(used) if used.is_dir() and not used.is_symlink() else used.unlink()
    for made in list(built.iterdir()):
        made.rename(tree / made.name)
    built.rmdir()


def _compile(source: Path, arguments: list[str]) -> None:
    """Run the C compiler in ``source``; raises ``UsageError`` with its first complaint."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    try:
        done = subprocess.run(
            [*compiler, *FLAGS, *arguments], cwd=source, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise UsageError(
            f"libvfio-user has to be built and there is no C compiler {compiler[0]}: install gcc"
        ) from error
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip())
        raise UsageError(f"libvfio-user cannot be built here: {first}")
