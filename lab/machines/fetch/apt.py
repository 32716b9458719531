"""A private apt: its own sources, indexes and archives, so that no root and no system change is needed.

apt does the resolving, the signature checks (``signed-by``) and the resumable download; this module
writes its configuration and reads what it prints.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lab.machines.fetch.sources import Mirror

PLAN_LINE = re.compile(r"^'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+)", re.MULTILINE)
STATUS_LINE = re.compile(r"^dlstatus:\d+:(?P<percent>[\d.]+):")
PROXY_LINE = re.compile(r'^Acquire::(?:http|https|ftp)(?:::[\w.:-]*)?::Proxy(?:-Auto-Detect)? ".+";$')
NETWORK_SIGNS = (
    "Could not resolve",
    "Could not connect",
    "Temporary failure",
    "Connection failed",
    "Unable to connect",
)


_SOURCE = ("source", "--tar-only")


class Progress(Protocol):
    """Whom to tell how far a download is."""

    def update(self, fraction: float) -> None:
        """Show that ``fraction`` of the work is done."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package file that a set needs."""

    name: str
    version: str
    architecture: str
    file: str
    size_bytes: int


def parse_plan(text: str) -> list[Package]:
    """Read what ``apt-get install --print-uris`` printed."""
    packages = []
    for match in PLAN_LINE.finditer(text):
        if ".orig.tar." in match["file"]:
            name, version = match["file"].partition(".orig.tar.")[0].split("_")
            packages.append(Package(name, unquote(version), "source", match["file"], int(match["size"])))
            continue
        name, version, rest = match["file"].split("_", 2)
        packages.append(
            Package(name, unquote(version), rest.removesuffix(".deb"), match["file"], int(match["size"]))
        )
    return packages


def upstream(version: str) -> tuple[int, ...]:
    """Return the numbers of a Debian version's upstream part: ``1:11.1.3+ds-1`` is (11, 1, 3)."""
    match = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", version)
    return tuple(int(n) for n in match[1].split(".")) if match else ()


def configuration(state: Path, archives: Path, proxies: Sequence[str]) -> str:
    """Return the apt.conf of a private apt (apt.conf(5))."""
    lines = [
        f'Dir::Etc "{state}/etc";',
        f'Dir::Etc::sourcelist "{state}/sources.list";',
        f'Dir::Etc::sourceparts "{state}/none";',
        f'Dir::State "{state}";',
        f'Dir::State::lists "{state}/lists";',
        f'Dir::State::status "{state}/status";',
        f'Dir::Cache "{state}";',
        f'Dir::Cache::archives "{archives}";',
        f'Dir::Log "{state}";',
        'APT::Architecture "amd64";',
        'APT::Architectures { "amd64"; };',
        'APT::Install-Recommends "false";',
        'APT::Install-Suggests "false";',
        # Downloading as another user is for a system-wide archive; ours belongs to whoever calls.
        f'APT::Sandbox::User "{os.environ.get("USER", "") if os.geteuid() else "root"}";',
        'Acquire::Languages "none";',
        # Indexes stay compressed and no cache is kept of them: 300 MB less, for half a second a run.
        'Acquire::GzipIndexes "true";',
        'Dir::Cache::pkgcache "";',
        'Dir::Cache::srcpkgcache "";',
        'Acquire::Retries "3";',
        *proxies,
    ]
    return "\n".join(lines) + "\n"


def source_list(mirror: Mirror, suites: Sequence[str], kinds: Sequence[str] = ("deb",)) -> str:
    """Return the one-line sources of a group of suites; ``kinds``: deb and, for source, deb-src."""
    return "".join(
        f"{kind} [signed-by={mirror.keyring}] {mirror.uri} {suite} main\n"
        for suite in suites
        for kind in kinds
    )


def available() -> bool:
    """Tell whether this machine has apt at all."""
    return shutil.which("apt-get") is not None


class PrivateApt:
    """apt over one group of suites, with all its state below ``state``."""

    def __init__(
        self,
        state: Path,
        archives: Path,
        mirror: Mirror,
        suites: Sequence[str],
        kinds: Sequence[str] = ("deb",),
    ) -> None:
        """Write the configuration; touch no network yet."""
        self.suites = tuple(suites)
        self._config = state / "apt.conf"
        self._nothing = state / "nothing"
        self._scratch = state / "tmp"
        (self._nothing / "partial").mkdir(parents=True, exist_ok=True)
        for part in ("etc/apt.conf.d", "etc/preferences.d", "etc/trusted.gpg.d", "lists/partial", "tmp"):
            (state / part).mkdir(parents=True, exist_ok=True)
        (archives / "partial").mkdir(parents=True, exist_ok=True)
        (state / "status").touch()
        (state / "sources.list").write_text(source_list(mirror, suites, kinds))
        self._config.write_text(configuration(state, archives, system_proxies()))

    def update(self) -> None:
        """Fetch and check the suites' signed indexes."""
        self._run(["update", "-q", "--error-on=any"])

    def plan(self, packages: Sequence[str]) -> list[Package]:
        """Return every package file that ``packages`` need, dependencies included."""
        # apt leaves out what it has already: an empty archive makes it name all, also after an interruption
        empty = f"Dir::Cache::archives={self._nothing}"
        return parse_plan(self._run([*self._install(packages), "--print-uris", "-qq", "-o", empty]))

    def plan_source(self, package: str) -> Package:
        """Return the upstream tarball of a source package."""
        return parse_plan(self._run([*_SOURCE, "--print-uris", "-qq", package]))[0]

    def download_source(self, package: str, folder: Path) -> None:
        """Bring the file of ``plan_source`` into ``folder``, checked against the signed index."""
        self._run([*_SOURCE, "--download-only", "-qq", package], cwd=folder)

    def download(self, packages: Sequence[str], progress: Progress) -> None:
        """Bring the files of ``plan`` into the archive directory; partial files are resumed."""
        read, write = os.pipe()
        argv = [*self._install(packages), "--download-only", "-qq", "-o", f"APT::Status-Fd={write}"]
        with subprocess.Popen(
            ["apt-get", *argv],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[write],
            text=True,
        ) as apt:
            os.close(write)
            try:
                with os.fdopen(read, errors="replace") as status:
                    for line in status:
                        if match := STATUS_LINE.match(line):
                            progress.update(float(match["percent"]) / 100)
                _, errors = apt.communicate()
            except BaseException:  # Ctrl-C above all: apt must not go on alone
                apt.terminate()
                raise
        if apt.returncode:
            raise apt_failure(errors)

    def _install(self, packages: Sequence[str]) -> list[str]:
        return ["install", "-y", "-t", self.suites[0], *packages]

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "APT_CONFIG": str(self._config),
            "TMPDIR": str(self._scratch),  # without one apt calls every repository unsigned
            "LC_ALL": "C",
            "DEBIAN_FRONTEND": "noninteractive",
        }

    def _run(self, argv: list[str], cwd: Path | None = None) -> str:
        done = subprocess.run(
            ["apt-get", *argv],
            cwd=cwd,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise apt_failure(done.stderr)
        return done.stdout


def system_proxies() -> list[str]:
    """Return the proxy settings of the machine's own apt, which a private configuration would lose."""
    done = subprocess.run(
        ["apt-config", "dump"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return [line for line in done.stdout.splitlines() if PROXY_LINE.match(line)]


def apt_failure(errors: str) -> UsageError:
    """Turn apt's complaint into one line with a remedy."""
    lines = [line.strip() for line in errors.splitlines() if line.startswith("E:")]
    if any(sign in errors for sign in NETWORK_SIGNS):
        return UsageError("no network to the Debian mirror: connect, or use --offline with a filled cache")
    if "No space left" in errors or "enough free space" in errors:
        return UsageError("the disk is full: free some space, or set XDG_CACHE_HOME to another disk")
    return UsageError(f"apt-get failed: {lines[0] if lines else errors.strip() or 'no reason given'}")
