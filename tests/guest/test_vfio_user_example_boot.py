"""The example device of ``device/vfio_user`` in a guest: an unmodified kernel finds and sizes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lab.machines.guest.session import Guest, GuestSpec
from lab.machines.qemu.command import VfioUserNic

pytestmark = pytest.mark.guest


@pytest.mark.usefixtures("fetched")
def test_a_guest_finds_the_example_device_and_computes_with_it() -> None:
    """Linux enumerates it and gives BAR0 a place; a program in the guest asks it for 5 factorial."""
    with TemporaryDirectory(prefix="rw-") as made:
        socket = Path(made) / "scratch"
        module = "device.vfio_user.examples.scratch"
        server = subprocess.Popen([sys.executable, "-m", module, str(socket)], stdout=subprocess.PIPE)
        try:
            assert server.stdout is not None
            server.stdout.readline()  # it listens
            with Guest(GuestSpec(nics=(VfioUserNic(socket),))) as guest:
                found = guest.run(
                    "cd /sys/bus/pci/devices; for d in *; do"
                    ' [ "$(cat $d/vendor $d/device | xargs)" = "0x1234 0x11e8" ] || continue;'
                    " cat $d/class; echo 1 > $d/enable; bar=$(head -1 $d/resource | cut -d' ' -f1);"
                    " busybox devmem $bar; busybox devmem $((bar + 4)) 32 5;"
                    " busybox devmem $((bar + 4)); done"
                )
        finally:
            server.terminate()
            server.wait()
            if server.stdout is not None:
                server.stdout.close()

    assert found.out.split() == ["0xff0000", "0x010000ED", "0x00000078"]
