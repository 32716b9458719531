"""Folders for caches and sockets: whose they may be, and where they are without a home."""

# ruff: noqa: D103 - a name that is a sentence needs no other

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest

from device.private_folder import FolderError, cache_root, check, made, run_folder

OTHER = 54321
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")


def test_what_is_missing_is_made_for_this_user_alone(tmp_path: Path) -> None:
    folder = made(tmp_path / "one" / "two")

    assert [stat.S_IMODE(one.stat().st_mode) for one in (folder.parent, folder)] == [0o700, 0o700]


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)

    with pytest.raises(FolderError, match="can be written by others"):
        made(tmp_path / "open" / "mine")


def test_a_sticky_folder_above_ours_is_as_good_as_tmp(tmp_path: Path) -> None:
    (tmp_path / "sticky").mkdir()
    (tmp_path / "sticky").chmod(0o1777)

    assert made(tmp_path / "sticky" / "mine").is_dir()


def test_a_sticky_folder_is_not_itself_ours(tmp_path: Path) -> None:
    (tmp_path / "sticky").mkdir()
    (tmp_path / "sticky").chmod(0o1777)

    with pytest.raises(FolderError, match="is open to others"):
        check(tmp_path / "sticky")


@needs_root
def test_another_users_folder_on_the_way_is_refused(tmp_path: Path) -> None:
    """As /tmp/.cache was, made before by somebody else (t19)."""
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", OTHER, OTHER)

    with pytest.raises(FolderError, match=f"belongs to another user \\({OTHER}\\)"):
        made(tmp_path / "theirs" / ".cache")


@needs_root
def test_another_users_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    os.chown(tmp_path / "link", OTHER, OTHER, follow_symlinks=False)

    with pytest.raises(FolderError, match="belongs to another user"):
        check(tmp_path / "link")


@needs_root
def test_a_link_of_ours_into_another_users_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", OTHER, OTHER)
    (tmp_path / "theirs" / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "theirs" / "folder")

    with pytest.raises(FolderError, match="belongs to another user"):
        check(tmp_path / "link")


@needs_root
def test_a_group_of_several_users_is_others(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o770)
    os.chown(tmp_path / "shared", 0, OTHER)

    with pytest.raises(FolderError, match="can be written by others"):
        made(tmp_path / "shared" / "mine")


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(FolderError, match="is no folder"):
        made(tmp_path / "file")


def test_without_home_the_user_database_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    assert cache_root() == Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache/ringwalk"


def test_without_any_home_the_error_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Never /tmp: whoever was there first would own what we run."""
    homeless = pwd.struct_passwd(("n", "x", 1, 1, "", str(tmp_path / "nonexistent"), ""))
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: homeless)

    with pytest.raises(FolderError, match="set XDG_CACHE_HOME"):
        cache_root()


def test_sockets_go_to_the_first_folder_that_is_good(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "open"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))

    folder = run_folder("net", most_bytes=4096)

    assert folder == tmp_path / "c/ringwalk/run/net"
