"""What is kept of each set's packages, and what is made of them before the set is called complete."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Final

from lab.errors import UsageError
from lab.machines import recipes
from lab.machines.fetch import libvfio, prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

DOCUMENTATION = re.compile(r"\./usr/share/(doc|man|info|locale|lintian|bash-completion|perl5?|bug)/")
MODULE = re.compile(r"\./(?:usr/)?lib/modules/[^/]+/kernel/(?P<path>.+)")
KERNEL = re.compile(r"\./boot/|\./(?:usr/)?lib/modules/[^/]+/(?:kernel/|modules\.|vdso/)")
KERNEL_TOP = re.compile(r"\./boot/(vmlinuz|config)-|\./(?:usr/)?lib/modules/[^/]+/modules\.")


def program_files(path: str) -> bool:
    """Keep all but documentation and translations."""
    return DOCUMENTATION.match(path) is None


def guest_files(keep: tuple[str, ...]) -> Callable[[str], bool]:
    """Keep the kernel, the modules below ``keep``, and programs with their libraries."""

    def wanted(path: str) -> bool:
        if module := MODULE.fullmatch(path):
            return module["path"].startswith(keep)
        if path.startswith("./boot/"):
            return KERNEL_TOP.match(path) is not None
        return program_files(path)

    return wanted


def filter_of(name: str) -> Callable[[str], bool]:
    """Return the question to ask each path of the set ``name``."""
    if name == "guest":
        return guest_files(tuple(recipes.load("guest.toml")["keep"]))
    if name == "headers":  # what they depend on has the kernel itself, which the guest's set has
        return lambda path: program_files(path) and not KERNEL.match(path)
    return program_files


def finish(name: str, tree: Path) -> None:
    """Make what is made of packages: the tables of the guest's modules, a library out of its source."""
    if name in _FINISHED:
        _FINISHED[name](tree)


def _guest(tree: Path) -> None:
    for folder in sorted((tree / "usr/lib/modules").iterdir()):
        depmod(tree, tree, folder.name)


def merged_root(*names: str) -> Callable[[Path], None]:
    """Return what links folders of the root into usr, as an installed system has them."""

    def link(tree: Path) -> None:
        for name in names:
            if not (tree / name).exists():
                (tree / name).symlink_to(f"usr/{name}")

    return link


def _headers(tree: Path) -> None:
    merged_root("bin", "lib", "lib64", "sbin")(tree)
    if not (tree / "usr/bin/awk").is_symlink():  # an alternative, which an installation chooses
        (tree / "usr/bin/awk").symlink_to("gawk")


def link_foreign_dlls(tree: Path) -> None:
    """Put the libraries of other packages beside Wine's, as libwine's own installation script does."""
    dlls = tree / "usr/lib/x86_64-linux-gnu/wine/x86_64-windows"
    for library in (tree / "usr/x86_64-w64-mingw32/lib").glob("zlib1.dll"):
        (dlls / library.name).symlink_to(f"/{library.relative_to(tree)}")


def depmod(tree: Path, base: Path, version: str) -> None:
    """Write the dependency tables of the modules in ``base``/usr/lib/modules with the depmod of ``tree``."""
    if not (base / "lib").exists():
        (base / "lib").symlink_to("usr/lib")  # depmod looks there
    done = subprocess.run(
        [*prefix.command(tree, "usr/bin/kmod", name="depmod"), "-b", base, version],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UsageError(f"depmod failed on the guest's modules: {done.stderr.strip()}")


_FINISHED: Final[Mapping[str, Callable[[Path], object]]] = {
    libvfio.NAME: lambda tree: libvfio.build(tree, tree / "source"),
    "clang": merged_root("lib", "lib64"),  # the linker asks for them
    "guest": _guest,
    "headers": _headers,
    "wine": link_foreign_dlls,
}
"""What is done for a set when its packages are unpacked."""
