"""DPDK's testpmd in a guest: told by a FIFO, heard by a file.

What it prints by stdio comes when 4 KiB are full, or when it flushes: so nothing here waits for the answer of
a `show` command. Two things come at once, and those are waited for: the echo of what is typed (the cmdline
library writes it with write(2)), and the events of the link (eth_event_callback of app/test-pmd/testpmd.c
flushes them).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.machines.guest.session import Guest

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
SAID, TOLD = "/run/testpmd.out", "/run/testpmd.in"
PATIENCE_S = 60.0
POLL_S = 0.2
LINK_EVENT = "link state change event"

PREPARE = """
mkdir -p /dev/hugepages
mount -t hugetlbfs nodev /dev/hugepages
echo 128 >/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
modprobe -a vfio-pci vfio_iommu_type1
for device in /sys/class/net/eth0/device /sys/class/net/eth1/device; do
    name=$(basename $(readlink -f $device))
    echo vfio-pci >/sys/bus/pci/devices/$name/driver_override
    echo $name >/sys/bus/pci/devices/$name/driver/unbind
    echo $name >/sys/bus/pci/drivers_probe
done
[ $(ls /dev/vfio | wc -l) = 3 ]
"""


@dataclass
class Testpmd:
    """A testpmd that drives the guest's first two cards; its links are up when it has been made."""

    __test__ = False  # pytest: no test, whatever its name begins with

    guest: Guest
    ports: int = 2
    _heard: int = field(default=0, init=False)
    """How much of what it said was said before the last command, in bytes."""
    _told: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Give both cards to vfio-pci, start testpmd on them, and wait for its links."""
        self.guest.run(PREPARE, check=True)
        drivers = " ".join(f"-d {LIBRARIES}/librte_{name}.so.??" for name in ("mempool_ring", "net_e1000"))
        program = (
            f"dpdk-testpmd -l 0,1 -m 128 --no-telemetry {drivers} -- --nb-cores=1 --total-num-mbufs=4096 -i"
        )
        # Opened for reading and writing: a FIFO that no writer has open would be at its end.
        self.guest.run(f"mkfifo {TOLD}; ({program} <>{TOLD} >{SAID} 2>&1) &", check=True)
        self.wait_linked()

    def tell(self, *commands: str) -> None:
        """Give commands, and return when the last of them is done: the one after it is echoed then."""
        self._told += 1
        mark = f"told-{self._told}"
        self._heard = int(self.guest.run(f"wc -c <{SAID}", check=True).out)
        lines = " ".join(shlex.quote(line) for line in (*commands, mark))
        self.guest.run(f"printf '%s\\n' {lines} >{TOLD}", check=True)
        self._until(mark, 1)

    def restart(self, *commands: str) -> None:
        """Stop the ports, give commands, start the ports, and wait for their links.

        A port that starts resets its PHY, which negotiates anew: 1.5 s. `port start` does not wait for it
        where there are link interrupts (check_all_ports_link_status of app/test-pmd/testpmd.c).
        """
        self.tell("port stop all", *commands, "port start all")
        self.wait_linked()

    def wait_linked(self) -> None:
        """Wait until each port has told of its link, since the last commands."""
        self._until(LINK_EVENT, self.ports)

    def said(self) -> str:
        """Return all that it has printed, as far as it is flushed."""
        return self.guest.get(SAID).decode(errors="replace")

    def quit(self) -> str:
        """Let it end; return what it said of that."""
        self.guest.run(f"echo quit >{TOLD}", check=True)
        self._until("Bye...", 1)
        return self.said()

    def _until(self, text: str, lines: int) -> None:
        """Wait, in the guest, until so many lines of what was said since have a text."""
        since = f"tail -c +{self._heard + 1} {SAID} 2>/dev/null"
        found = self.guest.run(
            f"n={int(PATIENCE_S / POLL_S)}\n"
            f"until [ $({since} | grep -c {shlex.quote(text)}) -ge {lines} ]\n"
            f"do n=$((n - 1)); [ $n -gt 0 ] || exit 1; sleep {POLL_S}; done",
            timeout_s=4 * PATIENCE_S,
        )
        assert found.ok, f"{text!r} was not said {lines} times:\n{self.said()}"
