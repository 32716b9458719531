"""Unpacking: nothing is written, linked or read outside the folder, whatever an archive says (t20)."""

# ruff: noqa: D103 - a name that is a sentence needs no other

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from lab.machines.fetch.placement import Placement

if TYPE_CHECKING:
    from pathlib import Path

Entry = tuple[str, bytes, str]
"""A member: its name, its type, and what it contains or where it leads."""
FILE, LINK, SECOND, FOLDER = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE


def unpack(target: Path, *entries: Entry) -> None:
    """Pack the entries and place them below ``target``."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, kind, text in entries:
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, 0o6755
            if kind == FILE:
                member.size = len(text)
            else:
                member.linkname = text
            tar.addfile(member, io.BytesIO(text.encode()))
    packed.seek(0)
    with tarfile.open(fileobj=packed, mode="r|") as tar:
        placement = Placement(target)
        for member in tar:
            placement.member(tar, member)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a folder that nothing may reach, with a file in it."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("secret")
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return the folder to fill."""
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    "leads", ["{outside}", "../../../outside", "/../../{outside}", "../x/../../../outside"]
)
def test_a_file_behind_a_link_of_the_archive_stays_inside(target: Path, outside: Path, leads: str) -> None:
    link = leads.format(outside=outside)

    unpack(target, ("./usr/lib/x", LINK, link), ("./usr/lib/x/evil", FILE, "!!"))

    assert os.listdir(outside) == ["secret"]  # noqa: PTH208 - names are compared
    assert [path.read_text() for path in target.rglob("evil")] == ["!!"]
    assert (target / "usr/lib/x").resolve().is_relative_to(target)


def test_a_file_through_a_link_by_a_link_stays_inside(target: Path, outside: Path) -> None:
    unpack(
        target,
        ("./a", LINK, "."),
        ("./a/b", LINK, ".."),
        ("./b/outside/evil", FILE, "!!"),
    )

    assert os.listdir(outside) == ["secret"]  # noqa: PTH208 - names are compared


@pytest.mark.parametrize("name", ["../evil", "./x/../../evil", "/etc/evil", "./.."])
def test_a_name_that_leaves_is_refused(target: Path, name: str) -> None:
    with pytest.raises(tarfile.TarError, match=r"leaves|names nothing"):
        unpack(target, (name, FILE, "!!"))


@pytest.mark.parametrize("leads", ["./../outside/secret", "../outside/secret", "./link", "./nothing"])
def test_a_second_name_is_for_a_file_of_the_archive_only(target: Path, outside: Path, leads: str) -> None:
    link = ("./link", LINK, str(outside / "secret"))

    with pytest.raises(tarfile.TarError, match=r"leaves|no file of the archive"):
        unpack(target, link, ("./hard", SECOND, leads))

    assert (outside / "secret").stat().st_nlink == 1


def test_a_file_takes_the_place_of_a_link_and_does_not_follow_it(target: Path, outside: Path) -> None:
    (target / "name").symlink_to(outside / "secret")

    unpack(target, ("./name", FILE, "mine"))

    assert (outside / "secret").read_text() == "secret"
    assert (target / "name").read_text() == "mine"


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_left_out(target: Path, kind: bytes) -> None:
    unpack(target, ("./device", kind, ""))

    assert not list(target.iterdir())


def test_no_file_gets_rights_of_its_owner(target: Path) -> None:
    unpack(target, ("./program", FILE, "x"))

    assert (target / "program").stat().st_mode & 0o7777 == 0o755


def test_merged_and_real_folders_go_together(target: Path) -> None:
    """Base files bring ``./lib`` as a link to usr/lib; older packages put files below ``./lib``."""
    unpack(target, ("./lib", LINK, "usr/lib"), ("./lib", FOLDER, ""), ("./lib/one.so", FILE, "1"))

    assert (target / "usr/lib/one.so").read_text() == "1"
    assert (target / "lib").is_symlink()


def test_a_second_name_and_a_relative_link_inside_are_kept(target: Path) -> None:
    unpack(target, ("./a/one", FILE, "1"), ("./b/two", SECOND, "./a/one"), ("./b/link", LINK, "../a/one"))

    assert (target / "b/two").samefile(target / "a/one")
    assert os.readlink(target / "b/link") == "../a/one"  # noqa: PTH115 - as it was written
