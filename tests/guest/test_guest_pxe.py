"""Firmware boots through our card: iPXE by SeaBIOS, and OVMF's PXE and then iPXE, from a server on the wire.

The script that they load asks the server for a name with the address and the chip that iPXE found: so it ran.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.machines import child_processes, fetch
from lab.machines.card_process import start_card
from lab.machines.qemu import binary
from lab.machines.qemu.command import memory_arguments, vfio_user_device
from lab.trials.interop import boot_server
from tests.guest.conftest import fetched_or_skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [pytest.mark.guest, pytest.mark.timeout(400)]

MAC = "52:54:00:82:5a:01"
MEMORY_MIB = 512
PATIENCE_S = 300.0
SCRIPT = (
    "#!ipxe\n"
    f"imgfetch tftp://{boot_server.SERVER}/reached-${{net0/mac}}-${{net0/chip}} ||\n"
    "poweroff\n" + "# so that it takes more than one block\n" * 200
)


def boots(engine: str, rom: str, firmware: Sequence[str], program: Path | None) -> tuple[str, int]:
    """Boot a machine without a disk from the wire; return what its script told, and QEMU's status."""
    qemu = binary.find(None)
    roms = fetch.tree("qemu") / "usr/share/qemu"
    if not (roms / rom).is_file():
        pytest.skip(f"{rom} is not in {roms}")
    with tempfile.TemporaryDirectory(prefix="rw-") as folder:
        script = Path(folder, "boot.ipxe")
        script.write_text(SCRIPT)
        card = start_card(Path(folder, "card"), "netns", mac=MAC, engine=engine)
        try:
            assert card.peer is not None
            serve = [sys.executable, "-I", boot_server.__file__, str(script), str(program or script)]
            server = card.peer.start(serve)
            device = json.loads(vfio_user_device(Path(folder, "card")))
            del device["rombar"]
            device |= {"romfile": str(roms / rom), "bootindex": 1}
            argv = [*qemu.command, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35"]
            argv += [*memory_arguments(MEMORY_MIB), "-m", f"{MEMORY_MIB}M", "-accel", "tcg", "-no-reboot"]
            argv += ["-cpu", "max"]  # OVMF starts its network only on a CPU with a random number generator
            machine = child_processes.start(
                [*argv, *firmware, "-device", json.dumps(device)], environment=qemu.environ()
            )
            try:
                told = card.peer.finish(server, PATIENCE_S)
                status = machine.wait(60)
            except subprocess.TimeoutExpired:
                status = -1
            finally:
                child_processes.end(machine)
        finally:
            card.close()
    return told.out.strip(), status


def test_a_bios_boots_from_the_wire(engine: str) -> None:
    """SeaBIOS runs iPXE from the ROM that `romfile` gives: DHCP, TFTP, a script that turns it off."""
    fetched_or_skipped("qemu")

    told, status = boots(engine, "pxe-e1000e.rom", (), None)

    assert (told, status) == (f"reached-{MAC}-82574l", 0)


@pytest.mark.extra
def test_uefi_boots_from_the_wire(engine: str) -> None:
    """OVMF's own PXE loads a megabyte of iPXE, which drives the card itself and runs the script."""
    fetched_or_skipped("qemu", "ovmf")
    tree = fetch.tree("ovmf")
    code = tree / "usr/share/OVMF/OVMF_CODE_4M.fd"
    firmware = ("-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}")

    told, status = boots(engine, "efi-e1000e.rom", firmware, tree / "usr/lib/ipxe/ipxe.efi")

    assert (told, status) == (f"reached-{MAC}-82574l", 0)
