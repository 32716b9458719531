"""The socket's thread works in turns: what doorbells caused is announced at the end of one (csrc/pump.c)."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from device.regs.nic import NIC
from device.rings.transmit import LegacyTx, TxCommand
from device.vfio_user.messages import RegionAccess, command
from device.vfio_user.protocol import Command
from tests.support.attached_card import COUNT, FRAME, IOVA, TX_DATA, TX_RING, Framing, running

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.attached_card import Guest

TX_VECTOR, RX_VECTOR = 1, 0
MOST_OWING = 64
"""csrc/tx.c: so many batches may wait for one message."""


def write_message(name: str, value: int) -> bytes:
    """Return a posted write of a register, as QEMU sends it."""
    access = RegionAccess(NIC[name].offset, 0, 4, value.to_bytes(4, "little"))
    return command(1, Command.REGION_WRITE, access.emit(), reply=False)


def fill_ring(guest: Guest) -> None:
    """Post a frame in every descriptor."""
    guest.put(TX_DATA, FRAME)
    flags = TxCommand.EOP | TxCommand.IFCS | TxCommand.RS
    for n in range(COUNT):
        guest.put(TX_RING + 16 * n, LegacyTx(IOVA + TX_DATA, len(FRAME), command=flags).emit())


def doorbells(count: int) -> bytes:
    """Return doorbells for one frame each, in one piece."""
    return b"".join(write_message("TDT0", (n + 1) % COUNT) for n in range(count))


def frames(guest: Guest) -> tuple[int, int]:
    """Return how many were sent and received so far."""
    account = guest.engine.account()
    return account.frames_sent, account.frames_received


def test_doorbells_that_came_together_make_one_message(tmp_path: Path) -> None:
    """Five frames leave one after the other, and the guest is interrupted once."""
    with running(tmp_path) as guest:
        guest.enable()
        fill_ring(guest)

        guest.connection.sendall(doorbells(5))
        arrived = [guest.far.recv(4096) for _ in range(5)]

        assert arrived == [FRAME] * 5
        assert guest.interrupted(TX_VECTOR)
        assert guest.read("TDH0") == 5
        assert guest.engine.account().interrupts == 1


def test_a_message_does_not_wait_for_ever_longer_turns(tmp_path: Path) -> None:
    """Of 200 doorbells in one piece, each 64 are announced, and the rest at the end."""
    with running(tmp_path, Framing.NONE) as guest:
        guest.enable()
        fill_ring(guest)

        guest.connection.sendall(doorbells(200))

        assert guest.read("TDH0") == 200 % COUNT
        assert guest.engine.account().tx_descriptors == 200
        assert guest.engine.account().interrupts >= 200 // MOST_OWING + 1


def test_a_read_sees_what_the_doorbells_before_it_caused(tmp_path: Path) -> None:
    """ICR is read in the same turn, before its end: TXDW is there, and with it the message."""
    with running(tmp_path) as guest:
        guest.enable()
        guest.client.write(0, NIC["EIAC"].offset, bytes(4))
        fill_ring(guest)

        guest.connection.sendall(doorbells(3))
        causes = guest.read("ICR")

        assert causes & NIC["ICR"]["TXDW"].mask
        assert guest.interrupted(TX_VECTOR)


def test_a_write_of_a_mask_does_not_overtake_the_doorbells_before_it(tmp_path: Path) -> None:
    """IMC right behind the doorbells: the message left before the mask was cleared."""
    with running(tmp_path) as guest:
        guest.enable()
        fill_ring(guest)

        guest.connection.sendall(doorbells(3) + write_message("IMC", 0xFFFFFFFF))

        assert guest.interrupted(TX_VECTOR)
        assert guest.read("IMS") == 0


def test_a_frame_that_came_in_meanwhile_does_not_swallow_the_message(tmp_path: Path) -> None:
    """Who was told of a received frame is told of its own frame, too, though it says nothing more."""
    with running(tmp_path, spin_us=None) as guest:
        guest.enable()

        told = []
        for n in range(COUNT - 1):
            guest.far.send(FRAME)
            guest.send(n, FRAME)
            told.append((guest.interrupted(TX_VECTOR), guest.interrupted(RX_VECTOR)))
            guest.far.recv(4096)

        assert told == [(True, True)] * (COUNT - 1)


def test_traffic_both_ways_loses_nothing_while_the_threads_rest(tmp_path: Path) -> None:
    """2,000 frames each way, four on their way at once: rests only make larger batches of them."""
    many = 2000
    with running(tmp_path, spin_us=None) as guest:
        guest.enable()
        fill_ring(guest)
        arrived: list[bytes] = []
        reader = threading.Thread(target=lambda: arrived.extend(guest.far.recv(4096) for _ in range(many)))
        reader.start()

        for n in range(many):
            guest.connection.sendall(write_message("TDT0", (n + 1) % COUNT))
            guest.far.send(FRAME)
            if n % 4 == 3:
                while min(moved := frames(guest)) <= n:
                    guest.write("RDT0", (moved[1] + COUNT - 1) % COUNT)
                    guest.read("STATUS")
        reader.join()

        assert arrived == [FRAME] * many
        assert frames(guest) == (many, many)


def test_a_client_that_waits_for_its_writes_is_never_made_to_wait_for_a_rest(tmp_path: Path) -> None:
    """Writes with an answer, as of a client with mapped registers: each comes after the last one's answer."""
    with running(tmp_path, spin_us=None) as guest:
        guest.enable()
        fill_ring(guest)

        for n in range(COUNT * 8):
            guest.client.write(0, NIC["TDT0"].offset, ((n + 1) % COUNT).to_bytes(4, "little"))
            guest.far.recv(4096)

        assert guest.engine.account().frames_sent == COUNT * 8
        assert os.eventfd_read(guest.eventfds[TX_VECTOR]) > 0
