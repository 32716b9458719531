"""How libvfio-user comes into the cache: a source package by its tarball, and no other set is disturbed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lab.errors import UsageError
from lab.machines import fetch, libvfio_user
from lab.machines.fetch import apt, sources
from lab.machines.fetch.libvfio import unpack_source
from lab.machines.recipes import package_sets


def tarball(path: Path, members: dict[str, bytes]) -> Path:
    """Write a tarball."""
    with tarfile.open(path, "w:xz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_a_source_s_tarball_is_read_from_the_plan() -> None:
    """As ``apt-get source --print-uris`` prints it; the tilde and the plus come quoted."""
    text = "'http://m/q/qemu_7.2%2bdfsg.orig.tar.xz' qemu_7.2+dfsg.orig.tar.xz 23523172 SHA256:91ac\n"

    planned = apt.parse_plan(text)

    assert planned == [apt.Package("qemu", "7.2+dfsg", "source", "qemu_7.2+dfsg.orig.tar.xz", 23523172)]


def test_the_index_of_sources_is_signed_for_as_that_of_packages() -> None:
    """One line each, with the same keyring."""
    mirror = sources.Mirror("http://m/debian", Path("/k.gpg"))

    assert apt.source_list(mirror, ["s"], ("deb", "deb-src")) == (
        "deb [signed-by=/k.gpg] http://m/debian s main\ndeb-src [signed-by=/k.gpg] http://m/debian s main\n"
    )


def test_only_what_is_kept_of_the_folder_is_unpacked(tmp_path: Path) -> None:
    """Neither the rest of the source, nor its tests, nor anything outside the target."""
    folder = "subprojects/libvfio-user"
    members = {
        f"qemu-7/{folder}/include/a.h": b"a",
        f"qemu-7/{folder}/lib/b.c": b"b",
        f"qemu-7/{folder}/test/c.c": b"c",
        f"qemu-7/{folder}/lib/../../../../d.c": b"d",
        "qemu-7/hw/lib/e.c": b"e",
    }

    unpack_source(tarball(tmp_path / "q.tar.xz", members), folder, tmp_path / "out")

    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"q.tar.xz", "out/include/a.h", "out/lib/b.c"}


def test_a_source_without_the_folder_says_so(tmp_path: Path) -> None:
    """As a later QEMU's would."""
    file = tarball(tmp_path / "q.tar.xz", {"qemu-10/hw/a.c": b"a"})

    with pytest.raises(UsageError, match="no longer carries it"):
        unpack_source(file, "subprojects/libvfio-user", tmp_path / "out")


def test_sets_without_a_source_keep_their_fingerprint() -> None:
    """Otherwise every user would fetch QEMU again, for a field that its set does not have."""
    passt = package_sets()["passt"]
    without = {name: value for name, value in asdict(passt).items() if name != "source"}

    found = fetch.fingerprint(passt)

    assert found == hashlib.sha256(json.dumps(without, sort_keys=True).encode()).hexdigest()[:16]
    assert fetch.fingerprint(replace(passt, source=("qemu", "folder"))) != found


def test_a_prefix_without_the_library_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable's name."""
    monkeypatch.setenv(libvfio_user.PREFIX_VARIABLE, str(tmp_path))

    with pytest.raises(UsageError, match=r"RINGWALK_LIBVFIO_USER=.* has no include/libvfio-user.h"):
        libvfio_user.installation()


def test_a_list_that_nobody_reads_is_no_error() -> None:
    """``ringwalk fetch --list | head -0``."""
    read, write = os.pipe()
    os.close(read)

    done = subprocess.run(
        [sys.executable, "-m", "lab.cli.main", "fetch", "--list"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)

    assert (done.returncode, done.stderr) == (0, b"")
