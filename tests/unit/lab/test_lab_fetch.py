"""Fetching: what apt says is read right, and what is recorded survives."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from lab.errors import UsageError
from lab.machines import cache, fetch
from lab.machines.fetch import apt, contents, deb, record, sources
from lab.machines.recipes import package_sets

if TYPE_CHECKING:
    from pathlib import Path

PLAN = """\
'http://mirror.test/debian/pool/main/q/qemu/qemu-system-x86_11.1.3_amd64.deb' \
qemu-system-x86_1%3a11.1.3+ds-1~bpo13+1_amd64.deb 10377056 SHA256:00
'http://mirror.test/debian/pool/main/s/seabios_1_all.deb' seabios_1.17.0-1~bpo13+1_all.deb 160548
"""


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "ringwalk"


def package(path: Path, files: dict[str, bytes]) -> Path:
    """Write a .deb by the letter of deb(5)."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o4755
            tar.addfile(member, io.BytesIO(content))
    raw = b"!<arch>\n"
    for name, data in (("debian-binary", b"2.0\n"), ("data.tar.xz", packed.getvalue())):
        raw += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data
        raw += b"\n" * (len(data) % 2)
    path.write_bytes(raw)
    return path


def test_a_plan_names_versions_and_sizes() -> None:
    """The colon of an epoch is escaped in a file's name."""
    first, second = apt.parse_plan(PLAN)

    assert (first.name, first.version, first.architecture, first.size_bytes) == (
        "qemu-system-x86",
        "1:11.1.3+ds-1~bpo13+1",
        "amd64",
        10377056,
    )
    assert second.file == "seabios_1.17.0-1~bpo13+1_all.deb"


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("1:11.1.3+ds-1~bpo13+1", (11, 1, 3)), ("6.12.107-1", (6, 12, 107)), ("10.1.0", (10, 1, 0)), ("x", ())],
)
def test_the_upstream_part_of_a_version_is_compared(version: str, numbers: tuple[int, ...]) -> None:
    """Epoch and Debian's own suffixes say nothing of QEMU's age."""
    assert apt.upstream(version) == numbers


@pytest.mark.parametrize(("oldest", "enough"), [("11.1.3", True), ("11.2", False), ("10.1.1", True)])
def test_a_suite_with_too_old_a_qemu_is_passed_over(oldest: str, *, enough: bool) -> None:
    """The next group of suites is asked then."""
    assert fetch.satisfies(apt.parse_plan(PLAN), ("qemu-system-x86", oldest)) is enough


def test_the_lock_file_is_read_back_as_it_was_written(empty_cache: Path) -> None:
    """A report can name every package that was run."""
    locked = record.Locked("linux", "6.12", "amd64", 5, "ab" * 32)
    entry = record.SetRecord("f" * 16, "http://mirror.test/debian", ("trixie",), "2026-01-01", (locked,))

    record.write({"guest": entry})

    assert record.read() == {"guest": entry}
    assert (empty_cache / "lock.json").is_file()
    assert record.read()["guest"].version_of("linux") == "6.12"


@pytest.mark.parametrize("text", ["", "{", '{"format": 99, "sets": {}}'])
def test_a_damaged_or_unknown_lock_file_counts_as_none(text: str) -> None:
    """It is fetched again then, not crashed over."""
    assert record.parse(text) == {}


@pytest.mark.usefixtures("empty_cache")
def test_offline_with_an_empty_cache_names_what_is_missing() -> None:
    """And the remedy."""
    with pytest.raises(UsageError, match="the cache lacks: QEMU with vfio-user-pci; run `ringwalk fetch`"):
        fetch.ensure(["qemu"], offline=True)


def test_a_set_is_out_of_date_when_its_recipe_changed(empty_cache: Path) -> None:
    """What was fetched for another recipe is not what this one asks for."""
    wanted = package_sets()["passt"]
    (empty_cache / "sets" / "passt").mkdir(parents=True)
    current = record.SetRecord(fetch.fingerprint(wanted), "m", ("s",), "t", ())

    record.write({"passt": current})
    complete = fetch.complete(wanted)
    record.write({"passt": record.SetRecord("another", "m", ("s",), "t", ())})

    assert (complete, fetch.complete(wanted)) == (True, False)


def test_an_interrupted_preparation_leaves_the_old_directory(tmp_path: Path) -> None:
    """Whole, or as before: and no temporary directory beside it."""
    target = tmp_path / "set"
    target.mkdir()
    (target / "old").touch()

    def interrupted() -> None:
        with cache.replacing(target) as new:
            (new / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert [p.name for p in tmp_path.iterdir()] == ["set"]
    assert [p.name for p in target.iterdir()] == ["old"]


def test_a_finished_preparation_takes_the_old_one_s_place(tmp_path: Path) -> None:
    """Nothing of the old one is left."""
    target = tmp_path / "set"
    target.mkdir()
    (target / "old").touch()

    with cache.replacing(target) as new:
        (new / "whole").touch()

    assert [p.name for p in tmp_path.iterdir()] == ["set"]
    assert [p.name for p in target.iterdir()] == ["whole"]


def test_a_full_disk_is_told_with_its_remedy(tmp_path: Path) -> None:
    """Errno 28 from anywhere in the block."""
    with pytest.raises(UsageError, match=r"is full: free some space"), cache.replacing(tmp_path / "set"):
        raise OSError(28, "No space left on device")


def test_a_package_is_unpacked_without_dangerous_rights(tmp_path: Path) -> None:
    """Set-user-id bits stay behind; unwanted files too."""
    path = package(tmp_path / "a.deb", {"./usr/bin/tool": b"odd", "./usr/share/doc/a/copyright": b"x"})
    target = tmp_path / "tree"

    deb.unpack(path, target, contents.program_files)

    assert [str(p.relative_to(target)) for p in target.rglob("*") if p.is_file()] == ["usr/bin/tool"]
    assert (target / "usr/bin/tool").stat().st_mode & 0o7777 == 0o755


def test_a_package_cannot_write_outside_its_tree(tmp_path: Path) -> None:
    """A path that climbs is an error, not a file."""
    path = package(tmp_path / "a.deb", {"./../escaped": b"x"})

    with pytest.raises(deb.PackageError, match="leaves the archive"):
        deb.unpack(path, tmp_path / "tree")

    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize("cut", [4, 20, 100, 200])
def test_a_cut_off_package_is_told(tmp_path: Path, cut: int) -> None:
    """Wherever the file ends."""
    path = package(tmp_path / "a.deb", {"./file": bytes(5000)})
    path.write_bytes(path.read_bytes()[:cut])

    with pytest.raises(deb.PackageError, match="not a usable Debian package"):
        deb.unpack(path, tmp_path / "tree")


def test_only_the_listed_modules_of_a_kernel_are_kept() -> None:
    """And the kernel itself, but not its map."""
    wanted = contents.guest_files(("drivers/net/ethernet/intel",))

    kept = [
        wanted("./usr/lib/modules/6.1/kernel/drivers/net/ethernet/intel/e1000e/e1000e.ko.xz"),
        wanted("./usr/lib/modules/6.1/kernel/drivers/gpu/drm/drm.ko.xz"),
        wanted("./usr/lib/modules/6.1/modules.builtin"),
        wanted("./boot/vmlinuz-6.1"),
        wanted("./boot/System.map-6.1"),
    ]

    assert kept == [True, False, True, True, False]


def test_the_mirror_comes_from_one_line_and_deb822_sources() -> None:
    """Security and foreign archives are passed over, as is what is commented out."""
    one_line = "# deb http://no.test/debian x main\ndeb [arch=amd64] http://one.test/debian trixie main\n"
    deb822 = (
        "Types: deb\n# a remark\nURIs: http://two.test/debian-security\nSuites: x\n\n"
        "Types: deb\nURIs: http://two.test/debian/\nSuites: trixie\n\nTypes: deb\nEnabled: no\nURIs: http://off.test/debian\n"
    )

    assert sources.debian_mirror(sources.one_line_uris(one_line)) == "http://one.test/debian"
    assert sources.debian_mirror(sources.deb822_uris(deb822)) == "http://two.test/debian"
    assert "http://off.test/debian" not in sources.deb822_uris(deb822)


def test_a_machine_without_a_mirror_is_told_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is guessed."""
    monkeypatch.delenv(sources.MIRROR_VARIABLE, raising=False)

    with pytest.raises(UsageError, match=f"set {sources.MIRROR_VARIABLE}"):
        sources.discover(tmp_path)


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("E: Failed to fetch x  Could not resolve 'mirror.test'", "--offline"),
        ("E: You don't have enough free space in /x/archives/.", "XDG_CACHE_HOME"),
        ("E: The repository is not signed.", "apt-get failed: E: The repository is not signed"),
    ],
)
def test_apt_s_complaints_become_one_line(said: str, remedy: str) -> None:
    """With what to do."""
    error = str(apt.apt_failure(f"Reading...\n{said}\n"))

    assert remedy in error
    assert "\n" not in error


def test_apt_has_a_place_of_its_own_for_temporary_files(tmp_path: Path) -> None:
    """Where an ordinary user may not write to /tmp, apt's check of a signature fails without one."""
    mirror = sources.Mirror("http://mirror.example", tmp_path / "keyring")
    private = apt.PrivateApt(tmp_path / "state", tmp_path / "archives", mirror, ["suite"])

    told = private._environment()["TMPDIR"]

    assert told == str(tmp_path / "state/tmp")
    assert (tmp_path / "state/tmp").is_dir()
