"""Windows programs from C sources: GCC for Windows and Wine, of the set ``wine``, in a root of their own.

Each ``Windows`` has its own Wine server, since that makes the sockets: one for a network namespace.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from lab.errors import UsageError
from lab.machines import cache, fetch
from lab.machines.recipes import package_sets

SET = "wine"
SCRIPT = Path(__file__).with_name("private_root.sh")
SOURCES = Path(__file__).with_name("winsock")
COMPILER = "/usr/bin/x86_64-w64-mingw32-gcc-win32"
FLAGS = ("-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror")
WINE = "/usr/lib/wine/wine64"
WINE_SERVER = "/usr/lib/wine/wineserver64"
DLLS = "usr/lib/x86_64-linux-gnu/wine/x86_64-windows"
SYSTEM = "drive_c/windows/system32"
LIMIT_S = 120.0


class Windows:
    """A folder with compiled programs and a Wine prefix."""

    def __init__(self, folder: Path) -> None:
        """Fetch what is missing, and make a prefix in ``folder``. UsageError when this machine cannot."""
        for name in ("unshare", "mount", "chroot"):
            if shutil.which(name) is None:
                raise UsageError(f"no {name} program: install util-linux and coreutils")
        fetch.ensure([SET])
        self._tree = fetch.tree(SET)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self._prefix(), folder / "prefix", symlinks=True)

    def compile(self, *names: str) -> None:
        """Compile ``winsock/NAME.c`` to NAME.exe, strictly. UsageError with the compiler's words."""
        sources = self._folder / "sources"
        shutil.copytree(SOURCES, sources, dirs_exist_ok=True)
        for name in names:
            argv = [COMPILER, *FLAGS, "-o", f"/ours/{name}.exe", f"/ours/sources/{name}.c", "-lws2_32"]
            self._run(self._folder, argv)

    def inside(self, name: str, *arguments: object) -> list[str]:
        """Return the command that runs a compiled program, in whichever network namespace it is started."""
        program = [WINE, f"/ours/{name}.exe", *map(str, arguments)]
        return self._argv(self._folder, program)

    def version(self) -> str:
        """Return Wine's own word for its version."""
        return self._run(self._folder, [WINE, "--version"]).strip()

    def _argv(self, work: Path, program: list[str]) -> list[str]:
        # A user namespace for root, too, so that files have one owner everywhere.
        space = ["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"]
        return [*space, "sh", str(SCRIPT), str(self._tree), str(work), *program]

    def _run(self, work: Path, program: list[str]) -> str:
        done = self._done(work, program)
        if done.returncode:
            raise _refused(program[0], done)
        return done.stdout

    def _done(self, work: Path, program: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._argv(work, program),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )

    def _prefix(self) -> Path:
        """Return a prefix that every ``Windows`` copies; made once, its DLLs links into the set's tree."""
        made = cache.directory("wine") / f"prefix-{fetch.fingerprint(package_sets()[SET])}"
        with cache.exclusive("wine"):
            if not made.is_dir():
                with cache.replacing(made.with_name("making")) as work:
                    # Its status tells of the 32-bit half, which is not there; the registry is what counts.
                    done = self._done(work, [WINE, "wineboot", "--init"])
                    self._run(work, [WINE_SERVER, "--wait"])  # which writes it when it ends
                    if not (work / "prefix/system.reg").is_file():
                        raise _refused(WINE, done)
                    _link_dlls(work / "prefix" / SYSTEM, self._tree / DLLS)
                    (work / "prefix").rename(made)
        return made


def _refused(program: str, done: subprocess.CompletedProcess[str]) -> UsageError:
    return UsageError(
        f"{program} failed in its private root ({done.stderr.strip() or done.returncode}): "
        "allow user and mount namespaces, or run as root"
    )


def _link_dlls(system: Path, dlls: Path) -> None:
    """Replace copies by links: 700 MB less. They are absolute in the private root."""
    for file in system.iterdir():
        if file.is_file() and (dlls / file.name).is_file():
            file.unlink()
            file.symlink_to(f"/{DLLS}/{file.name}")
