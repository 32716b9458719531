"""The whole card around either engine: registers that are policy, PCI, PHY, NVM, resets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from device.card import BAR0, BAR1, BAR2, BAR3, CONFIG, Card
from device.engine.contract import InterruptMode
from device.nvm import CHECKSUM
from device.pci.function import COMMAND, MSIX_CONTROL, MSIX_PBA, PMCSR
from device.phy import AUTONEGOTIATION_NS, BREAK_LINK_NS
from device.regs.nic import NIC
from tests.bench import MAC, SEND, TX_RING, Bench, ethernet

if TYPE_CHECKING:
    from device.effects import FrameSent

CTRL, STATUS = NIC["CTRL"], NIC["STATUS"]
BMCR, BMSR, PAGE = 0, 1, 22


class Sink:
    """Notes interrupts; ``armed`` says whether messages can be sent."""

    def __init__(self) -> None:
        self.armed = True
        self.seen: list[int | bool] = []

    def message(self, vector: int) -> bool:
        """Note a message."""
        if self.armed:
            self.seen.append(vector)
        return self.armed

    def level(self, *, asserted: bool) -> None:
        """Note the level."""
        self.seen.append(asserted)


class Machine:
    """A card on a bench, and what a driver does to it."""

    def __init__(self, bench: Bench) -> None:
        """Power on, plug in, enable the bus master."""
        self.bench = bench
        self.sink = Sink()
        self.frames: list[FrameSent] = []
        self.card = Card(bench.engine, MAC, send=self.frames.append, sink=self.sink)
        self.card.set_carrier(present=True)
        self.config(COMMAND, 0x0006, 2)
        self.card.advance(AUTONEGOTIATION_NS)

    def read(self, name: str, index: int = 0) -> int:
        """Read a register."""
        return int.from_bytes(self.card.read_region(BAR0, NIC[name].at(index), 4), "little")

    def write(self, name: str, value: int, index: int = 0) -> None:
        """Write a register."""
        self.card.write_region(BAR0, NIC[name].at(index), (value & 0xFFFF_FFFF).to_bytes(4, "little"))

    def config(self, offset: int, value: int, size: int) -> None:
        """Write configuration space."""
        self.card.write_region(CONFIG, offset, value.to_bytes(size, "little"))

    def config_read(self, offset: int, size: int) -> int:
        """Read configuration space."""
        return int.from_bytes(self.card.read_region(CONFIG, offset, size), "little")

    def phy_read(self, register: int) -> int:
        """Read a PHY register as e1000e_read_phy_reg_mdic does."""
        self.write("MDIC", register << 16 | 1 << 21 | 2 << 26)
        value = self.read("MDIC")
        assert value & NIC["MDIC"]["READY"].mask
        return value & 0xFFFF

    def phy_write(self, register: int, value: int) -> None:
        """Write a PHY register."""
        self.write("MDIC", value | register << 16 | 1 << 21 | 1 << 26)


@pytest.fixture
def machine(bench: Bench) -> Machine:
    """Make a card with its link up."""
    return Machine(bench)


# -- link and PHY -----------------------------------------------------------------------------------


def test_negotiation_takes_its_time_and_raises_lsc(bench: Bench) -> None:
    """LU comes with it, at 1000 Mb/s and full duplex."""
    card = Card(bench.engine, MAC)
    card.advance(5)
    card.set_carrier(present=True)
    due = card.deadline()
    before = bench.peek("STATUS")
    card.advance(5 + AUTONEGOTIATION_NS)

    after = bench.peek("STATUS")
    assert due == 5 + AUTONEGOTIATION_NS
    assert not before & STATUS["LU"].mask
    assert (after & STATUS["LU"].mask, STATUS["SPEED"].get(after), after & 1) == (2, 2, 1)
    assert bench.peek("ICR") & NIC["ICR"]["LSC"].mask


@pytest.mark.parametrize("bmcr", [0x9140, 0x1340])
def test_a_negotiation_that_the_driver_starts_begins_with_silence(machine: Machine, bmcr: int) -> None:
    """BMCR's reset and restart: break_link_timer of IEEE 802.3 clause 28, or `ethtool -t` meets an LSC."""
    begun = AUTONEGOTIATION_NS

    machine.phy_write(BMCR, bmcr)

    machine.card.advance(begun + BREAK_LINK_NS)
    silent = machine.read("STATUS") & 2
    machine.card.advance(begun + BREAK_LINK_NS + AUTONEGOTIATION_NS)
    assert (silent, machine.read("STATUS") & 2) == (0, 2)


def test_the_link_follows_the_carrier(machine: Machine) -> None:
    """Unplugging takes LU, and BMSR latches the loss until it is read twice."""
    machine.phy_read(BMSR)
    up = machine.phy_read(BMSR) & 4
    machine.card.set_carrier(present=False)

    assert (up, machine.read("STATUS") & 2, machine.phy_read(BMSR) & 4) == (4, 0, 0)


def test_slu_decides_whether_the_mac_sees_the_link(machine: Machine) -> None:
    """CTRL.SLU."""
    machine.write("CTRL", machine.read("CTRL") & ~CTRL["SLU"].mask)

    assert not machine.read("STATUS") & STATUS["LU"].mask


def test_the_phy_says_who_it_is_on_every_page(machine: Machine) -> None:
    """0141 0CB1: e1000_phy_bm of Linux."""
    machine.phy_write(PAGE, 769)

    assert (machine.phy_read(2), machine.phy_read(3)) == (0x0141, 0x0CB1)


def test_pages_hold_registers_of_their_own(machine: Machine) -> None:
    """Ethtool's loopback test writes pages 2, 769 and 776."""
    for page, value in ((2, 0x1046), (769, 0x000C), (776, 0x0040)):
        machine.phy_write(PAGE, page)
        machine.phy_write(21, value)
    machine.phy_write(PAGE, 2)

    assert machine.phy_read(21) == 0x1046


def test_another_phy_address_is_an_error(machine: Machine) -> None:
    """READY and ERROR, and MDAC where it was asked for."""
    machine.write("MDIC", 1 << 16 | 2 << 21 | 2 << 26 | NIC["MDIC"]["INT_EN"].mask)

    wanted = NIC["MDIC"]["ERROR"].mask | NIC["MDIC"]["READY"].mask
    assert machine.read("MDIC") & wanted == wanted
    assert machine.read("ICR") & NIC["ICR"]["MDAC"].mask


def test_phy_loopback_has_a_link_without_a_cable(machine: Machine) -> None:
    """BMCR 4140, as e1000_integrated_phy_loopback sets it; QEMU's model has none."""
    machine.card.set_carrier(present=False)
    machine.phy_write(BMCR, 0x4140)
    machine.bench.receiver()
    machine.bench.transmitter()
    machine.bench.post(machine.bench.legacy(ethernet()))
    machine.card.advance(AUTONEGOTIATION_NS + 1)

    assert machine.read("STATUS") & STATUS["LU"].mask
    assert machine.bench.peek("RDH0") == 1
    assert machine.frames == []


def test_power_down_takes_the_link_and_power_up_negotiates(machine: Machine) -> None:
    """BMCR bit 11."""
    machine.phy_write(BMCR, 0x1940)
    down = machine.read("STATUS") & 2
    machine.phy_write(BMCR, 0x1140)
    machine.card.advance(BREAK_LINK_NS + 2 * AUTONEGOTIATION_NS)

    assert (down, machine.read("STATUS") & 2) == (0, 2)


# -- resets --------------------------------------------------------------------------------------------


def test_rst_clears_itself_and_what_it_should(machine: Machine) -> None:
    """RA0 comes back from the NVM, the link stays, the packet buffer's split too."""
    machine.write("PBA", 0x0020_0008)
    machine.write("RAL", 0)
    machine.write("RCTL", 2)
    machine.write("SWSM", 8)
    machine.write("CTRL", machine.read("CTRL") | CTRL["RST"].mask)

    assert machine.read("CTRL") == CTRL.reset
    assert machine.read("RAL") == int.from_bytes(MAC[:4], "little")
    assert machine.read("RAH") == int.from_bytes(MAC[4:], "little") | 1 << 31
    assert (machine.read("RCTL"), machine.read("PBA")) == (0, 0x0020_0008)
    assert machine.read("STATUS") & STATUS["LU"].mask
    assert machine.read("EECD") & NIC["EECD"]["AUTO_RD"].mask


def test_a_phy_reset_shows_in_phyra_and_drops_the_link(machine: Machine) -> None:
    """PHYRA is cleared by writing it as 0."""
    machine.write("CTRL", CTRL.reset | CTRL["PHY_RST"].mask)
    asserted = machine.read("STATUS")
    machine.write("STATUS", 0)

    assert (asserted & STATUS["PHYRA"].mask, asserted & STATUS["LU"].mask) == (STATUS["PHYRA"].mask, 0)
    assert not machine.read("STATUS") & STATUS["PHYRA"].mask


def test_gio_master_disable_shows_in_status_and_stops_dma(machine: Machine) -> None:
    """e1000e_disable_pcie_master waits for it."""
    machine.write("CTRL", CTRL.reset | CTRL["GIO_MASTER_DISABLE"].mask)
    machine.bench.transmitter()
    machine.bench.ram.write(TX_RING[0], machine.bench.legacy(ethernet(), SEND).emit())
    machine.write("TDT0", 1)
    held = len(machine.frames)
    shown = machine.read("STATUS") & STATUS["GIO_MASTER_ENABLE"].mask
    machine.write("CTRL", CTRL.reset)

    assert (held, shown, len(machine.frames)) == (0, 0, 1)


def test_d3_to_d0_resets_and_d3_stops_dma(machine: Machine) -> None:
    """No_Soft_Reset is 0; PM D0 and D3hot."""
    machine.write("RCTL", 2)
    machine.config(PMCSR, 3, 2)
    asleep = machine.card.function.mastering
    machine.config(PMCSR, 0, 2)

    assert (asleep, machine.card.function.mastering) == (False, True)
    assert machine.read("RCTL") == 0


# -- NVM, flash, semaphores -------------------------------------------------------------------------------


def test_the_nvm_sums_to_baba_and_begins_with_the_address(machine: Machine) -> None:
    """Read by EERD, as e1000e_read_nvm_eerd does."""
    words = []
    for address in range(64):
        machine.write("EERD", address << 2 | 1)
        value = machine.read("EERD")
        assert value & 2
        words.append(value >> 16)

    assert sum(words) & 0xFFFF == CHECKSUM
    assert b"".join(word.to_bytes(2, "little") for word in words[:3]) == MAC


def test_a_word_written_by_eewr_reaches_the_flash_with_flupd(machine: Machine) -> None:
    """The shadow RAM first (e1000_update_nvm_checksum_82571)."""
    machine.write("EEWR", 0x1234 << 16 | 6 << 2 | 1)
    before = machine.card.read_region(BAR1, 12, 2)
    machine.write("EECD", machine.read("EECD") | NIC["EECD"]["FLUPD"].mask)

    assert (before, machine.card.read_region(BAR1, 12, 2)) == (b"\xff\xff", b"\x34\x12")
    assert not machine.read("EECD") & NIC["EECD"]["FLUPD"].mask


def test_smbi_is_taken_by_reading(machine: Machine) -> None:
    """The first reader sees it free."""
    assert [machine.read("SWSM") & 1, machine.read("SWSM") & 1] == [0, 1]
    machine.write("SWSM", 0)

    assert machine.read("SWSM") & 1 == 0


# -- ethtool's register test ---------------------------------------------------------------------------------

PATTERNS = (0x5A5A5A5A, 0xA5A5A5A5, 0x00000000, 0xFFFFFFFF)
ALL = 0xFFFF_FFFF
REGISTERS = [
    ("FCAL", 0, ALL, ALL),
    ("FCAH", 0, 0xFFFF, ALL),
    ("FCT", 0, 0xFFFF, ALL),
    ("VET", 0, 0xFFFF, ALL),
    ("RDTR", 0, 0xFFFF, ALL),
    ("RDBAH0", 0, ALL, ALL),
    ("RDLEN0", 0, 0x000F_FF80, 0x000F_FFFF),
    ("RDH0", 0, 0xFFFF, 0xFFFF),
    ("RDT0", 0, 0xFFFF, 0xFFFF),
    ("FCRTH", 0, 0xFFF8, 0xFFF8),
    ("FCTTV", 0, 0xFFFF, 0xFFFF),
    ("TIPG", 0, 0x3FFF_FFFF, 0x3FFF_FFFF),
    ("TDBAH0", 0, ALL, ALL),
    ("TDLEN0", 0, 0x000F_FF80, 0x000F_FFFF),
    ("TIDV", 0, 0xFFFF, 0xFFFF),
    ("RDBAL0", 0, 0xFFFF_FFF0, ALL),
    ("TDBAL0", 0, 0xFFFF_FFF0, ALL),
    ("TXCW", 0, 0xC000_FFFF, 0xFFFF),
    ("RAL", 3, ALL, ALL),
    ("RAH", 14, 0x8003_FFFF, ALL),
    ("MTA", 127, ALL, ALL),
]


@pytest.mark.parametrize(("name", "index", "mask", "write"), REGISTERS, ids=[row[0] for row in REGISTERS])
def test_registers_keep_ethtools_patterns(
    machine: Machine, name: str, index: int, mask: int, write: int
) -> None:
    """e1000_reg_test: what is read is pattern & write & mask, with the receiver enabled."""
    machine.write("RCTL", 0x003F_FFFB)

    found = []
    for pattern in PATTERNS:
        machine.write(name, pattern & write, index)
        found.append(machine.read(name, index))

    assert found == [pattern & write & mask for pattern in PATTERNS]


@pytest.mark.parametrize(
    ("name", "mask", "write"),
    [("RCTL", 0x06DF_B3FE, 0x003F_FFFB), ("RCTL", 0x06DF_B3FE, ALL), ("TCTL", ALL, 0)],
)
def test_registers_keep_what_ethtool_sets(machine: Machine, name: str, mask: int, write: int) -> None:
    """Set and check."""
    machine.write(name, write & mask)

    assert machine.read(name) & mask == write & mask


def test_status_does_not_change_when_it_is_written(machine: Machine) -> None:
    """Under ethtool's mask."""
    before = machine.read("STATUS") & 0x7FFF_F033
    machine.write("STATUS", 0x7FFF_F033)

    assert machine.read("STATUS") & 0x7FFF_F033 == before


# -- regions -------------------------------------------------------------------------------------------


def test_ioaddr_and_iodata_reach_the_registers(machine: Machine) -> None:
    """BAR2: the way of drivers without memory BARs."""
    machine.card.write_region(BAR2, 0, NIC["VET"].offset.to_bytes(4, "little"))
    machine.card.write_region(BAR2, 4, (0x88A8).to_bytes(4, "little"))

    assert machine.read("VET") == 0x88A8
    assert machine.card.read_region(BAR2, 4, 4) == (0x88A8).to_bytes(4, "little")


@pytest.mark.parametrize("index", [BAR0, BAR1, BAR2, BAR3])
@pytest.mark.parametrize("size", [1, 2, 3, 8, 16])
def test_any_width_at_any_place_is_borne(machine: Machine, index: int, size: int) -> None:
    """CVE-2020-13754 and its like: bounds and widths."""
    for offset in (0, 1, 3, 0x10):
        machine.card.write_region(index, offset, b"\xff" * size)

        assert len(machine.card.read_region(index, offset, size)) == size


def test_a_narrow_read_is_a_part_of_the_register(machine: Machine) -> None:
    """The card decodes doublewords."""
    value = machine.read("STATUS")

    assert machine.card.read_region(BAR0, STATUS.offset + 1, 2) == value.to_bytes(4, "little")[1:3]


def test_bars_are_sized_by_writing_ones(machine: Machine) -> None:
    """PCI 3.0, 6.2.5.1."""
    sizes = []
    for bar in range(4):
        machine.config(0x10 + 4 * bar, 0xFFFF_FFFF, 4)
        value = machine.config_read(0x10 + 4 * bar, 4)
        sizes.append((-(value & (~3 if bar == 2 else ~15))) & 0xFFFF_FFFF)

    assert sizes == [0x20000, 0x20000, 0x20, 0x4000]


def test_the_capability_lists_are_those_of_the_hardware(machine: Machine) -> None:
    """PM, MSI, PCIe, MSI-X; AER, DSN with the address in it."""
    found, at = [], machine.config_read(0x34, 1)
    while at:
        found.append((at, machine.config_read(at, 1)))
        at = machine.config_read(at + 1, 1)
    extended, at = [], 0x100
    while at:
        header = machine.config_read(at, 4)
        extended.append((at, header & 0xFFFF))
        at = header >> 20

    assert found == [(0xC8, 0x01), (0xD0, 0x05), (0xE0, 0x10), (0xA0, 0x11)]
    assert extended == [(0x100, 1), (0x140, 3)]
    assert machine.card.read_region(CONFIG, 0x144, 8) == (MAC[:3] + b"\xff\xff" + MAC[3:])[::-1]


# -- interrupts ----------------------------------------------------------------------------------------


def raise_other(machine: Machine) -> None:
    """Raise LSC on vector 4."""
    machine.write("IVAR", 0xC << 16)
    machine.write("IMS", NIC["IMS"]["OTHER"].mask)
    machine.write("ICS", NIC["ICS"]["LSC"].mask)


def test_a_message_without_a_listener_stays_pending(machine: Machine) -> None:
    """It shows in the PBA and leaves when vectors are armed (QEMU re-arms them one by one)."""
    machine.sink.armed = False
    machine.card.set_interrupt_mode(InterruptMode.MSIX)
    raise_other(machine)
    pending = machine.card.read_region(BAR3, MSIX_PBA, 8)
    machine.sink.armed = True
    machine.sink.seen.clear()
    machine.card.rearm()

    assert (pending[0], machine.sink.seen) == (1 << 4, [4])
    assert machine.card.read_region(BAR3, MSIX_PBA, 8) == bytes(8)


def test_a_masked_vector_is_pending_until_it_is_unmasked(machine: Machine) -> None:
    """The table in BAR3, for whoever uses it."""
    machine.config(MSIX_CONTROL, 0x8000, 2)
    machine.card.write_region(BAR3, 4 * 16 + 12, b"\x01\0\0\0")
    machine.sink.seen.clear()
    raise_other(machine)
    masked = list(machine.sink.seen)
    machine.card.write_region(BAR3, 4 * 16 + 12, b"\0\0\0\0")

    assert (masked, machine.sink.seen) == ([], [4])


def test_configuration_space_chooses_how_to_interrupt(machine: Machine) -> None:
    """INTx unless disabled; the status register shows the line."""
    machine.read("ICR")
    machine.sink.seen.clear()
    machine.write("IMS", NIC["IMS"]["LSC"].mask)
    machine.write("ICS", NIC["ICS"]["LSC"].mask)
    shown = machine.config_read(6, 2) & 8
    machine.config(COMMAND, 0x0406, 2)

    assert (machine.sink.seen, shown) == ([True, False], 8)


def test_the_account_tells_the_story(machine: Machine) -> None:
    """Frames, descriptors, doorbells."""
    machine.bench.transmitter()
    for index in range(2):
        where = TX_RING[0] + 16 * index
        machine.bench.ram.write(where, machine.bench.legacy(ethernet(), SEND).emit())
    machine.write("TDT0", 1)
    machine.write("TDT0", 2)

    account = machine.card.account
    assert (account.frames_sent, account.descriptors, account.doorbells) == (2, 2, 2)
