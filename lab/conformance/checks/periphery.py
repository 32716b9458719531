"""NVM, PHY, semaphores, link, IEEE 1588, loopback, wake-up."""

# ruff: noqa: D401 - the first line of a check's docstring is the sentence that must hold

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING

from device.rings.transmit import DataTx
from lab.conformance.bench import Capability
from lab.conformance.check import Check, MismatchError, Topic, expect, is_true
from lab.conformance.checks.receive import WIRE, one, ready
from lab.conformance.checks.transmit import DEXT
from lab.conformance.frames import BROADCAST, ETH_PTP, PEER_MAC, ethernet, padded, payload
from lab.conformance.rings import WHOLE, Kind, RxRing, TxRing
from lab.conformance.subject import MDIC_ERROR, MDIC_READ, MILLISECOND

if TYPE_CHECKING:
    from lab.conformance.subject import Subject

TOPIC = Topic("NVM, PHY, time, wake-up", "datasheet 6, NVM; 3.5, PHY")

# -- NVM ---------------------------------------------------------------------------------------------


@TOPIC.check("NVM-CHECKSUM", "datasheet 6.1; e1000e_validate_nvm_checksum_generic in Linux's nvm.c")
def nvm_checksum(card: Subject) -> None:
    """Words 00h to 3Fh add up to BABAh."""
    expect("the sum", sum(card.nvm_read(word) for word in range(0x40)) & 0xFFFF, 0xBABA)


@TOPIC.check("NVM-DONE", "datasheet 10.2.2, EERD")
def eerd_done(card: Subject) -> None:
    """EERD shows DONE and the address that was read."""
    card.nvm_read(5)
    value = card.read("EERD")
    expect("DONE and address", (value >> 1 & 1, value >> 2 & 0x3FFF), (1, 5))


@TOPIC.check("NVM-TWICE", "datasheet 10.2.2, EERD")
def the_same_word_twice(card: Subject) -> None:
    """A word reads the same twice."""
    expect("word 0Fh", card.nvm_read(0x0F), card.nvm_read(0x0F))


@TOPIC.check("NVM-PRESENT", "datasheet 10.2.2, EECD")
def nvm_is_there(card: Subject) -> None:
    """EECD says that an NVM is present and was read."""
    expect("PRES, AUTO_RD", (card.field("EECD", "PRES"), card.field("EECD", "AUTO_RD")), (1, 1))


@TOPIC.check("NVM-GRANT", "datasheet 10.2.2, EECD.REQ and GNT; e1000e_acquire_nvm in Linux's nvm.c")
def nvm_is_granted(card: Subject) -> None:
    """EECD.REQ is answered by GNT."""
    card.set("EECD", REQ=1)
    is_true("GNT", card.until(lambda: bool(card.field("EECD", "GNT"))))
    card.set("EECD", REQ=0)


@TOPIC.check(
    "NVM-WRITE", "datasheet 10.2, EEWR; e1000_write_nvm_eewr_82571 in Linux's 82571.c", destructive=True
)
def nvm_write(card: Subject) -> None:
    """A word written by EEWR reads back by EERD."""
    before = card.nvm_read(0x3A)
    for value in (before ^ 0xFFFF, before):
        card.write("EEWR", value << 16 | 0x3A << 2 | 1)
        card.until(lambda: bool(card.read("EEWR") & 2))
        expect("word 3Ah", card.nvm_read(0x3A), value)


@TOPIC.check("NVM-INIT1", "datasheet 6.1: word 0Fh; e1000_get_variants_82571 reads it")
def the_word_is_not_erased(card: Subject) -> None:
    """Words 0Ah and 0Fh, the initialization control words, are programmed."""
    expect("erased words", [word for word in (0x0A, 0x0F) if card.nvm_read(word) == 0xFFFF], [])


# -- semaphores ---------------------------------------------------------------------------------------


@TOPIC.check("SEM-SMBI", "datasheet 10.2, SWSM.SMBI; e1000_get_hw_semaphore_82571 in Linux's 82571.c")
def smbi_is_taken_by_a_read(card: Subject) -> None:
    """SMBI reads 0 once, then 1, until software writes 0."""
    card.write("SWSM", 0)
    seen = [card.field("SWSM", "SMBI"), card.field("SWSM", "SMBI")]
    card.write("SWSM", 0)
    expect("SMBI", [*seen, card.field("SWSM", "SMBI")], [0, 1, 0])


@TOPIC.check("SEM-SWESMBI", "datasheet 10.2, SWSM.SWESMBI; e1000_get_hw_semaphore_82571")
def swesmbi_sticks(card: Subject) -> None:
    """SWESMBI, set by software, reads back: the semaphore was granted."""
    card.set("SWSM", SWESMBI=1)
    expect("SWESMBI", card.field("SWSM", "SWESMBI"), 1)


@TOPIC.check("SEM-MDIO", "datasheet 10.2.2, EXTCNF_CTRL; e1000_get_hw_semaphore_82573 in Linux's 82571.c")
def mdio_ownership(card: Subject) -> None:
    """MDIO_SW_OWNERSHIP, set by software, reads back, and goes again."""
    card.set("EXTCNF_CTRL", MDIO_SW_OWNERSHIP=1)
    taken = card.field("EXTCNF_CTRL", "MDIO_SW_OWNERSHIP")
    card.set("EXTCNF_CTRL", MDIO_SW_OWNERSHIP=0)
    expect("ownership", [taken, card.field("EXTCNF_CTRL", "MDIO_SW_OWNERSHIP")], [1, 0])


# -- PHY ----------------------------------------------------------------------------------------------


@TOPIC.check("PHY-ID", "datasheet 10.3.1, PHY identifiers; BME1000_E_PHY_ID_R2 in Linux's defines.h")
def phy_identity(card: Subject) -> None:
    """The PHY is the 82574L's: 0141h, 0CB1h."""
    expect("registers 2, 3", (card.phy_read(2), card.phy_read(3)), (0x0141, 0x0CB1))


@TOPIC.check("PHY-WRITE", "datasheet 10.2.2, MDIC")
def phy_writes(card: Subject) -> None:
    """Register 4 reads back what is written."""
    value = card.phy_read(4) ^ 0x0100
    card.phy_write(4, value)
    expect("register 4", card.phy_read(4), value)


@TOPIC.check("PHY-ADDRESS", "datasheet 10.2.2, MDIC.E: no PHY answers at another address")
def no_other_phy(card: Subject) -> None:
    """An access to another PHY address ends with ready and error."""
    expect("MDIC.ERROR", card.mdic(MDIC_READ | 5 << 21 | 2 << 16) & MDIC_ERROR, MDIC_ERROR)


@TOPIC.check("PHY-MDAC", "datasheet 10.2.2, MDIC.I; 10.2.4, ICR.MDAC")
def mdio_interrupt(card: Subject) -> None:
    """With MDIC.INT_EN the end of an access raises MDAC."""
    card.quiet()
    card.mdic(MDIC_READ | 1 << 29 | 1 << 21 | 2 << 16)
    expect("MDAC", card.read("ICR") & card.causes("MDAC"), card.causes("MDAC"))


@TOPIC.check("PHY-LINK", "IEEE 802.3, 22.2.4.2.13; e1000e_phy_has_link_generic in Linux's phy.c")
def phy_link(card: Subject) -> None:
    """With the link up BMSR says link and autonegotiation complete."""
    card.link_up()
    card.phy_read(1)
    expect("BMSR", card.phy_read(1) & 0x24, 0x24)


@TOPIC.check("PHY-SPEED", "datasheet 10.2.2, STATUS; e1000e_get_speed_and_duplex_copper in Linux's mac.c")
def speed(card: Subject) -> None:
    """With the link up STATUS says 1000 Mb/s, full duplex."""
    card.link_up()
    got = (card.field("STATUS", "SPEED"), card.field("STATUS", "FD"))
    expect("SPEED (2 or 3), FD", (got[0] in (2, 3), got[1]), (True, 1))


@TOPIC.check("PHY-RESTART", "e1000_setup_copper_link in Linux's phy.c: BMCR bit 9")
def autonegotiation_restarts(card: Subject) -> None:
    """Restarting autonegotiation brings the link back with LSC."""
    card.link_up()
    card.quiet()
    card.phy_write(0, 0x1340)
    card.bench.advance(MILLISECOND)
    card.link_up()
    expect("LSC", card.read("ICR") & card.causes("LSC"), card.causes("LSC"))


@TOPIC.check("PHY-POWER", "IEEE 802.3, 22.2.4.1.5: BMCR bit 11; e1000_power_down_phy_copper in Linux's phy.c")
def power_down(card: Subject) -> None:
    """A PHY that is powered down has no link; powered up, it gets one."""
    card.link_up()
    control = card.phy_read(0)
    card.phy_write(0, control | 0x0800)
    card.bench.advance(10 * MILLISECOND)
    expect("STATUS.LU", card.field("STATUS", "LU"), 0)
    card.phy_write(0, control & ~0x0800 | 0x1200)
    card.link_up()


@TOPIC.check("PHY-PAGE", "datasheet 10.3.1: the page is selected by register 22 (or 31)")
def pages(card: Subject) -> None:
    """Registers 2 and 3 of page 0 are the same after another page was selected and left."""
    card.phy_write(22, 2)
    card.phy_read(21)
    card.phy_write(22, 0)
    expect("register 2", card.phy_read(2), 0x0141)


@TOPIC.check("LED-CTL", "datasheet 10.2.2, LEDCTL; e1000e_id_led_init_generic in Linux's mac.c")
def leds(card: Subject) -> None:
    """LEDCTL reads back what identification (ethtool -p) writes."""
    card.write("LEDCTL", 0x0E0E_0E0E)
    expect("LEDCTL", card.read("LEDCTL"), 0x0E0E_0E0E)


# -- IEEE 1588 -----------------------------------------------------------------------------------------

TIME = "datasheet 10.2.9, time sync; e1000e_get_base_timinca in Linux's netdev.c"
VIRTUAL = Capability.CLOCK


def system_time(card: Subject) -> int:
    """Return SYSTIM, low half first, as the driver reads it."""
    low = card.read("SYSTIML")
    return card.read("SYSTIMH") << 32 | low


@TOPIC.check("PTP-RUNS", TIME, needs=VIRTUAL)
def the_clock_runs(card: Subject) -> None:
    """SYSTIM adds INCVALUE every INCPERIOD of 40 ns."""
    card.write("TIMINCA", 1 << 24 | 40)
    begin = system_time(card)
    card.bench.advance(MILLISECOND)
    is_true("SYSTIM after 1 ms, to 1 µs", abs(system_time(card) - begin - MILLISECOND) <= 1000)


@TOPIC.check("PTP-STOPS", TIME, needs=VIRTUAL)
def the_clock_stops(card: Subject) -> None:
    """With INCVALUE zero SYSTIM stands still."""
    card.write("TIMINCA", 1 << 24)
    begin = system_time(card)
    card.bench.advance(MILLISECOND)
    expect("SYSTIM", system_time(card), begin)


@TOPIC.check("PTP-SET", TIME, needs=VIRTUAL)
def the_clock_is_set(card: Subject) -> None:
    """SYSTIM can be written."""
    card.write("TIMINCA", 1 << 24)
    card.write("SYSTIML", 0x1111_2222)
    card.write("SYSTIMH", 0x33)
    expect("SYSTIM", system_time(card), 0x33_1111_2222)


def sync() -> bytes:
    """Return an IEEE 1588 Sync over Ethernet (version 2, message type 0)."""
    return padded(
        ethernet(
            struct.pack(">BBH", 0, 2, 44) + bytes(26) + b"\x00\x2a" + bytes(12),
            to=bytes.fromhex("011b19000000"),
            sender=PEER_MAC,
            ethertype=ETH_PTP,
        )
    )


@TOPIC.check("PTP-TX", TIME + "; e1000_tx_queue sets the TS bit", needs=WIRE)
def transmit_timestamp(card: Subject) -> None:
    """A data descriptor with TS takes a transmit timestamp, which reading TXSTMPH releases."""
    card.link_up()
    card.write("TIMINCA", 1 << 24 | 40)
    ring = TxRing(card)
    card.write("TSYNCTXCTL", 0x10)
    frame = ethernet(payload(80))
    ring.send(DataTx(card.buffer(frame), len(frame), DEXT | WHOLE, status=DataTx.TS))
    expect("VALID", card.read("TSYNCTXCTL") & 1, 1)
    card.read("TXSTMPL")
    card.read("TXSTMPH")
    expect("VALID after the read", card.read("TSYNCTXCTL") & 1, 0)


@TOPIC.check("PTP-RX", TIME + ", TSYNCRXCTL type 4: all packets", needs=WIRE)
def receive_timestamp(card: Subject) -> None:
    """With type 4 every frame takes a receive timestamp, which reading RXSTMPH releases."""
    ring = ready(card, MPE=1)
    card.write("TIMINCA", 1 << 24 | 40)
    card.write("TSYNCRXCTL", 0x10 | 4 << 1)
    one(card, ring, sync())
    expect("VALID", card.read("TSYNCRXCTL") & 1, 1)
    card.read("RXSTMPL")
    card.read("RXSTMPH")
    expect("VALID after the read", card.read("TSYNCRXCTL") & 1, 0)


# -- loopback --------------------------------------------------------------------------------------------


@TOPIC.check("LOOP-MAC", "datasheet 10.2.5, RCTL.LBM", needs=WIRE)
def mac_loopback(card: Subject) -> None:
    """With RCTL.LBM = 1 a frame that is sent is received, and none leaves."""
    ring, out = ready(card, LBM=1), TxRing(card)
    frame = padded(ethernet(payload(90), to=card.address()))
    out.send(out.legacy(frame))
    got = ring.take()
    expect("frame received, frames on the wire", (got.data if got else b"", card.bench.frames()), (frame, []))


@TOPIC.check("LOOP-PHY", "e1000_integrated_phy_loopback in Linux's e1000e/ethtool.c", needs=WIRE)
def phy_loopback(card: Subject) -> None:
    """With the PHY in loopback, set up as ethtool's self-test does, a frame that is sent is received."""
    card.link_up()
    card.phy_write(0, 0x4140)
    control = card.read("CTRL") & ~card.bits("CTRL", "SPEED")
    card.write("CTRL", control | card.bits("CTRL", "FRCSPD", "FRCDPLX", "FD", "SLU") | 2 << 8)
    card.bench.advance(250 * MILLISECOND)
    ring = RxRing(card, kind=Kind.LEGACY).start()
    out = TxRing(card)
    frame = padded(ethernet(payload(1010), to=card.address()))
    out.send(out.legacy(frame))
    got = ring.take()
    if got is None:
        raise MismatchError("frames received", 0, 1)
    expect("the frame", got.data, frame)


@TOPIC.check("LOOP-SHORT", "QEMU commit of CVE-2021-3416 and its kin: loopback of short frames", needs=WIRE)
def short_loopback(card: Subject) -> None:
    """A frame of 14 bytes in loopback does no harm."""
    ready(card, LBM=1)
    out = TxRing(card)
    out.send(out.legacy(ethernet(b"", to=card.address())))
    card.write("FCTTV", 0x77)
    expect("FCTTV", card.read("FCTTV"), 0x77)


# -- wake-up ------------------------------------------------------------------------------------------


def wakes(bit: int, frame: bytes, card: Subject) -> None:
    """The frame sets its bit of WUS and PME status."""
    card.link_up()
    RxRing(card).start(MPE=1)
    card.write("WUFC", 1 << bit)
    card.write("WUC", 0x2)
    card.bench.config_write(0xCC, 0x103, 2)
    card.bench.send(frame if frame[:6] != bytes(6) else card.address() + frame[6:])
    card.bench.settle()
    expect("PME_Status", card.bench.config_read(0xCC, 2) >> 15 & 1, 1)


def magic(address: bytes) -> bytes:
    """Return a magic packet."""
    return ethernet(b"\xff" * 6 + address * 16, to=BROADCAST, sender=PEER_MAC, ethertype=0x0842)


TOPIC.add(
    Check(
        "WAKE-MAGIC",
        "In D3 with WUFC.MAG a magic packet to the card's address sets PME_Status.",
        "datasheet 5.5, wake-up packets; 10.2.8, WUFC",
        partial(wakes, 1, magic(bytes.fromhex("525400123456"))),
        WIRE | Capability.CONFIG,
    )
)
TOPIC.add(
    Check(
        "WAKE-BROADCAST",
        "In D3 with WUFC.BC a broadcast sets PME_Status.",
        "datasheet 5.5; 10.2.8, WUFC",
        partial(wakes, 4, padded(ethernet(payload(50), to=BROADCAST, sender=PEER_MAC))),
        WIRE | Capability.CONFIG,
    )
)


@TOPIC.check("WAKE-WUC", "datasheet 10.2.8, WUC")
def wuc_reads_back(card: Subject) -> None:
    """WUC.PME_EN and APMPME read back."""
    card.write("WUC", 0xA)
    expect("WUC", card.read("WUC") & 0xA, 0xA)
