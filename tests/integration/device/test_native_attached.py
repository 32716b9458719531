"""The native engine with descriptors attached: a vfio-user client, shared memory, a wire, eventfds, threads.

Waits are for events, bounded by ``PATIENCE_S``; nothing here is a matter of how long something took.
"""

from __future__ import annotations

import gc
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from device.engine.contract import InterruptMode
from device.engine.native import NativeEngine
from device.engine.transport import NativeTransport
from device.regs.bank import Owner
from device.regs.nic import NIC
from device.rings.receive import RxStatus
from device.rings.transmit import ContextTx, DataTx, LegacyTx, TxCommand, TxOptions
from device.vfio_user import PciIrq, TransportError
from device.vfio_user.messages import RegionAccess, command
from device.vfio_user.protocol import Command
from tests.support.attached_card import (
    COUNT,
    FRAME,
    IOVA,
    OPEN,
    PATIENCE_S,
    RAM_BYTES,
    RX_DATA,
    TX_DATA,
    TX_RING,
    Framing,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def test_a_frame_leaves_and_its_interrupt_comes_without_python(tmp_path: Path) -> None:
    """The doorbell, the frame, the write-back and the message are all C's."""
    with running(tmp_path) as guest:
        guest.enable()
        guest.card.asked.clear()

        guest.send(0, FRAME)
        arrived = guest.far.recv(4096)

        assert arrived == FRAME
        assert guest.interrupted(1)
        assert guest.ram[TX_RING + 12] & 1
        assert guest.read("TDH0") == 1
        assert guest.card.asked == []


def test_a_frame_that_the_filters_refuse_is_seen_nowhere_in_memory(tmp_path: Path) -> None:
    """It is judged in the card's own memory; only what was accepted comes into a buffer of the guest."""
    with running(tmp_path) as guest:
        guest.enable()
        guest.write("RCTL", OPEN & ~NIC["RCTL"]["UPE"].mask)
        guest.read("STATUS")
        broadcast = b"\xff" * 6 + bytes(54)

        guest.far.send(b"\x02" * 300)
        guest.far.send(broadcast)

        assert guest.interrupted(0)
        assert guest.received(0)[1] == broadcast
        assert guest.ram[RX_DATA : RX_DATA + 300] == broadcast + bytes(240)


def test_a_frame_off_the_wire_is_stored_and_announced(tmp_path: Path) -> None:
    """The wire's thread fills the ring and sends one message."""
    with running(tmp_path) as guest:
        guest.enable()

        guest.far.send(FRAME)

        assert guest.interrupted(0)
        status, data = guest.received(0)
        assert status & RxStatus.DD
        assert data == FRAME
        assert guest.engine.account().frames_received == 1


def test_an_empty_ring_holds_the_wire_back_and_loses_nothing(tmp_path: Path) -> None:
    """Twice as many frames as descriptors arrive, because the wire waits for RDT."""
    with running(tmp_path) as guest:
        guest.enable()
        frames = [bytes([2 * n]) * 100 for n in range(2 * COUNT)]  # even: unicast
        sender = threading.Thread(target=lambda: [guest.far.send(frame) for frame in frames])
        sender.start()

        got = guest.harvest(len(frames))
        sender.join(PATIENCE_S)

        assert got == frames
        assert guest.read("MPC") == 0


@pytest.mark.parametrize("spin_us", [0, None, 1000])
def test_frames_keep_their_order_whichever_thread_takes_them_off_the_wire(
    tmp_path: Path, spin_us: int | None
) -> None:
    """While doorbells come the socket's thread looks at the wire too, beside the wire's own."""
    with running(tmp_path, spin_us=spin_us) as guest:
        guest.enable()
        frames = [struct.pack("<I", 2 * n << 8) + bytes(96) for n in range(300)]
        sender = threading.Thread(target=lambda: [guest.far.send(frame) for frame in frames])
        sender.start()

        got = guest.harvest(len(frames))
        sender.join(PATIENCE_S)

        assert got == frames
        assert guest.engine.account().frames_received == len(frames)


def test_a_stream_carries_frames_with_their_lengths_both_ways(tmp_path: Path) -> None:
    """QEMU's framing, in pieces that fit nothing."""
    with running(tmp_path, Framing.STREAM) as guest:
        guest.enable()
        wire = struct.pack(">I", len(FRAME)) + FRAME

        guest.send(0, FRAME)
        arrived = b""
        while len(arrived) < len(wire):
            arrived += guest.far.recv(7)
        for at in range(0, len(wire), 11):
            guest.far.sendall(wire[at : at + 11])

        assert arrived == wire
        assert guest.interrupted(0)
        assert guest.received(0)[1] == FRAME


def test_a_blocked_stream_stops_the_ring_and_goes_on_later(tmp_path: Path) -> None:
    """Nothing is lost when the wire's far end does not read for a while."""
    with running(tmp_path, Framing.STREAM) as guest:
        guest.enable()
        sent = [bytes([n & 0xFF]) * 1500 for n in range(600)]
        received: list[bytes] = []

        def read() -> None:
            stream = guest.far.makefile("rb")
            while len(received) < len(sent):
                (length,) = struct.unpack(">I", stream.read(4))
                received.append(stream.read(length))

        reader = threading.Thread(target=read)
        for index, frame in enumerate(sent):
            while (index + 1) % COUNT == guest.read("TDH0"):
                if not reader.ident:  # the wire is full, and so is the ring
                    reader.start()
            at = TX_DATA + 1536 * (index % COUNT)
            guest.put(at, frame)
            descriptor = LegacyTx(IOVA + at, len(frame), command=TxCommand.EOP | TxCommand.IFCS)
            guest.put(TX_RING + 16 * (index % COUNT), descriptor.emit())
            guest.write("TDT0", (index + 1) % COUNT)
        reader.join(PATIENCE_S)

        assert received == sent
        assert guest.engine.account().wire_blocked > 0
        assert guest.engine.account().wire_lost == 0


def test_a_segmentation_frame_passes_whole_where_the_wire_can_cut(tmp_path: Path) -> None:
    """VNET framing: a header that says how, then 4,000 bytes of TCP."""
    with running(tmp_path, Framing.VNET, offload=True) as guest:
        guest.enable()
        header = bytes(12) + b"\x08\0" + bytes([0x45]) + bytes(8) + b"\x06" + bytes(10) + bytes(20)
        payload = bytes(4000)
        guest.put(TX_DATA, header + payload)
        context = ContextTx(
            ipcss=14,
            ipcso=24,
            ipcse=33,
            tucss=34,
            tucso=50,
            paylen=4000,
            command=TxCommand.DEXT | TxCommand.EOP | TxCommand.IFCS | TxCommand.IC,
            hdrlen=54,
            mss=1460,
        )
        data = DataTx(
            IOVA + TX_DATA,
            len(header) + len(payload),
            TxCommand.DEXT | TxCommand.EOP | TxCommand.IFCS | TxCommand.IC | TxCommand.RS,
            options=TxOptions.IXSM | TxOptions.TXSM,
        )
        guest.put(TX_RING, context.emit() + data.emit())

        guest.write("TDT0", 2)
        message = guest.far.recv(65536)

        assert struct.unpack("=BBHHHH", message[:10]) == (1, 1, 54, 1460, 34, 16)
        assert len(message) == 10 + 54 + 4000
        assert message[10 + 16 : 10 + 18] == (4040).to_bytes(2, "big")


def test_moderation_holds_the_second_message_until_the_timer(tmp_path: Path) -> None:
    """EITR[1] of 4 ms: two batches at once are two messages, the second by the timers' thread."""
    with running(tmp_path) as guest:
        guest.enable()
        guest.client.write(0, NIC["EITR"].at(1), (15_625).to_bytes(4, "little"))

        guest.send(0, FRAME)
        guest.send(1, FRAME)

        assert guest.interrupted(1)
        assert guest.interrupted(1) or guest.engine.account().interrupts == 1
        assert guest.engine.account().frames_sent == 2


def test_the_line_is_signalled_again_when_it_is_unmasked(tmp_path: Path) -> None:
    """INTx is level: an unmask while the cause is still there signals once more."""
    with running(tmp_path) as guest:
        line = os.eventfd(0, os.EFD_NONBLOCK)
        guest.client.enable_irqs(PciIrq.INTX, [line])
        guest.engine.set_interrupt_mode(InterruptMode.INTX)
        guest.write("IMS", 4)

        guest.write("ICS", 4)
        guest.read("STATUS")
        first = os.eventfd_read(line)
        guest.client.unmask_irq(PciIrq.INTX)
        second = os.eventfd_read(line)
        cause = guest.read("ICR")
        guest.client.unmask_irq(PciIrq.INTX)

        assert (first, second, cause & 4) == (1, 1, 4)
        with pytest.raises(BlockingIOError):
            os.eventfd_read(line)
        os.close(line)


def test_memory_that_the_client_cut_short_costs_a_frame_and_no_more(tmp_path: Path) -> None:
    """A SIGBUS in the transmitter and in the receiver: counted, survived."""
    with running(tmp_path) as guest:
        guest.enable()
        os.ftruncate(guest.memfd, 0x2000)

        descriptor = LegacyTx(IOVA + TX_DATA, 64, 4, TxCommand.EOP | TxCommand.IFCS | TxCommand.IC)
        guest.put(TX_RING, descriptor.emit())
        guest.write("TDT0", 1)
        guest.far.send(FRAME)
        head = guest.read("TDH0")
        for _ in range(PATIENCE_S * 1000):
            if guest.engine.account().sigbus == 2:
                break
            threading.Event().wait(0.001)
        os.ftruncate(guest.memfd, RAM_BYTES)
        guest.send(1, FRAME)

        assert head == 1
        assert guest.engine.account().sigbus == 2
        assert guest.far.recv(4096) == FRAME


def test_unmapping_in_the_middle_of_traffic_faults_and_harms_nobody(tmp_path: Path) -> None:
    """Frames pour in while the memory under the rings comes and goes."""
    with running(tmp_path) as guest:
        guest.enable()
        over = threading.Event()

        def pour() -> None:
            guest.far.setblocking(False)  # noqa: FBT003 - no keyword
            while not over.is_set():
                try:
                    guest.far.send(FRAME)
                except BlockingIOError:
                    over.wait(0.0005)

        sender = threading.Thread(target=pour)
        sender.start()
        for n in range(200):
            guest.client.unmap_dma(IOVA, RAM_BYTES)
            guest.write("TDT0", n % COUNT)
            guest.write("RDT0", (guest.read("RDH0") - 1) % COUNT)
            guest.client.map_dma(IOVA, guest.ram, fd=guest.memfd)
            guest.write("RDT0", (guest.read("RDH0") - 1) % COUNT)
        over.set()
        sender.join(PATIENCE_S)

        assert guest.engine.account().faults > 0
        assert guest.read("TDH0") < COUNT


def test_memory_without_a_descriptor_is_reached_by_messages(tmp_path: Path) -> None:
    """The doorbell goes to Python then, and later messages keep their order."""
    with running(tmp_path) as guest:
        guest.enable()
        guest.client.unmap_dma(IOVA, RAM_BYTES)
        guest.client.map_dma(IOVA, guest.ram)
        guest.card.asked.clear()

        guest.send(0, FRAME)
        head = guest.read("TDH0")

        assert guest.far.recv(4096) == FRAME
        assert head == 1
        assert NIC["TDT0"].offset in guest.card.asked


def test_only_registers_of_the_data_path_are_answered_in_c(tmp_path: Path) -> None:
    """CTRL, odd widths and odd places go to Python."""
    with running(tmp_path) as guest:
        guest.card.asked.clear()

        guest.read("RCTL")
        guest.read("CTRL")
        guest.client.read(0, NIC["RCTL"].offset, 2)
        guest.client.read(0, NIC["RCTL"].offset + 4, 8)

        assert NIC["CTRL"].owner is Owner.CARD
        assert guest.card.asked == [0x0000, 0x0100, 0x0104]


@pytest.mark.parametrize("cut", [1, 8, 15, 17, 30])
def test_a_message_cut_in_the_middle_is_the_end(cut: int) -> None:
    """The transport says that the other side has gone."""
    near, far = socket.socketpair()
    transport = NativeTransport(NativeEngine(), near)
    whole = command(1, Command.REGION_READ, RegionAccess(0, 0, 4).emit())

    far.send(whole[:cut])
    far.close()

    assert transport.receive() is None
    transport.close()


@pytest.mark.parametrize("size", [0, 15, 0xFFFF_FFFF])
def test_a_length_that_no_message_has_breaks_the_connection(size: int) -> None:
    """Neither less than a header nor more than the largest transfer."""
    near, far = socket.socketpair()
    transport = NativeTransport(NativeEngine(), near)

    far.send(struct.pack("<HHIII", 1, Command.REGION_READ, size, 0, 0))

    with pytest.raises(TransportError):
        transport.receive()
    transport.close()
    far.close()


def fds_of(numbers: Sequence[int]) -> set[int]:
    """Return which of the numbers are open."""
    return {n for n in numbers if os.path.exists(f"/proc/self/fd/{n}")}  # noqa: PTH110 - a number, not a path of the user's


def test_too_many_descriptors_break_the_connection_and_leak_none() -> None:
    """16 is the most; the kernel cuts off the rest, and ours are closed."""
    near, far = socket.socketpair()
    transport = NativeTransport(NativeEngine(), near)
    gc.collect()  # descriptors of others' garbage are not to be closed in between
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the count alone is wanted
    message = command(1, Command.DEVICE_RESET)

    socket.send_fds(far, [message], [far.fileno()] * 40)

    with pytest.raises(TransportError):
        transport.receive()
    transport.close()
    assert len(os.listdir("/proc/self/fd")) == before - 1  # noqa: PTH208 - the socket's alone
    far.close()


def test_descriptors_come_with_the_message_that_they_were_sent_with() -> None:
    """Several messages in one read: the second one's descriptor is the second one's."""
    near, far = socket.socketpair()
    transport = NativeTransport(NativeEngine(), near)
    plain = command(1, Command.DEVICE_RESET)
    laden = command(2, Command.DMA_MAP, bytes(32))

    far.send(plain)
    socket.send_fds(far, [laden], [far.fileno()])
    far.send(plain)
    got = [transport.receive() for _ in range(3)]

    assert [len(one.fds) for one in got if one is not None] == [0, 1, 0]
    for one in got:
        for fd in one.fds if one else ():
            os.close(fd)
    transport.close()
    far.close()
