"""Indications: references, RESOURCES, lookahead with TransferData, NDIS's own loopback, filters."""

from __future__ import annotations

from typing import TYPE_CHECKING

# ruff: noqa: D102, ARG002 - doubles implement handlers that the contract documents
import pytest

from ndis.errors import NdisError
from ndis.filter8023 import BROADCAST, EthFilter, PacketFilter
from ndis.oids import MacOption, Oid, ProtocolOption
from ndis.packet import Buffer, Owner, Packet
from ndis.protocol import BindingClient
from ndis.samples.scripted import ADDRESS, FreeScript, Script
from ndis.status import Status
from ndis.suite.bench import Machine, Recorder, Transport, frame
from ntos.errors import BugCheckError

if TYPE_CHECKING:
    from ndis.open import Open

GROUP = bytes.fromhex("01005e000001")


def indicate(machine: Machine, *frames: bytes, status: Status = Status.SUCCESS) -> list[Packet]:
    """Indicate an array from a pool of the driver's."""
    pool = machine.driver.ndis.packet_pool(8)
    packets = [pool.allocate(f) for f in frames]
    for packet in packets:
        packet.status = status
    machine.driver.ndis.indicate_receive_packets(packets)
    return packets


def test_a_serialized_driver_sees_who_has_the_packet_by_its_status() -> None:
    """PENDING: protocols keep it until ReturnPacket. SUCCESS: the driver has it back."""
    keeping, copying = Machine(client=Recorder(keep=1)), Machine()

    (kept,) = indicate(keeping, frame(0, ADDRESS))
    (copied,) = indicate(copying, frame(0, ADDRESS))

    assert (kept.status, kept.owner) == (Status.PENDING, Owner.PROTOCOL)
    assert (copied.status, copied.owner) == (Status.SUCCESS, Owner.MINIPORT)
    assert (keeping.driver.returned, copying.driver.returned) == ([], [])


def test_the_last_of_all_references_brings_the_packet_home() -> None:
    """Two transports take two and one: the third return is the last."""
    machine = Machine(client=Recorder(keep=2))
    second = Recorder(keep=1)
    other = machine.ndis.bind(machine.ndis.register_protocol("second", Transport(second)), machine.adapter)
    request = machine.query(Oid.GEN_XMIT_OK)
    machine.adapter.filter.set_packet_filter(other, PacketFilter.DIRECTED)
    (packet,) = indicate(machine, frame(0, ADDRESS))

    owners = []
    for open_ in (machine.open, other, machine.open):
        open_.return_packets([packet])
        owners.append(packet.owner)

    assert owners == [Owner.PROTOCOL, Owner.PROTOCOL, Owner.MINIPORT]
    assert machine.driver.returned == [packet]
    assert request.status is Status.SUCCESS


def test_a_return_from_inside_the_indication_counts() -> None:
    """The transport takes one reference and returns it before ReceivePacket ends."""

    class Quick(Recorder):
        machine: Machine

        def receive_packet(self, packet: Packet) -> int:
            self.machine.open.return_packets([packet])
            return 1

    quick = Quick()
    machine = quick.machine = Machine(client=quick)

    (packet,) = indicate(machine, frame(0, ADDRESS))

    assert (packet.owner, packet.status) == (Owner.MINIPORT, Status.SUCCESS)


def test_resources_covers_every_later_packet_and_nobody_may_keep_them() -> None:
    """Statuses of later packets do not matter, as in the sending direction."""
    machine = Machine(client=Recorder(keep=1))
    pool = machine.driver.ndis.packet_pool(3)
    packets = [pool.allocate(frame(n, ADDRESS)) for n in range(3)]
    packets[1].status = Status.RESOURCES

    machine.driver.ndis.indicate_receive_packets(packets)

    assert machine.recorder.held == packets[:1]
    owners = [Owner.PROTOCOL, Owner.MINIPORT, Owner.MINIPORT]
    assert [p.owner for p in packets] == owners
    assert len(machine.recorder.received) == 3


def test_a_deserialized_driver_gets_every_packet_by_return_packet() -> None:
    """Also those whose count never rose; but not those indicated with RESOURCES."""
    machine = Machine(FreeScript)

    packets = indicate(machine, frame(0, ADDRESS), frame(1, ADDRESS))
    indicate(machine, frame(2, ADDRESS), status=Status.RESOURCES)

    assert machine.driver.returned == packets


def test_a_return_too_many_stops_the_machine() -> None:
    """Nobody has the packet any more."""
    machine = Machine(client=Recorder(keep=1))
    (packet,) = indicate(machine, frame(0, ADDRESS))
    machine.open.return_packets([packet])

    with pytest.raises(BugCheckError, match="no protocol has it"):
        machine.open.return_packets([packet])


def test_receive_complete_follows_the_array_once() -> None:
    """And only if something was wanted."""
    machine = Machine()

    indicate(machine, frame(0, ADDRESS), frame(1, ADDRESS))
    indicate(machine, frame(2, b"\x02\0\0\0\0\x77"))

    assert machine.recorder.log == ["receive_complete"]


class Looker(BindingClient):
    """A transport of the lookahead kind that transfers all it has not seen."""

    def __init__(self) -> None:
        self.open: Open | None = None
        self.seen: list[tuple[bytes, bytes, int]] = []
        self.payloads: list[bytes] = []

    def receive(self, context: object, header: bytes, lookahead: bytes, packet_size: int) -> Status:
        assert self.open is not None
        self.seen.append((header, lookahead, packet_size))
        packet = Packet()
        packet.owner = Owner.PROTOCOL
        rest = packet_size - len(lookahead)
        packet.chain_buffer_at_back(Buffer(bytearray(rest // 2)))
        packet.chain_buffer_at_back(Buffer(bytearray(rest - rest // 2)))
        status, copied = self.open.transfer_data(context, len(lookahead), rest, packet)
        self.payloads.append(lookahead + packet.data[:copied])
        return status


def test_transfer_data_gets_what_lies_behind_the_lookahead() -> None:
    """NDIS 3 style: header and lookahead first, the rest on demand, by the driver."""

    class Old(Script):
        rest = bytes(range(200))

        def transfer_data(
            self, packet: Packet, context: object, offset: int, length: int
        ) -> tuple[Status, int]:
            done = 0
            for buffer in packet.buffers:
                part = self.rest[offset + done : offset + length][: buffer.length]
                buffer.view[: len(part)] = part
                done += len(part)
            return Status.SUCCESS, done

    looker = Looker()
    machine = Machine(Old, client=looker)
    looker.open = machine.open
    header = ADDRESS + ADDRESS + b"\x08\0"

    machine.driver.ndis.eth_indicate_receive("context", header, Old.rest[:64], 200)
    machine.driver.ndis.eth_indicate_receive_complete()

    assert looker.seen == [(header, Old.rest[:64], 200)]
    assert looker.payloads == [Old.rest]


def test_a_lookahead_transport_gets_whole_packets_by_ndis() -> None:
    """NDIS itself serves TransferData from a packet that the driver indicated."""
    looker = Looker()
    machine = Machine(client=looker)
    looker.open = machine.open
    data = frame(0, ADDRESS, 500)

    (packet,) = indicate(machine, data)

    assert looker.seen[0][2] == 486
    assert looker.payloads == [data[14:]]
    assert packet.owner is Owner.MINIPORT


class Deaf(Script):
    """A card that cannot hear itself: NDIS loops back."""

    def __init__(self, ndis: object) -> None:
        super().__init__(ndis)  # type: ignore[arg-type]  # passed through
        self.numbers[Oid.GEN_MAC_OPTIONS] = MacOption.NO_LOOPBACK


@pytest.mark.parametrize(
    ("destination", "back", "wire"),
    [(ADDRESS, 1, 0), (BROADCAST, 1, 1), (b"\x02\0\0\0\0\x77", 0, 1)],
    ids=["own", "broadcast", "other"],
)
def test_ndis_loops_back_for_a_card_that_does_not(destination: bytes, back: int, wire: int) -> None:
    """A frame to ourselves never reaches the wire; a broadcast does both."""
    machine = Machine(Deaf)

    (packet,) = machine.send(frame(0, destination))

    assert len(machine.recorder.received) == back
    assert len(machine.driver.got) == wire
    assert (packet.owner is Owner.PROTOCOL) == (not wire)


def test_a_sender_may_refuse_its_own_frames() -> None:
    """NDIS_PROT_OPTION_NO_LOOPBACK: others still hear it."""
    machine = Machine(Deaf)
    second = Recorder()
    other = machine.ndis.bind(machine.ndis.register_protocol("second", Transport(second)), machine.adapter)
    machine.adapter.filter.set_packet_filter(other, PacketFilter.BROADCAST)
    machine.set(Oid.GEN_PROTOCOL_OPTIONS, bytes([ProtocolOption.NO_LOOPBACK, 0, 0, 0]))

    machine.send(frame(0, BROADCAST))

    assert (len(machine.recorder.received), len(second.received)) == (0, 1)


@pytest.mark.parametrize(
    ("asked", "destination", "hears"),
    [
        (PacketFilter.DIRECTED, ADDRESS, True),
        (PacketFilter.DIRECTED, bytes(6), False),
        (PacketFilter.DIRECTED, BROADCAST, False),
        (PacketFilter.BROADCAST, BROADCAST, True),
        (PacketFilter.BROADCAST, GROUP, False),
        (PacketFilter.MULTICAST, GROUP, True),
        (PacketFilter.MULTICAST, b"\x01\x02\x03\x04\x05\x06", False),
        (PacketFilter.MULTICAST, BROADCAST, False),
        (PacketFilter.ALL_MULTICAST, b"\x01\x02\x03\x04\x05\x06", True),
        (PacketFilter.PROMISCUOUS, bytes(6), True),
        (PacketFilter.NONE, ADDRESS, False),
    ],
)
def test_the_filter_library_decides_by_address(
    asked: PacketFilter, destination: bytes, *, hears: bool
) -> None:
    """Each filter bit against each kind of address."""
    library = EthFilter(ADDRESS)
    library.add("a")
    library.set_multicast("a", (GROUP,))
    library.set_packet_filter("a", asked)

    assert library.wanted("a", destination) is hears
    assert library.card_accepts(destination) is hears


def test_the_union_of_lists_must_fit_the_card() -> None:
    """MULTICAST_FULL leaves everything as it was; shared addresses count once."""
    library = EthFilter(ADDRESS, list_size=2)
    library.add("a")
    library.add("b")
    library.set_multicast("a", (b"\x01aaaaa", b"\x01bbbbb"))
    library.set_multicast("b", (b"\x01bbbbb",))

    with pytest.raises(NdisError) as refusal:
        library.set_multicast("b", (b"\x01ccccc",))

    assert refusal.value.status is Status.MULTICAST_FULL
    assert library.multicast == (b"\x01aaaaa", b"\x01bbbbb")
