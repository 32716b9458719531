"""A whole PCI device: a scratch page, a factorial, an interrupt. Run it, then QEMU with what it prints.

BAR0: 0x00 identification, 0x04 write n and read n!, 0x08 write anything for INTx, 0x100 to 0xFFF scratch.
"""

import math
import struct
import sys

from device.vfio_user import NO_REGION, DmaMap, Feature, Irqs, RegionInfo, Server

BAR0, CONFIG, BAR0_BYTES = 0, 7, 4096
# struct: vendor, device, command, status, class and revision, header, BARs, ..., subsystem, ..., INTA
HEADER = struct.Struct("<HHHHIIIIIIIIIHHIIIBBBB")
POWER_ON = HEADER.pack(
    *(0x1234, 0x11E8, 0, 0, 0x00FF0010, 0, 0, 0, 0, 0, 0, 0, 0, 0x1AF4, 0x1100, 0, 0, 0, 0, 1, 0, 0)
)


class Scratch:
    """The device; every method is what ``device.vfio_user.Device`` asks for."""

    regions = (RegionInfo(BAR0_BYTES), *[NO_REGION] * 6, RegionInfo(256), NO_REGION)
    irq_counts = (1, 0, 0, 1, 1)
    features: dict[int, Feature] = {}  # noqa: RUF012 - never changed

    def attached(self, dma: DmaMap, irqs: Irqs) -> None:
        """Keep what the client gives."""
        self.dma, self.irqs = dma, irqs

    def detached(self) -> None:
        """Drop it."""
        del self.dma, self.irqs

    def reset(self) -> None:
        """Start as after power-on."""
        self.memory = {BAR0: bytearray(BAR0_BYTES), CONFIG: bytearray(POWER_ON.ljust(256, b"\0"))}
        self.memory[BAR0][0:4] = 0x010000ED.to_bytes(4, "little")

    __init__ = reset

    def read_region(self, index: int, offset: int, count: int) -> bytes:
        """Read a register or configuration space; reading 0x08 lowers the interrupt."""
        if (index, offset) == (BAR0, 0x08):
            self.irqs.set_level(asserted=False)
        return bytes(self.memory[index][offset : offset + count])

    def write_region(self, index: int, offset: int, data: bytes) -> None:
        """Write a register; QEMU sizes the BARs itself, so configuration space is only stored."""
        if (index, offset) == (BAR0, 0x04):
            data = (math.factorial(int.from_bytes(data, "little") % 13)).to_bytes(len(data), "little")
        self.memory[index][offset : offset + len(data)] = data
        if (index, offset) == (BAR0, 0x08):
            self.irqs.set_level(asserted=True)


if __name__ == "__main__":
    path = sys.argv[1]
    arguments = '{"driver":"vfio-user-pci","socket":{"type":"unix","path":"%s"}}' % path
    print(
        f"qemu-system-x86_64 -machine q35,memory-backend=m -m 512M \\\n  -object memory-backend-memfd,"
        f"id=m,size=512M,share=on \\\n  -device '{arguments}'",
        flush=True,
    )
    with Server(path, Scratch()) as server:
        server.serve_forever()
