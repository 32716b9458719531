"""What is exchanged with a guest: the arguments, and what is refused."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from lab.errors import UsageError
from lab.machines.guest import exchange
from lab.machines.guest.console_watch import ConsoleWatch

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_is_shared_under_its_name_and_may_be_for_reading_only(tmp_path: Path) -> None:
    """Behind the cards' slots, which it shall not move."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two:ro").mkdir()

    found = exchange.shares([str(tmp_path / "one"), f"{tmp_path}/one:ro", f"{tmp_path}/two:ro:rw"][1:])
    arguments = exchange.share_arguments(found)

    assert [(share.mounted, share.writable) for share in found] == [
        ("/mnt/one", False),
        ("/mnt/two:ro", True),
    ]
    assert arguments[1].endswith(f"path={tmp_path}/one,security_model=none,multidevs=remap,readonly=on")
    assert arguments[3] == "virtio-9p-pci,fsdev=share0,mount_tag=share0,addr=0x1c"
    assert arguments[7].endswith("addr=0x1b")


@pytest.mark.parametrize("what", ["/nowhere", "a,b", "twice"])
def test_a_share_that_cannot_be_is_refused(tmp_path: Path, what: str) -> None:
    """With what would do."""
    (tmp_path / "a,b").mkdir()
    (tmp_path / "twice").mkdir()
    (tmp_path / "x" / "twice").mkdir(parents=True)
    given = {
        "/nowhere": ["/nowhere:ro"],
        "a,b": [f"{tmp_path}/a,b"],
        "twice": [f"{tmp_path}/twice", f"{tmp_path}/x/twice"],
    }

    with pytest.raises(UsageError, match="--share"):
        exchange.shares(given[what])


def test_folders_are_copied_like_files(tmp_path: Path) -> None:
    """In, and out again."""
    (tmp_path / "folder").mkdir()

    (into,) = exchange.copies_in([f"{tmp_path}/folder:/opt/"])
    (back,) = exchange.copies_out([f"/var/log:{tmp_path}/log"])

    assert (into.host, into.guest) == (tmp_path / "folder", "/opt/folder")
    assert (back.host, back.guest) == (tmp_path / "log", "/var/log")


@pytest.mark.parametrize("text", ["a", "relative:x", "/x:", "/x:/nowhere/y/z"])
def test_a_copy_out_that_cannot_be_is_refused(text: str) -> None:
    """The folder that it goes to must be there."""
    with pytest.raises(UsageError, match="--copy-out"):
        exchange.copies_out([text])


def test_what_a_guest_packs_stays_in_the_folder_that_it_was_asked_for(tmp_path: Path) -> None:
    """A guest may be hostile: a path that leaves the folder is refused."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../outside"), io.BytesIO())

    with pytest.raises(tarfile.OutsideDestinationError):
        exchange._unpack(packed.getvalue(), tmp_path / "in")

    assert not (tmp_path / "outside").exists()


def test_a_module_is_a_file_that_is_called_so(tmp_path: Path) -> None:
    """Anything else is refused, with the way to one."""
    module, other = tmp_path / "mine.ko", tmp_path / "mine.c"
    module.touch()
    other.touch()

    assert exchange.modules([module]) == [module]
    for wrong in (other, tmp_path / "none.ko"):
        with pytest.raises(UsageError, match="ringwalk kbuild"):
            exchange.modules([wrong])


OOPS = """\
ringwalk: Linux 6.12 is up
[    9.1] BUG: kernel NULL pointer dereference, address: 0000000000000000
[    9.2] Oops: Oops: 0000 [#1] PREEMPT SMP
[    9.3] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [insmod:99]
"""
PANIC = """\
[   10.0] Kernel panic - not syncing: Fatal exception in interrupt
[   10.1] CPU: 0 PID: 99
[   10.2] ---[ end Kernel panic - not syncing: Fatal exception in interrupt ]---
"""


def test_a_console_is_watched_for_what_a_kernel_complains_of(tmp_path: Path) -> None:
    """Each complaint is told once, also where it comes in pieces; after a panic nothing is awaited."""
    console = tmp_path / "console"
    told: list[str] = []
    watch = ConsoleWatch(console, told.append)
    watch.look()  # there is no console yet
    for piece in (OOPS[:50], OOPS[50:], PANIC[:60]):
        with console.open("a") as file:
            file.write(piece)
        watch.look()
    panicked = (watch.panic, watch.panic_ended)
    with console.open("a") as file:
        file.write(PANIC[60:] + PANIC)
    watch.look()
    watch.look()

    assert told == [
        "oops: BUG: kernel NULL pointer dereference, address: 0000000000000000",
        "oops: Oops: Oops: 0000 [#1] PREEMPT SMP",
        "the guest hangs: watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [insmod:99]",
    ]
    assert panicked == ("", False)
    assert watch.panic.startswith("the guest's kernel panicked: Kernel panic - not syncing: Fatal exception")
    assert watch.panic_ended


def test_a_flood_of_complaints_is_not_told_for_ever(tmp_path: Path) -> None:
    """The console has them all."""
    console = tmp_path / "console"
    console.write_text("BUG: again\n" * 1000)
    told: list[str] = []
    watch = ConsoleWatch(console, told.append)

    watch.look()

    assert len(told) == 20
    assert watch.complaints == 1000
