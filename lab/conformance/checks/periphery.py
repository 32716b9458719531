"""PHY, link, LEDs, IEEE 1588, loopback."""

# ruff: noqa: D401 - the first line of a check's docstring is the sentence that must hold

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from device.rings.transmit import DataTx
from lab.conformance.bench import Capability
from lab.conformance.check import MismatchError, Topic, expect, is_true
from lab.conformance.checks.receive import WIRE, one, ready
from lab.conformance.checks.transmit import DEXT
from lab.conformance.frames import ETH_PTP, PEER_MAC, ethernet, padded, payload
from lab.conformance.rings import WHOLE, Kind, RxRing, TxRing
from lab.conformance.subject import MDIC_ERROR, MDIC_READ, MILLISECOND

if TYPE_CHECKING:
    from lab.conformance.subject import Subject

TOPIC = Topic("PHY, time, loopback", "datasheet, PHY and time sync chapters")

# -- PHY ----------------------------------------------------------------------------------------------


@TOPIC.check("PHY-ID", "datasheet, PHY Registers, PHY identifiers; BME1000_E_PHY_ID_R2 in Linux's defines.h")
def phy_identity(card: Subject) -> None:
    """The PHY is the 82574L's: 0141h, 0CB1h."""
    expect("registers 2, 3", (card.phy_read(2), card.phy_read(3)), (0x0141, 0x0CB1))


@TOPIC.check("PHY-WRITE", "datasheet, General Registers, MDIC")
def phy_writes(card: Subject) -> None:
    """Register 4 reads back what is written."""
    value = card.phy_read(4) ^ 0x0100
    card.phy_write(4, value)
    expect("register 4", card.phy_read(4), value)


@TOPIC.check("PHY-ADDRESS", "datasheet, General Registers, MDIC.E: no PHY answers at another address")
def no_other_phy(card: Subject) -> None:
    """An access to another PHY address ends with ready and error."""
    expect("MDIC.ERROR", card.mdic(MDIC_READ | 5 << 21 | 2 << 16) & MDIC_ERROR, MDIC_ERROR)


@TOPIC.check("PHY-MDAC", "datasheet, General Registers, MDIC.I; Interrupt Registers, ICR.MDAC")
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


@TOPIC.check(
    "PHY-SPEED", "datasheet, General Registers, STATUS; e1000e_get_speed_and_duplex_copper in Linux's mac.c"
)
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


@TOPIC.check("PHY-PAGE", "datasheet, PHY Registers: the page is selected by register 22 (or 31)")
def pages(card: Subject) -> None:
    """Registers 2 and 3 of page 0 are the same after another page was selected and left."""
    card.phy_write(22, 2)
    card.phy_read(21)
    card.phy_write(22, 0)
    expect("register 2", card.phy_read(2), 0x0141)


@TOPIC.check("LED-CTL", "datasheet, General Registers, LEDCTL; e1000e_id_led_init_generic in Linux's mac.c")
def leds(card: Subject) -> None:
    """LEDCTL reads back what identification (ethtool -p) writes."""
    card.write("LEDCTL", 0x0E0E_0E0E)
    expect("LEDCTL", card.read("LEDCTL"), 0x0E0E_0E0E)


# -- IEEE 1588 -----------------------------------------------------------------------------------------

TIME = "datasheet, Time Sync Registers, time sync; e1000e_get_base_timinca in Linux's netdev.c"
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


@TOPIC.check("LOOP-MAC", "datasheet, Receive Registers, RCTL.LBM", needs=WIRE)
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
