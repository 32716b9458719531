"""QEMU's command line and the choice of its accelerator."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from lab.errors import UsageError
from lab.machines.qemu import accelerator, binary
from lab.machines.qemu.accelerator import Choice, Verdict, missing_features, parse_cpuid
from lab.machines.qemu.command import Machine, QemuNic, VfioUserNic, arguments

V2 = {0x1: {"ecx": 0x00982201}, 0x80000001: {"ecx": 1}}


def after(argv: list[str], flag: str) -> list[str]:
    """Return what follows each occurrence of a flag."""
    return [value for name, value in itertools.pairwise(argv) if name == flag]


def test_the_card_is_given_a_day_to_answer() -> None:
    """QEMU's own patience of five seconds would end a debugging session."""
    argv = arguments(Machine(Path("k"), None, (VfioUserNic(Path("/s")),)), "tcg")

    device = json.loads(next(value for value in after(argv, "-device") if "vfio-user" in value))
    assert device["x-msg-timeout"] == 86_400_000
    assert device["socket"] == {"type": "unix", "path": "/s"}


def test_the_memory_can_be_shared_with_the_card() -> None:
    """Without it there is no DMA."""
    argv = arguments(Machine(Path("k"), None, memory_mib=256), "tcg")

    assert after(argv, "-object") == ["memory-backend-memfd,id=ram,size=256M,share=on"]
    assert "memory-backend=ram" in after(argv, "-machine")


def test_the_machine_inherits_every_descriptor_it_names() -> None:
    """Monitor, agent and wires."""
    nic = QemuNic("e1000e", "tap,fd=9", "52:54:00:00:00:01", (9,), "nic3")
    machine = Machine(Path("k"), None, (nic,), monitor_fd=7, agent_fd=8)

    argv = arguments(machine, "kvm")

    assert machine.fds() == [7, 8, 9]
    assert "tap,id=nic3,fd=9" in argv
    assert "e1000e,netdev=nic3,mac=52:54:00:00:00:01" in argv
    assert after(argv, "-cpu") == ["host"]


def test_a_user_s_own_arguments_come_last() -> None:
    """So that they win."""
    argv = arguments(Machine(Path("k"), None, extra=("-m", "1G")), "tcg")

    assert argv[-2:] == ["-m", "1G"]


@pytest.mark.parametrize(
    ("text", "version"),
    [("QEMU emulator version 11.1.3 (Debian 1:11)\n", (11, 1, 3)), ("bash 5", ())],
)
def test_qemu_s_version_is_read(text: str, version: tuple[int, ...]) -> None:
    """And another program is not taken for it."""
    assert binary.parse_version(text) == version


def test_a_cpu_of_level_two_lacks_nothing() -> None:
    """The bits of the psABI's table."""
    assert missing_features(V2) == []


def test_each_missing_feature_is_named() -> None:
    """The story says why KVM was not used."""
    poor = {**V2, 0x1: {"ecx": V2[0x1]["ecx"] & ~(1 << 20)}}

    assert missing_features(poor) == ["SSE4.2"]
    assert missing_features({})[-1] == "LAHF"


def test_a_cpuid_table_is_read_from_the_kernel_s_structure() -> None:
    """Later sub-leaves do not hide the first."""
    words = [2, 0, *(7, 0, 0, 1, 2, 3, 4, 0, 0, 0), *(7, 1, 0, 9, 9, 9, 9, 0, 0, 0)]
    raw = b"".join(word.to_bytes(4, "little") for word in words)

    assert parse_cpuid(raw) == {7: {"eax": 1, "ebx": 2, "ecx": 3, "edx": 4}}


@pytest.fixture
def kvm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Give a KVM whose probe is good, and an empty memory of verdicts."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(accelerator, "probe", lambda: Verdict(usable=True, reason="probed"))
    return monkeypatch


@pytest.mark.usefixtures("kvm")
def test_a_kvm_that_only_probes_well_is_on_trial() -> None:
    """It must show a console line in time."""
    assert accelerator.choose("auto") == Choice("kvm", "probed", watch=True)


@pytest.mark.usefixtures("kvm")
def test_a_kvm_that_booted_is_trusted() -> None:
    """For the rest of this boot of the host."""
    accelerator.remember(Verdict(usable=True, reason="booted", proven=True))

    assert accelerator.choose("auto") == Choice("kvm", "booted", watch=False)


@pytest.mark.usefixtures("kvm")
def test_a_kvm_that_failed_is_not_tried_again() -> None:
    """Ten seconds are lost once, not each time."""
    accelerator.remember(Verdict(usable=False, reason="QEMU says internal-error", proven=True))

    assert accelerator.choose("auto") == Choice("tcg", "QEMU says internal-error")


def test_a_verdict_ends_with_the_host_s_boot(kvm: pytest.MonkeyPatch) -> None:
    """Another kernel may do better."""
    accelerator.remember(Verdict(usable=False, reason="failed", proven=True))

    kvm.setattr(accelerator, "boot_id", lambda: "another boot")

    assert accelerator.remembered() is None


def test_asking_for_a_kvm_that_cannot_be_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason and the way out."""
    monkeypatch.setattr(accelerator, "probe", lambda: Verdict(usable=False, reason="there is no /dev/kvm"))

    with pytest.raises(UsageError, match=r"there is no /dev/kvm; use --accel tcg"):
        accelerator.choose("kvm")
