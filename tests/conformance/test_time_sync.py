"""IEEE 1588 (datasheet, Time Sync): the clock, and timestamps both ways. Said of every engine."""

from __future__ import annotations

import pytest

from device.regs.nic import NIC
from device.rings.receive import RxStatus
from device.rings.transmit import DataTx
from tests.bench import Bench, ethernet

TX, RX = NIC["TSYNCTXCTL"], NIC["TSYNCRXCTL"]
INCREMENT = 24 << 24 | 16  # e1000e_get_base_timinca: 25 MHz, 24 clocks
PERIOD_NS = 24 * 40


def systim(bench: Bench) -> int:
    """Read SYSTIM, low half first."""
    low = bench.read("SYSTIML")
    return bench.read("SYSTIMH") << 32 | low


def test_the_clock_runs_at_timincas_pace(bench: Bench) -> None:
    """INCVALUE every INCPERIOD clocks of 40 ns; nothing before TIMINCA is written."""
    bench.engine.advance(10**6)
    still = systim(bench)
    bench.write("TIMINCA", INCREMENT)
    bench.engine.advance(10**6 + 1000 * PERIOD_NS)

    assert (still, systim(bench)) == (0, 16000)


def test_systim_can_be_set(bench: Bench) -> None:
    """Both halves."""
    bench.write("TIMINCA", INCREMENT)
    bench.write("SYSTIML", 5)
    bench.write("SYSTIMH", 7)
    bench.engine.advance(PERIOD_NS)

    assert systim(bench) == (7 << 32) + 5 + 16


@pytest.mark.parametrize(("high", "expected"), [(0, 1100), (1 << 31, 900)])
def test_timadj_adds_or_subtracts_once(bench: Bench, high: int, expected: int) -> None:
    """Bit 31 of the high half is the sign."""
    bench.write("SYSTIML", 1000)
    bench.write("TIMADJL", 100)
    bench.write("TIMADJH", high)

    assert systim(bench) == expected


def test_a_transmitted_frame_that_asks_is_stamped(bench: Bench) -> None:
    """EXTCMD.TS; the stamp is held until TXSTMPH is read."""
    bench.transmitter()
    bench.write("TIMINCA", INCREMENT)
    bench.write("TSYNCTXCTL", TX["ENABLED"].mask)
    bench.engine.advance(10 * PERIOD_NS)
    bench.post(bench.data(ethernet(), status=DataTx.TS))
    bench.run()
    held = bench.read("TSYNCTXCTL") & TX["VALID"].mask
    stamp = bench.read("TXSTMPL") | bench.read("TXSTMPH") << 32

    assert (held, stamp, bench.read("TSYNCTXCTL") & TX["VALID"].mask) == (1, 160, 0)


@pytest.mark.parametrize(
    ("kind", "message", "taken"),
    [(0, 0x00, True), (0, 0x01, False), (5, 0x03, True), (5, 0x0B, False), (4, 0x0B, True)],
)
def test_received_messages_are_stamped_by_type(bench: Bench, kind: int, message: int, *, taken: bool) -> None:
    """TSYNCRXCTL.TYPE and RXMTRL; the descriptor says so."""
    bench.receiver()
    bench.write("TIMINCA", INCREMENT)
    bench.write("RXMTRL", 0x88F7)
    bench.write("TSYNCRXCTL", RX["ENABLED"].mask | RX["TYPE"].put(kind))
    bench.engine.advance(10 * PERIOD_NS)

    bench.engine.receive(ethernet(bytes([message]) + bytes(50), ethertype=0x88F7))

    assert bool(bench.read("TSYNCRXCTL") & RX["VALID"].mask) is taken
    assert (RxStatus.TST in bench.status(0)) is taken
    assert bench.read("RXSTMPL") == (160 if taken else 0)
