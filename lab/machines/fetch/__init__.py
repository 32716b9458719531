"""Brings what Ringwalk needs and does not carry: QEMU, the guest's kernel and tools, passt.

``ensure`` is the one entry: it returns at once when the cache is complete, and otherwise resolves, downloads,
checks, unpacks and records. Two calls at once are safe; an interrupted one goes on where it was.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
import sys
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.machines import cache
from lab.machines.fetch import apt, contents, deb, libvfio, record, sources
from lab.machines.fetch.progress import Bar, mega
from lab.machines.recipes import PackageSet, load, package_sets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SOURCE = "source"
"""Where a set's source is unpacked, in its tree."""

UNPACKED_PER_DOWNLOADED = 2.7
"""Packages and tree together, measured over both sets; only for the announcement and the check for room."""


def say(text: str) -> None:
    """Tell the user, on standard error."""
    print(text, file=sys.stderr, flush=True)


def tree(name: str) -> Path:
    """Return where the set ``name`` is (or will be) unpacked."""
    return cache.root() / "sets" / name


def fingerprint(wanted: PackageSet) -> str:
    """Return what changes when the recipe of a set changes."""
    recipe = asdict(wanted)
    if wanted.source is None:
        del recipe["source"]  # sets that were fetched before there was such a thing stay as they are
    if wanted.name == "guest":
        recipe["keep"] = load("guest.toml")["keep"]
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]


def complete(wanted: PackageSet) -> bool:
    """Tell whether the cache holds the set as its recipe says."""
    held = record.read().get(wanted.name)
    return held is not None and held.recipe == fingerprint(wanted) and tree(wanted.name).is_dir()


def ensure(names: Sequence[str], *, offline: bool = False) -> None:
    """Make sure that the sets ``names`` are in the cache.

    Raises ``UsageError`` when something is missing that cannot be brought, with the remedy.
    """
    wanted = [package_sets()[name] for name in names]
    if all(complete(one) for one in wanted):
        return
    with cache.exclusive("fetch", lambda: say("ringwalk: another fetch is at work, waiting for it")):
        missing = [one for one in wanted if not complete(one)]  # the other one may have brought them
        if not missing:
            return
        if offline:
            lacking = ", ".join(one.summary for one in missing)
            raise UsageError(
                f"--offline, and the cache lacks: {lacking}; run `ringwalk fetch` once with a network"
            )
        if not apt.available():
            raise UsageError(
                "apt-get is missing, which resolves and checks what is fetched:"
                " install apt and dpkg (Fedora: sudo dnf install apt dpkg debian-keyring)"
            )
        mirror = sources.discover()
        plans = [_resolve(one, mirror) for one in missing]
        _announce(plans)
        for one, private, packages in plans:
            _bring(one, private, packages, mirror)


Plan = tuple[PackageSet, apt.PrivateApt, list[apt.Package]]


def _resolve(wanted: PackageSet, mirror: sources.Mirror) -> Plan:
    """Find the first group of suites that satisfies the set."""
    for suites in wanted.suites:
        state = cache.directory("apt", "-".join(suites))
        kinds = ("deb", "deb-src") if wanted.source else ("deb",)
        private = apt.PrivateApt(state, cache.directory("apt", "archives"), mirror, suites, kinds)
        say(f"ringwalk: reading the signed indexes of {' and '.join(suites)}")
        private.update()
        packages = private.plan(wanted.packages)
        if wanted.source:
            packages.append(private.plan_source(wanted.source[0]))
        if satisfies(packages, wanted.minimum):
            return wanted, private, packages
    raise UsageError(f"no suite of {mirror.uri} has what is needed for: {wanted.summary}")


def satisfies(packages: Sequence[apt.Package], minimum: tuple[str, str] | None) -> bool:
    """Tell whether a plan has the package of ``minimum`` in a version that is new enough."""
    if minimum is None:
        return bool(packages)
    name, version = minimum
    return any(p.name == name and apt.upstream(p.version) >= apt.upstream(version) for p in packages)


def _announce(plans: Sequence[Plan]) -> None:
    """Say how much comes and how much disk it takes; refuse when there is not enough."""
    total = 0
    for wanted, _, packages in plans:
        size = sum(p.size_bytes for p in packages)
        total += size
        say(f"  {wanted.summary:<38} {len(packages):4} packages {mega(size):>8} to download")
    disk = int(total * UNPACKED_PER_DOWNLOADED)
    room = cache.free_bytes()
    say(f"  needs up to {mega(disk)} of disk in {cache.root()}, which has {mega(room)} free")
    if room < disk:
        raise UsageError(
            f"not enough disk for the cache ({mega(disk)} needed, {mega(room)} free): free some space,"
            " or set XDG_CACHE_HOME to another disk"
        )


@contextmanager
def _bar(label: str, total: str = "") -> Iterator[Bar]:
    bar = Bar(label, total)
    bar.update(0)
    yield bar
    bar.done()


def _bring(
    wanted: PackageSet,
    private: apt.PrivateApt,
    packages: Sequence[apt.Package],
    mirror: sources.Mirror,
) -> None:
    """Download, unpack, record, and drop the package files."""
    archives = cache.directory("apt", "archives")
    with _bar(wanted.summary, mega(sum(p.size_bytes for p in packages))) as bar:
        private.download(wanted.packages, bar)
    locked = []
    kept = contents.filter_of(wanted.name)
    with _bar("unpacking") as bar, cache.replacing(tree(wanted.name)) as new:
        for done, package in enumerate(packages):
            bar.update(done / len(packages))
            file = archives / package.file
            if package.architecture == "source":
                private.download_source(package.name, archives)
            locked.append(
                record.Locked(
                    package.name,
                    package.version,
                    package.architecture,
                    package.size_bytes,
                    record.sha256(file),
                )
            )
            if wanted.source and package.architecture == "source":
                libvfio.unpack_source(file, wanted.source[1], new / SOURCE)
            else:
                deb.unpack(file, new, kept)
        contents.finish(wanted.name, new)
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    entry = record.SetRecord(fingerprint(wanted), mirror.uri, private.suites, now, tuple(locked))
    record.write({**record.read(), wanted.name: entry})
    for package in packages:
        (archives / package.file).unlink(missing_ok=True)


def clean() -> int:
    """Remove everything that was fetched or built; return the bytes that came free."""
    top = cache.root()
    with cache.exclusive("fetch"):
        before = size_bytes(top)
        for part in ("sets", "apt", "guest", "libvfio"):
            shutil.rmtree(top / part, ignore_errors=True)
        (top / record.FILE).unlink(missing_ok=True)
        return before - size_bytes(top)


def size_bytes(where: Path) -> int:
    """Return how much disk a directory takes (a hard link counts once)."""
    seen: dict[int, int] = {}
    for path in where.rglob("*"):
        status = path.lstat()
        seen[status.st_ino] = status.st_blocks * 512
    return sum(seen.values())
