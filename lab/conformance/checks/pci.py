"""The PCI function: identity, BARs, capabilities, access widths, MSI-X table bounds."""

# ruff: noqa: D401 - the first line of a check's docstring is the sentence that must hold

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from device.regs.nic import NIC
from lab.conformance.bench import Capability, Signal
from lab.conformance.check import Check, Topic, expect
from lab.conformance.checks.receive import WIRE
from lab.conformance.frames import ethernet, payload
from lab.conformance.rings import TxRing
from lab.conformance.subject import MILLISECOND

if TYPE_CHECKING:
    from lab.conformance.subject import Subject

TOPIC = Topic("PCI", "datasheet, PCIe programming interface")
CONFIG, TABLE = Capability.CONFIG, Capability.TABLE
MSIX_BAR, PBA_OFFSET, MSIX_BAR_BYTES = 3, 0x2000, 0x4000

# id, sentence, offset, width, mask, value
CONSTANTS = (
    ("VENDOR", "The vendor is Intel.", 0x00, 2, 0xFFFF, 0x8086),
    ("DEVICE", "The device is the 82574L, which e1000e, em and iPXE match by.", 0x02, 2, 0xFFFF, 0x10D3),
    ("CLASS", "The class is Ethernet controller.", 0x09, 1, 0xFF, 0x00),
    ("CLASS-SUB", "The subclass is Ethernet.", 0x0A, 2, 0xFFFF, 0x0200),
    ("HEADER", "The header is a single function's, type 0.", 0x0E, 1, 0xFF, 0x00),
    ("CAPLIST", "The status register says that there is a capability list.", 0x06, 2, 0x10, 0x10),
    ("CAPPTR", "The list begins at C8h with power management.", 0x34, 1, 0xFF, 0xC8),
    ("PIN", "The interrupt pin is INTA#.", 0x3D, 1, 0xFF, 0x01),
    ("CAP-PM", "The capability at C8h is power management.", 0xC8, 1, 0xFF, 0x01),
    ("CAP-MSI", "The capability at D0h is MSI.", 0xD0, 1, 0xFF, 0x05),
    ("CAP-PCIE", "The capability at E0h is PCI Express.", 0xE0, 1, 0xFF, 0x10),
    ("CAP-MSIX", "The capability at A0h is MSI-X.", 0xA0, 1, 0xFF, 0x11),
    ("MSI-64", "MSI takes 64-bit addresses.", 0xD2, 2, 0x80, 0x80),
    ("MSIX-SIZE", "MSI-X has five vectors.", 0xA2, 2, 0x7FF, 4),
    ("MSIX-TABLE", "The MSI-X table is at 0 of BAR 3.", 0xA4, 4, 0xFFFF_FFFF, 3),
    ("MSIX-PBA", "The MSI-X pending bits are at 2000h of BAR 3.", 0xA8, 4, 0xFFFF_FFFF, 0x2003),
    ("PM-VERSION", "Power management is version 1.1 or 1.2.", 0xCA, 2, 0x6, 0x2),
    ("AER", "The first extended capability is advanced error reporting.", 0x100, 2, 0xFFFF, 0x0001),
    ("DSN", "The extended capability at 140h is the device serial number.", 0x140, 2, 0xFFFF, 0x0003),
    ("BAR0-KIND", "BAR 0 is 32-bit memory, not prefetchable.", 0x10, 4, 0xF, 0x0),
    ("BAR2-KIND", "BAR 2 is I/O.", 0x18, 4, 0x3, 0x1),
    ("BAR3-KIND", "BAR 3 is 32-bit memory.", 0x1C, 4, 0xF, 0x0),
)


def constant(offset: int, width: int, mask: int, value: int, card: Subject) -> None:
    """Configuration space holds the value."""
    expect(f"configuration space at {offset:#x}", card.bench.config_read(offset, width) & mask, value)


for _id, _words, _offset, _width, _mask, _value in CONSTANTS:
    TOPIC.add(
        Check(
            f"PCI-{_id}",
            _words,
            "datasheet, PCI Configuration, mandatory registers and capabilities",
            partial(constant, _offset, _width, _mask, _value),
        )
    )


def read_only(offset: int, width: int, card: Subject) -> None:
    """A write changes nothing."""
    before = card.bench.config_read(offset, width)
    card.bench.config_write(offset, ~before & (1 << 8 * width) - 1, width)
    expect(f"configuration space at {offset:#x}", card.bench.config_read(offset, width), before)


for _id, _offset, _width in (
    ("VENDOR", 0, 2), ("DEVICE", 2, 2), ("REVISION", 8, 1), ("CLASS", 9, 1), ("HEADER", 0xE, 1),
    ("CAPPTR", 0x34, 1),
    ("PIN", 0x3D, 1), ("MSIX-TABLE", 0xA4, 4), ("MSIX-PBA", 0xA8, 4),
):  # fmt: skip
    TOPIC.add(
        Check(
            f"PCI-RO-{_id}",
            f"Configuration space at {_offset:#x} is read-only.",
            "PCI Local Bus 3.0, 6.2; datasheet, PCI Configuration",
            partial(read_only, _offset, _width),
            CONFIG,
        )
    )


def bar_size(index: int, size: int, io: bool, card: Subject) -> None:  # noqa: FBT001 - from a table
    """All ones written read back the size."""
    at = 0x10 + 4 * index
    before = card.bench.config_read(at)
    card.bench.config_write(at, 0xFFFF_FFFF)
    probe = card.bench.config_read(at)
    card.bench.config_write(at, before)
    decoded = probe & (~0x3 if io else ~0xF) & 0xFFFF_FFFF
    width = 0xFFFF if io and decoded < 0x1_0000 else 0xFFFF_FFFF
    expect("size", (~decoded & width) + 1, size)


for _index, _size, _io in ((0, 0x20000, False), (2, 32, True), (3, 0x4000, False)):
    TOPIC.add(
        Check(
            f"PCI-BAR{_index}-SIZE",
            f"BAR {_index} decodes {_size:#x} bytes.",
            "datasheet, PCI Configuration, base address registers; PCI Local Bus 3.0, 6.2.5.1",
            partial(bar_size, _index, _size, _io),
            CONFIG,
        )
    )


@TOPIC.check("PCI-CAP-WALK", "PCI Local Bus 3.0, 6.7")
def the_list_ends(card: Subject) -> None:
    """The capability list ends and has power management, MSI, PCI Express and MSI-X, each once."""
    found: list[int] = []
    at = card.bench.config_read(0x34, 1)
    while at and len(found) < 48:
        found.append(card.bench.config_read(at, 1))
        at = card.bench.config_read(at + 1, 1)
    expect("capabilities", sorted(found), [0x01, 0x05, 0x10, 0x11])


@TOPIC.check(
    "PCI-DSN-VALUE", "datasheet, PCI Configuration: the serial number is made of the Ethernet address"
)
def serial_number(card: Subject) -> None:
    """The serial number is the Ethernet address with FFFF in the middle."""
    address = card.address()
    want = (address[:3] + b"\xff\xff" + address[3:])[::-1]
    got = b"".join(card.bench.config_read(at).to_bytes(4, "little") for at in (0x144, 0x148))
    expect("serial number", got, want)


@TOPIC.check(
    "PCI-INTX-DISABLE", "PCI Local Bus 3.0, 6.2.2, Interrupt Disable; 6.2.3, Interrupt Status", needs=CONFIG
)
def interrupt_status(card: Subject) -> None:
    """The Interrupt Status bit follows a pending interrupt."""
    card.bench.signal(Signal.INTX)
    card.quiet()
    expect("status before", card.bench.config_read(6, 2) & 8, 0)
    card.write("IMS", card.causes("LSC"))
    card.write("ICS", card.causes("LSC"))
    card.bench.advance(MILLISECOND)
    expect("status with a cause", card.bench.config_read(6, 2) & 8, 8)


@TOPIC.check("PCI-MASTER-OFF", "PCI Local Bus 3.0, 6.2.2, Bus Master", needs=CONFIG | WIRE)
def no_mastering_no_dma(card: Subject) -> None:
    """Without bus mastering a doorbell reads nothing and nothing is written."""
    card.link_up()
    ring = TxRing(card)
    command = card.bench.config_read(4, 2)
    card.bench.config_write(4, command & ~4, 2)
    ring.send(ring.legacy(ethernet(payload(80))))
    expect("frames and DD", (card.bench.frames(), ring.done(0)), ([], False))


@TOPIC.check("PCI-D3", "datasheet, Wake-up, power states; PCI PM 1.2, 3.2.4", needs=CONFIG)
def d3_and_back(card: Subject) -> None:
    """PMCSR takes D3 and D0, and the card answers in D0 again."""
    card.bench.config_write(0xCC, 3, 2)
    expect("power state", card.bench.config_read(0xCC, 2) & 3, 3)
    card.bench.config_write(0xCC, 0, 2)
    card.bench.advance(20 * MILLISECOND)
    expect("power state", card.bench.config_read(0xCC, 2) & 3, 0)
    card.write("FCTTV", 0x2468)
    expect("FCTTV", card.read("FCTTV"), 0x2468)


# -- widths ------------------------------------------------------------------------------------------

WIDE = (
    "datasheet, Address Decoding: registers are accessed as doublewords; QEMU CVE-2020-13754 for the others"
)


def narrow_reads(width: int, card: Subject) -> None:
    """Narrow reads do no harm and a doubleword read still works."""
    card.write("FCAL", 0x1122_3344)
    for at in range(0, 8, width):
        card.bench.read(NIC["FCAL"].offset + at, width)
    expect("FCAL", card.read("FCAL"), 0x1122_3344)


def narrow_writes(width: int, card: Subject) -> None:
    """Narrow writes do no harm: the card answers on."""
    for at in range(0, 8, width):
        card.bench.write(NIC["FCAL"].offset + at, (1 << 8 * width) - 1, width)
    card.write("FCTTV", 0x1111)
    expect("FCTTV", card.read("FCTTV"), 0x1111)


for _width in (1, 2, 8):
    TOPIC.add(
        Check(
            f"PCI-READ-{_width}", f"Reads of {_width} bytes do no harm.", WIDE, partial(narrow_reads, _width)
        )
    )
    TOPIC.add(
        Check(
            f"PCI-WRITE-{_width}",
            f"Writes of {_width} bytes do no harm.",
            WIDE,
            partial(narrow_writes, _width),
        )
    )


# -- the I/O BAR -------------------------------------------------------------------------------------


@TOPIC.check("PCI-IO-READ", "datasheet, Address Decoding, I/O-mapped access: IOADDR, IODATA")
def io_reads(card: Subject) -> None:
    """IODATA reads the register that IOADDR names."""
    card.bench.write(0, NIC["STATUS"].offset, 4, 2)
    expect("IODATA", card.bench.read(4, 4, 2), card.read("STATUS"))


@TOPIC.check("PCI-IO-WRITE", "datasheet, Address Decoding")
def io_writes(card: Subject) -> None:
    """IODATA writes the register that IOADDR names."""
    card.bench.write(0, NIC["FCTTV"].offset, 4, 2)
    card.bench.write(4, 0x4321, 4, 2)
    expect("FCTTV", card.read("FCTTV"), 0x4321)


@TOPIC.check("PCI-IO-ADDR", "datasheet, Address Decoding, IOADDR")
def io_address_reads_back(card: Subject) -> None:
    """IOADDR reads back what was written."""
    card.bench.write(0, 0x5400, 4, 2)
    expect("IOADDR", card.bench.read(0, 4, 2), 0x5400)


@TOPIC.check("PCI-IO-OUT", "datasheet, Address Decoding: addresses beyond the register space are reserved")
def io_outside(card: Subject) -> None:
    """An IOADDR beyond the registers does no harm."""
    for address in (0x20000, 0x7FFFC, 0xFFFF_FFFC):
        card.bench.write(0, address, 4, 2)
        card.bench.write(4, 0xFFFF_FFFF, 4, 2)
        card.bench.read(4, 4, 2)
    card.write("FCTTV", 0x1212)
    expect("FCTTV", card.read("FCTTV"), 0x1212)


# -- the MSI-X table ----------------------------------------------------------------------------------


@TOPIC.check("MSIX-ENTRY", "PCI Local Bus 3.0, 6.8.2.6 to 6.8.2.9", needs=TABLE)
def entries_read_back(card: Subject) -> None:
    """Address, data and mask of all five entries read back."""
    for entry in range(5):
        words = (0x1000_0000 + 4 * entry, 0, 0x40 + entry, 1)
        for at, word in enumerate(words):
            card.bench.write(16 * entry + 4 * at, word, 4, MSIX_BAR)
        got = tuple(card.bench.read(16 * entry + 4 * at, 4, MSIX_BAR) for at in range(4))
        expect(f"entry {entry}", (got[0], got[1], got[2], got[3] & 1), words)


@TOPIC.check("MSIX-MASKED", "PCI Local Bus 3.0, 6.8.2.9: vector control is masked after reset", needs=TABLE)
def masked_after_reset(card: Subject) -> None:
    """Every entry is masked after reset."""
    got = [card.bench.read(16 * entry + 12, 4, MSIX_BAR) & 1 for entry in range(5)]
    expect("mask bits", got, [1] * 5)


@TOPIC.check("MSIX-PENDING", "PCI Local Bus 3.0, 6.8.2.10, pending bits", needs=TABLE | Capability.MSIX)
def pending_while_masked(card: Subject) -> None:
    """A message of a masked entry is kept pending, shown in the PBA, and sent when it is unmasked."""
    card.bench.signal(Signal.MSIX)
    card.bench.write(16 * 4 + 12, 1, 4, MSIX_BAR)
    card.write("IVAR", 0xC << 16)
    card.quiet()
    card.write("IMS", card.causes("OTHER"))
    card.write("ICS", card.causes("OTHER"))
    card.bench.advance(MILLISECOND)
    expect("messages while masked", card.bench.messages(), frozenset())
    expect("pending bits", card.bench.read(PBA_OFFSET, 4, MSIX_BAR) & 0x1F, 1 << 4)
    card.bench.write(16 * 4 + 12, 0, 4, MSIX_BAR)
    card.bench.advance(MILLISECOND)
    expect("messages when unmasked", card.messages(4), frozenset({4}))


@TOPIC.check("MSIX-FUNCTION-MASK", "PCI Local Bus 3.0, 6.8.2.3, function mask", needs=TABLE | Capability.MSIX)
def function_mask(card: Subject) -> None:
    """The function mask keeps every message back until it is cleared."""
    card.bench.signal(Signal.MSIX)
    control = card.bench.config_read(0xA2, 2)
    card.bench.config_write(0xA2, control | 1 << 14, 2)
    card.write("IVAR", 0xC << 16)
    card.quiet()
    card.write("IMS", card.causes("OTHER"))
    card.write("ICS", card.causes("OTHER"))
    card.bench.advance(MILLISECOND)
    expect("messages while masked", card.bench.messages(), frozenset())
    card.bench.config_write(0xA2, control & ~(1 << 14), 2)
    card.bench.advance(MILLISECOND)
    expect("messages when unmasked", card.messages(4), frozenset({4}))


@TOPIC.check("MSIX-BOUNDS", "QEMU CVE-2020-13754, CVE-2020-27821", needs=TABLE)
def beyond_the_table(card: Subject) -> None:
    """Accesses beyond the table and the pending bits, of every width, do no harm."""
    for at in (5 * 16, 0x1FF8, PBA_OFFSET + 8, MSIX_BAR_BYTES - 8):
        for width in (1, 2, 4, 8):
            card.bench.read(at, width, MSIX_BAR)
            card.bench.write(at, (1 << 8 * width) - 1, width, MSIX_BAR)
    card.write("FCTTV", 0x1313)
    expect("FCTTV", card.read("FCTTV"), 0x1313)


@TOPIC.check(
    "MSIX-PBA-RO", "PCI Local Bus 3.0, 6.8.2.10: software should not write pending bits", needs=TABLE
)
def pending_bits_are_read_only(card: Subject) -> None:
    """Writes to the pending bits are ignored."""
    card.bench.write(PBA_OFFSET, 0x1F, 4, MSIX_BAR)
    expect("pending bits", card.bench.read(PBA_OFFSET, 4, MSIX_BAR) & 0x1F, 0)
