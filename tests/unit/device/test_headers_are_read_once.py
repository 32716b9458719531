"""The card reads a header once: what guest memory becomes meanwhile changes nothing that is decided by it.

The memory is changed at a certain moment, without a race: segments that loop back are stored over the header
that they are cut from.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from device.engine.native import NativeEngine
from device.engine.reference import ReferenceEngine
from device.regs.nic import NIC
from device.rings.receive import LegacyRx
from device.rings.transmit import ContextTx, DataTx, TxCommand, TxOptions
from tests.bench import Ram

if TYPE_CHECKING:
    from device.engine.contract import Engine

TX_RING, RX_RING, HEADER, PAYLOAD, RX_BUFFERS = 0x0000, 0x1000, 0x2000, 0x3000, 0x8000
MSS, SEGMENTS, HEADER_BYTES = 100, 3, 54
FIN_ACK = 0x11


def header() -> bytes:
    """Return an Ethernet, IPv4 and TCP header to all stations, with FIN set."""
    ethernet = b"\xff" * 6 + bytes.fromhex("020000000001") + b"\x08\x00"
    ip = b"\x45" + bytes(8) + b"\x06" + bytes(2) + bytes((10, 0, 0, 1, 10, 0, 0, 2))
    tcp = bytes((0, 80, 4, 0)) + bytes(8) + bytes((0x50, FIN_ACK)) + bytes(6)
    return ethernet + ip + tcp


def memory() -> bytes:
    """Return what the guest prepared: the first receive buffer is the header's own."""
    raw = bytearray(Ram(0x1_0000).data)
    payload = bytes(range(MSS)) * SEGMENTS
    raw[HEADER : HEADER + HEADER_BYTES] = header()
    raw[PAYLOAD : PAYLOAD + len(payload)] = payload
    command = TxCommand.DEXT | TxCommand.IC | TxCommand.IFCS
    options = TxOptions.IXSM | TxOptions.TXSM
    context = ContextTx(
        ipcss=14,
        ipcso=24,
        ipcse=33,
        tucss=34,
        tucso=50,
        paylen=len(payload),
        command=command | TxCommand.EOP,
        hdrlen=HEADER_BYTES,
        mss=MSS,
    )
    ring = (
        context.emit()
        + DataTx(HEADER, HEADER_BYTES, command=command, options=options).emit()
        + DataTx(PAYLOAD, len(payload), command=command | TxCommand.EOP, options=options).emit()
    )
    raw[TX_RING : TX_RING + len(ring)] = ring
    for n in range(8):
        at = RX_RING + 16 * n
        raw[at : at + 16] = LegacyRx(RX_BUFFERS + 2048 * n if n else HEADER).emit()
    return bytes(raw)


def loop_round(engine: Engine) -> None:
    """Send the frame round the loop."""
    engine.set_link(up=True)
    engine.set_mastering(enabled=True)
    engine.set_loopback(enabled=True)
    rctl = NIC["RCTL"]
    for name, value in (
        ("RDBAL0", RX_RING),
        ("RDLEN0", 8 * 16),
        ("RDT0", 7),
        ("RCTL", rctl["EN"].mask | rctl["BAM"].mask | rctl["SECRC"].mask),
        ("TDBAL0", TX_RING),
        ("TDLEN0", 8 * 16),
        ("TCTL", NIC["TCTL"]["EN"].mask),
        ("TDT0", 3),
    ):
        engine.write(NIC[name].offset, value)
    engine.run()


@pytest.mark.parametrize("name", ["native", "reference"])
def test_segments_are_cut_from_the_header_that_was_there_at_first(name: str) -> None:
    """FIN is on the last segment alone, although the first one was stored over the header without it."""
    ram = Ram(0x1_0000)
    ram.write(0, memory())
    with ExitStack() as stack:
        engine: Engine
        if name == "native":
            engine = native = NativeEngine()
            stack.callback(native.lend(0, ram.data).end)
        else:
            engine = ReferenceEngine(ram)

        loop_round(engine)

    stored = [HEADER, RX_BUFFERS + 2048, RX_BUFFERS + 2 * 2048]
    segments = [ram.read(at, HEADER_BYTES + MSS) for at in stored]
    assert [segment[47] for segment in segments] == [FIN_ACK & ~1, FIN_ACK & ~1, FIN_ACK]
    assert [int.from_bytes(segment[38:42], "big") for segment in segments] == [0, MSS, 2 * MSS]
    assert engine.peek(NIC["GPRC"].offset) == SEGMENTS
