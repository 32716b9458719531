"""CTRL.RST and what survives it. Rings, masks and filters do not; the PCI function and the NVM do."""

# ruff: noqa: D401 - the first line of a check's docstring is the sentence that must hold

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from device.regs.bank import WORD
from device.regs.nic import NIC
from lab.conformance.bench import Capability, Signal
from lab.conformance.check import Check, Topic, expect, is_false
from lab.conformance.frames import ethernet, payload
from lab.conformance.rings import RxRing, TxRing
from lab.conformance.subject import MILLISECOND

if TYPE_CHECKING:
    from lab.conformance.subject import Subject

TOPIC = Topic("reset", "datasheet, Initialization, resets; General Registers, CTRL.RST")

# Registers that a driver relies on finding at their reset value after CTRL.RST, and a value to disturb them.
RESTORED = {
    **dict.fromkeys(("RDBAL0", "RDBAH0", "TDBAL0", "TDBAH0", "RDBAL1", "TDBAL1"), 0x1234_5670),
    **dict.fromkeys(("RDLEN0", "TDLEN0", "RDLEN1", "TDLEN1"), 0x1000),
    **dict.fromkeys(("RDH0", "RDT0", "TDH0", "TDT0", "RDH1", "RDT1", "TDH1", "TDT1"), 7),
    "RCTL": 0x0000_8000,
    "TCTL": 0x0000_00F8,
    "IMS": 0x0000_0004,
    "IVAR": 0x0009_A089,
    "EIAC": 0x01F0_0000,
    "RDTR": 0x20,
    "RADV": 0x20,
    "TIDV": 0x20,
    "TADV": 0x20,
    "RXCSUM": 0x0000_2000,
    "RFCTL": 0x0000_8000,
    "MRQC": 0x0033_0001,
    "RXDCTL0": 0x0101_0101,
    "TXDCTL0": 0x0141_011F,
    "FCTTV": 0x6000,
    "FCRTL": 0x8000_0100,
    "FCRTH": 0x0000_0200,
}


def comes_back(name: str, value: int, card: Subject) -> None:
    """The register is at its reset value after CTRL.RST."""
    card.write(name, value)
    card.software_reset()
    expect(f"{name} after CTRL.RST", card.read(name), NIC[name].reset)


for _name, _value in RESTORED.items():
    TOPIC.add(
        Check(
            f"RST-REG-{_name}",
            f"CTRL.RST brings {_name} back to {NIC[_name].reset:#x}.",
            "datasheet, Initialization; e1000_reset_hw_82571 in Linux's 82571.c starts from these",
            partial(comes_back, _name, _value),
        )
    )


@TOPIC.check("RST-SELF-CLEAR", "datasheet, General Registers: RST is self-clearing")
def rst_clears_itself(card: Subject) -> None:
    """CTRL.RST reads zero when the reset is over."""
    card.software_reset()
    expect("CTRL.RST", card.field("CTRL", "RST"), 0)


@TOPIC.check(
    "RST-RA0", "datasheet, Receive Registers, RAL: loaded from the NVM; e1000e_read_mac_addr_generic in mac.c"
)
def address_is_reloaded(card: Subject) -> None:
    """CTRL.RST reloads receive address 0 from the NVM, valid bit included."""
    address, high = card.address(), card.read("RAH")
    card.write("RAL", 0xDEAD_BEEF)
    card.write("RAH", 0x0000_FEED)
    card.software_reset()
    expect("RA0 after CTRL.RST", (card.address(), card.read("RAH")), (address, high))


@TOPIC.check("RST-RA0-NVM", "datasheet, NVM Map: NVM words 0 to 2 hold the Ethernet address")
def address_is_the_nvms(card: Subject) -> None:
    """Receive address 0 is the address in NVM words 0 to 2, and it is valid."""
    words = b"".join(card.nvm_read(word).to_bytes(2, "little") for word in range(3))
    expect("RA0", (card.address(), card.field("RAH", "AV")), (words, 1))


@TOPIC.check("RST-CAUSES")
def pending_causes_fall(card: Subject) -> None:
    """CTRL.RST forgets pending causes but those that the reset itself raises."""
    card.write("ICS", card.causes("TXDW", "RXT0", "RXO"))
    card.software_reset()
    expect("ICR of TXDW, RXT0, RXO", card.read("ICR") & card.causes("TXDW", "RXT0", "RXO"), 0)


@TOPIC.check("RST-LINE", needs=Capability.LINE)
def the_line_falls(card: Subject) -> None:
    """CTRL.RST lowers INTx."""
    card.bench.signal(Signal.INTX)
    card.write("IMS", card.causes("TXDW"))
    card.write("ICS", card.causes("TXDW"))
    card.software_reset()
    is_false("INTx after CTRL.RST", card.bench.line())


@TOPIC.check("RST-CONFIG", "datasheet, Initialization: the software reset leaves the PCI configuration alone")
def configuration_space_stays(card: Subject) -> None:
    """CTRL.RST leaves BAR 0 and the command register alone."""
    before = (card.bench.config_read(0x10), card.bench.config_read(0x04, 2))
    card.software_reset()
    expect("BAR 0 and command", (card.bench.config_read(0x10), card.bench.config_read(0x04, 2)), before)


@TOPIC.check("RST-NVM", "datasheet, General Registers, EECD.AUTO_RD; e1000e_get_auto_rd_done in mac.c")
def nvm_is_read_again(card: Subject) -> None:
    """EECD.AUTO_RD is set after a reset: drivers wait for it."""
    card.software_reset()
    expect("EECD.AUTO_RD", card.field("EECD", "AUTO_RD"), 1)


@TOPIC.check("RST-MASTER", "e1000e_disable_pcie_master in Linux's mac.c")
def master_enable_follows(card: Subject) -> None:
    """STATUS.GIO_MASTER_ENABLE follows CTRL.GIO_MASTER_DISABLE: drivers wait for it before a reset."""
    card.set("CTRL", GIO_MASTER_DISABLE=1)
    card.bench.advance(MILLISECOND)
    expect("GIO_MASTER_ENABLE when disabled", card.field("STATUS", "GIO_MASTER_ENABLE"), 0)
    card.set("CTRL", GIO_MASTER_DISABLE=0)
    card.bench.advance(MILLISECOND)
    expect("GIO_MASTER_ENABLE when enabled", card.field("STATUS", "GIO_MASTER_ENABLE"), 1)


@TOPIC.check("RST-WORK", needs=Capability.WIRE)
def work_is_dropped(card: Subject) -> None:
    """CTRL.RST forgets the descriptors of a ring: nothing leaves when the transmitter comes back."""
    card.link_up()
    ring = TxRing(card)
    card.write("TCTL", 0)
    ring.send(ring.legacy(ethernet(payload(64))))
    card.software_reset()
    card.link_up()
    card.set("TCTL", EN=1)
    card.bench.settle()
    expect("frames", card.bench.frames(), [])


@TOPIC.check("RST-MEMORY", needs=Capability.WIRE)
def memory_is_left_alone(card: Subject) -> None:
    """CTRL.RST writes nothing into a ring that was handed over."""
    card.link_up()
    ring = RxRing(card).start()
    before = card.memory_read(ring.base, ring.count * 16)
    card.software_reset()
    expect("the ring", card.memory_read(ring.base, ring.count * 16), before)


@TOPIC.check("RST-AGAIN", needs=Capability.WIRE)
def traffic_after_a_reset(card: Subject) -> None:
    """After CTRL.RST a ring at another place works."""
    card.link_up()
    first = TxRing(card)
    first.send(first.legacy(ethernet(payload(80, 1))))
    card.software_reset()
    card.link_up()
    card.bench.frames()
    second = TxRing(card)
    second.send(second.legacy(ethernet(payload(80, 2))))
    expect("frames", card.bench.frames(), [ethernet(payload(80, 2))])


@TOPIC.check("RST-LINK", "e1000_check_for_copper_link_generic in Linux's mac.c")
def link_comes_back(card: Subject) -> None:
    """The link comes back after CTRL.RST with CTRL.SLU, and raises LSC when it does."""
    card.link_up()
    card.software_reset()
    card.write("IMS", card.causes("LSC"))
    card.link_up()
    expect("STATUS.LU", card.field("STATUS", "LU"), 1)


@TOPIC.check("RST-PHY", "datasheet, General Registers, CTRL.PHY_RST; e1000e_phy_hw_reset_generic in phy.c")
def phy_reset_restores(card: Subject) -> None:
    """CTRL.PHY_RST brings PHY registers back to their reset values."""
    before = card.phy_read(4)
    card.phy_write(4, before ^ 0x01E0)
    control = card.read("CTRL")
    card.write("CTRL", control | card.bits("CTRL", "PHY_RST"))
    card.bench.advance(MILLISECOND)
    card.write("CTRL", control)
    card.bench.advance(20 * MILLISECOND)
    expect("PHY register 4 (autonegotiation advertisement)", card.phy_read(4), before)


@TOPIC.check(
    "RST-COUNTERS",
    "datasheet, Statistics Registers: statistics are cleared by a reset",
    needs=Capability.WIRE,
)
def counters_clear(card: Subject) -> None:
    """The statistics are zero after CTRL.RST."""
    card.link_up()
    ring = TxRing(card)
    ring.send(ring.legacy(ethernet(payload(80))))
    card.software_reset()
    expect("GPTC, TOTL, TPT", [card.read(name) for name in ("GPTC", "TOTL", "TPT")], [0, 0, 0])


@TOPIC.check("RST-TWICE")
def twice_is_once(card: Subject) -> None:
    """Two resets in a row leave what one leaves."""
    names = ("RCTL", "TCTL", "IMS", "RDLEN0", "TDLEN0", "IVAR", "RXCSUM")
    card.software_reset()
    once = [card.read(name) for name in names]
    for name in names:
        card.write(name, 0x5A5A_5A50 & NIC[name].mask & ~0x2 if name != "IMS" else 4)
    card.software_reset()
    card.software_reset()
    expect("the registers", [card.read(name) & WORD for name in names], once)
