"""A frame in as many pieces as a guest likes leaves whole, whatever header its wire puts in front of it.

Both engines, every framing: what the native one writes to its wire is what the reference says was sent. The
pieces lie apart in memory, so that none can be joined to its neighbour.
"""

from __future__ import annotations

import socket
from contextlib import closing
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import pytest

from device.effects import FrameSent, Offload
from device.engine.native import NativeEngine
from device.engine.reference import ReferenceEngine
from device.regs.nic import NIC
from device.rings.transmit import ContextTx, DataTx, TxCommand, TxOptions
from device.wire.contract import Framing
from device.wire.frame import VNET_HEADER
from tests.bench import Ram

if TYPE_CHECKING:
    from device.engine.contract import Engine

RAM_BYTES, DATA, STRIDE = 0x4_0000, 0x1_0000, 64
RING_BYTES = 4096
CONTEXT = ContextTx(
    ipcss=14,
    ipcso=24,
    ipcse=33,
    tucss=34,
    tucso=50,
    tucse=0,
    paylen=0,
    command=TxCommand.DEXT | TxCommand.IFCS | TxCommand.EOP,
    hdrlen=54,
    mss=0,
)
KINDS = (Framing.VNET, Framing.DATAGRAM, Framing.STREAM)
PIECES = (1, 2, 63, 64, 65, 66, 67, 68, 128, 129, 200)


def scattered(pieces: int, options: TxOptions, mss: int, *, tagged: bool) -> bytes:
    """Return memory with a context and a frame in ``pieces`` of six bytes, no two of them neighbours."""
    memory = bytearray(RAM_BYTES)
    command = TxCommand.DEXT | TxCommand.IFCS | (TxCommand.VLE if tagged else TxCommand.NONE)
    context = CONTEXT
    if mss:
        command |= TxCommand.IC
        context = replace(CONTEXT, command=CONTEXT.command | TxCommand.IC, mss=mss)
    ring = bytearray(context.emit())
    for n in range(pieces):
        at = DATA + n * STRIDE
        memory[at : at + 6] = bytes((2, n & 0xFF, n >> 8, 7 * n & 0xFF, 0x45, n ^ 0x5A))
        last = TxCommand.EOP | TxCommand.RS if n == pieces - 1 else TxCommand.NONE
        ring += DataTx(at, 6, command=command | last, options=options, special=5).emit()
    memory[: len(ring)] = ring
    return bytes(memory)


def on_the_wire(framing: Framing, sent: FrameSent) -> bytes:
    """Return a frame as it lies in a wire's bytes."""
    if framing is Framing.STREAM:
        return len(sent.data).to_bytes(4, "big") + sent.data
    if framing is Framing.DATAGRAM:
        return sent.data
    work = sent.offload or Offload()
    kind = work.gso.value if work.gso else 0
    flags = int(work.needs_csum)
    numbers = (flags, kind, work.hdr_len, work.gso_size, work.csum_start, work.csum_offset)
    return VNET_HEADER.pack(*numbers) + sent.data


def transmit(engine: Engine, count: int) -> None:
    """Ring the doorbell of a ring at address 0."""
    engine.set_link(up=True)
    engine.set_mastering(enabled=True)
    engine.poke(NIC["CTRL"].offset, NIC["CTRL"]["SLU"].mask | NIC["CTRL"]["VME"].mask)
    for name, value in (
        ("TDBAL0", 0),
        ("TDLEN0", RING_BYTES),
        ("TCTL", NIC["TCTL"]["EN"].mask | NIC["TCTL"]["PSP"].mask),
        ("TDT0", count),
    ):
        engine.write(NIC[name].offset, value)
    engine.run()


@pytest.mark.parametrize("framing", KINDS, ids=lambda framing: framing.value)
@pytest.mark.parametrize(
    ("options", "mss"),
    [
        (TxOptions.NONE, 0),
        (TxOptions.IXSM, 0),
        (TxOptions.TXSM, 0),
        (TxOptions.IXSM | TxOptions.TXSM, 0),
        (TxOptions.IXSM | TxOptions.TXSM, 100),
    ],
    ids=["plain", "ip", "tcp", "both", "segmented"],
)
def test_a_scattered_frame_leaves_whole_by_every_wire(framing: Framing, options: TxOptions, mss: int) -> None:
    """Up to 200 pieces, with and without a tag and a wire that takes offloads; TDH passes all of them."""
    for pieces, tagged, offload in product(PIECES, (False, True), (False, True)):
        memory = scattered(pieces, options, mss, tagged=tagged)
        ram = Ram(RAM_BYTES)
        ram.write(0, memory)
        reference = ReferenceEngine(ram, offload=offload)
        transmit(reference, pieces + 1)
        wanted = [effect for effect in reference.effects() if isinstance(effect, FrameSent)]
        native = NativeEngine(offload=offload)
        kind = socket.SOCK_STREAM if framing is Framing.STREAM else socket.SOCK_SEQPACKET
        near, far = socket.socketpair(socket.AF_UNIX, kind)
        with closing(near), closing(far):
            near.setblocking(False)  # noqa: FBT003 - no keyword
            far.setblocking(False)  # noqa: FBT003 - no keyword
            loan = native.lend(0, bytearray(memory))
            native.attach_wire(near.fileno(), framing)

            transmit(native, pieces + 1)

            loan.end()
            refused = native.account().wire_refused
            long_enough = [sent for sent in wanted if len(sent.data) >= 14]
            reads = min(len(long_enough), 1) if framing is Framing.STREAM else len(long_enough)
            got = b"".join(far.recv(1 << 17) for _ in range(reads))
        assert native.peek(NIC["TDH0"].offset) == reference.peek(NIC["TDH0"].offset) == pieces + 1
        assert got == b"".join(on_the_wire(framing, sent) for sent in long_enough)
        assert refused == len(wanted) - len(long_enough)
