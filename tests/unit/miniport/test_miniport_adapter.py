"""The miniport between NDIS and a card: both generations, both modes, both engines, each way of signalling.

The verifier watches every test; what it reports fails it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

from device.engine.native import NativeEngine
from device.engine.reference import ReferenceEngine
from device.regs.nic import NIC
from lab.host.inprocess_stack import LocalStack
from lab.host.ndis_rigs import ISR_REGISTERS
from miniport.adapter import Adapter
from miniport.adapter6 import Adapter6
from miniport.hal.pci import Signalling
from ndis.errors import NdisError
from ndis.filter8023 import PacketFilter
from ndis.hardware import Fault
from ndis.nbl import NetBuffer, NetBufferList
from ndis.offload import Checksum, Offload, PacketChecksum
from ndis.oids import Oid, PowerState
from ndis.packet import Buffer, Packet, PacketInfo
from ndis.status import Status
from ndis.suite.bench import Recorder
from ndis.verifier.core import Verifier
from tests.support.miniport_frames import OURS, THEIRS, ipv4_tcp, plain, tcp_is_right, to_us

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from miniport.hal.inprocess import EngineFactory

SMALL = {"*TransmitBuffers": 16, "*ReceiveBuffers": 16, "ReceiveSpares": 4}
KINDS = [((5, 1), False), ((5, 1), True), ((6, 0), True)]
NAMES = ["serialized", "deserialized", "ndis6"]
ON = Offload(
    v4_transmit=Checksum.TCP | Checksum.UDP | Checksum.IP | Checksum.TCP_OPTIONS | Checksum.IP_OPTIONS,
    v4_receive=Checksum.TCP | Checksum.UDP | Checksum.IP,
    large_send_bytes=0xFE00,
    large_send_segments=2,
)


def offload_on(stack: LocalStack) -> None:
    """Switch task offload on, in the driver and in what NDIS knows of it."""
    assert stack.set(Oid.TCP_TASK_OFFLOAD, ON.emit()).status is Status.SUCCESS
    stack.adapter.offload = ON


class Bench:
    """Makes stacks with a verifier, and looks at its reports when the test ends."""

    def __init__(self, version: tuple[int, int], *, deserialized: bool, engine: EngineFactory) -> None:
        self.version = version
        self.deserialized = deserialized
        self.engine = engine
        self.verifiers: list[Verifier] = []

    def stack(self, client: Recorder | None = None, **settings: Any) -> LocalStack:  # noqa: ANN401 - the registry holds anything
        """Make a stack; keywords ``mode`` and ``inject`` are its own, others the registry's."""
        verifier = Verifier(isr_registers=ISR_REGISTERS)
        self.verifiers.append(verifier)
        mode = settings.pop("mode", Signalling.MSIX)
        inject = settings.pop("inject", None)
        extra = settings.pop("registry", {})
        return LocalStack(
            engine=self.engine,
            mode=mode,
            version=self.version,
            configuration={"Deserialized": self.deserialized, **SMALL, **settings, **extra},
            client=client,
            observer=verifier,
            inject=inject,
        )


@pytest.fixture(params=KINDS, ids=NAMES)
def kind(request: pytest.FixtureRequest) -> tuple[tuple[int, int], bool]:
    """One of the three kinds of driver that the miniport is."""
    version, deserialized = request.param
    return version, deserialized


@pytest.fixture(params=[ReferenceEngine, NativeEngine], ids=["reference", "native"])
def bench(request: pytest.FixtureRequest, kind: tuple[tuple[int, int], bool]) -> Iterator[Bench]:
    """Stacks of one kind over one engine."""
    made = Bench(kind[0], deserialized=kind[1], engine=request.param)
    yield made
    reports = [report for verifier in made.verifiers for report in verifier.reports]
    assert reports == []


@pytest.mark.parametrize("mode", list(Signalling), ids=lambda m: m.value)
def test_more_frames_than_descriptors_leave_in_order_and_all_come_back(
    bench: Bench, mode: Signalling
) -> None:
    """Fifty frames through a ring of sixteen, whatever signals."""
    stack = bench.stack(mode=mode)
    frames = [plain(n, 60 + 29 * n) for n in range(50)]

    packets = stack.send(*frames)
    wire = stack.settle()

    assert wire == frames
    assert stack.recorder.sent == [(packet, Status.SUCCESS) for packet in packets]


@pytest.mark.parametrize("mode", list(Signalling), ids=lambda m: m.value)
def test_received_frames_reach_the_transport_unchanged_and_in_order(bench: Bench, mode: Signalling) -> None:
    """Every second frame takes another way than the one before: bursts and single ones."""
    stack = bench.stack(mode=mode)
    frames = [to_us(n, 60 + 36 * n) for n in range(40)]

    for n, one in enumerate(frames):
        assert stack.bus.receive(one)
        if n % 3 == 2:
            stack.settle()
    stack.settle()

    assert stack.recorder.received == frames


def test_a_transport_that_keeps_packets_starves_only_the_spares(bench: Bench) -> None:
    """When none is left packets come with RESOURCES, are copied, and nothing is lost."""
    recorder = Recorder(keep=1)
    stack = bench.stack(client=recorder)

    for n in range(40):
        stack.bus.receive(to_us(n))
        stack.settle()
    held = len(recorder.held)
    stack.open.return_packets(recorder.held)
    stack.settle()

    assert held == SMALL["ReceiveSpares"]
    assert [f[14:18] for f in recorder.received] == [n.to_bytes(4, "big") for n in range(40)]
    stack.halt()


def test_legacy_descriptors_carry_the_same_frames(bench: Bench) -> None:
    """The older format, both directions."""
    stack = bench.stack(LegacyDescriptors=True)
    frames = [plain(n, 60 + 70 * n) for n in range(20)]

    stack.send(*frames)
    wire = stack.settle()
    stack.bus.receive(to_us(1))
    stack.settle()

    assert (wire, stack.recorder.received) == (frames, [to_us(1)])


def test_jumbo_frames_use_several_descriptors_each_way(bench: Bench) -> None:
    """9,000 bytes of payload, five buffers."""
    stack = bench.stack(registry={"*JumboPacket": 9014})
    out, back = plain(1, 9014), to_us(2, 9014)

    stack.send(out)
    wire = stack.settle()
    stack.bus.receive(back)
    stack.settle()

    assert (wire, stack.recorder.received) == ([out], [back])


def test_a_frame_that_is_too_long_fails_and_the_next_one_goes(bench: Bench) -> None:
    """Without jumbo frames 1,515 bytes are refused."""
    stack = bench.stack()

    stack.send(plain(1, 1515), plain(2))
    wire = stack.settle()

    assert wire == [plain(2)]
    assert {status for _, status in stack.recorder.sent} == {Status.INVALID_LENGTH, Status.SUCCESS}


def test_a_large_send_leaves_as_right_segments(bench: Bench) -> None:
    """The card cuts 20,000 bytes at 1,460 and sums each piece; completion says how much was payload."""
    stack = bench.stack(registry={"*TransmitBuffers": 64})
    offload_on(stack)
    payload = bytes(n & 0xFF for n in range(20_000))
    frame = ipv4_tcp(payload, length_in_sum=False)

    (packet,) = stack.send(frame, info={PacketInfo.TCP_LARGE_SEND: 1460})
    wire = stack.settle()

    assert b"".join(segment[54:] for segment in wire) == payload
    assert [len(segment) for segment in wire] == [1514] * 13 + [54 + 20_000 - 13 * 1460]
    assert all(tcp_is_right(segment) for segment in wire)
    assert stack.recorder.sent == [(packet, Status.SUCCESS)]
    if bench.version < (6, 0):
        assert packet.info[PacketInfo.TCP_LARGE_SEND] == 20_000


def test_checksums_are_summed_by_the_card_and_the_context_is_sent_once(bench: Bench) -> None:
    """Ten segments of one layout need one context descriptor."""
    stack = bench.stack()
    offload_on(stack)
    asked = PacketChecksum.TX_V4 | PacketChecksum.TX_TCP | PacketChecksum.TX_IP
    frames = [ipv4_tcp(bytes([n]) * 100) for n in range(10)]

    stack.send(*frames, info={PacketInfo.TCP_IP_CHECKSUM: asked})
    wire = stack.settle()

    assert len(wire) == 10
    assert all(tcp_is_right(frame) for frame in wire)
    if isinstance(stack.bus.card.engine, ReferenceEngine):
        assert stack.bus.card.account.descriptors == 11


def test_received_checksums_are_reported_when_the_transport_wants_them(bench: Bench) -> None:
    """A good segment and one with a flipped bit."""
    seen: list[Any] = []

    class Looking(Recorder):
        """A transport that reads per-packet information."""

        def receive_packet(self, packet: Packet) -> int:
            """ProtocolReceivePacket."""
            seen.append(packet.info.get(PacketInfo.TCP_IP_CHECKSUM))
            return super().receive_packet(packet)

    sender = LocalStack()
    offload_on(sender)
    asked = PacketChecksum.TX_V4 | PacketChecksum.TX_TCP | PacketChecksum.TX_IP
    sender.send(ipv4_tcp(b"x" * 100), info={PacketInfo.TCP_IP_CHECKSUM: asked})
    (sent,) = sender.settle()
    good = OURS + sent[6:]
    bad = good[:-1] + b"y"
    stack = bench.stack(client=Looking())
    offload_on(stack)

    for one in (good, bad):
        stack.bus.receive(one)
        stack.settle()

    ip = PacketChecksum.RX_IP_SUCCEEDED
    assert seen == [ip | PacketChecksum.RX_TCP_SUCCEEDED, ip | PacketChecksum.RX_TCP_FAILED]


def test_tags_are_inserted_and_stripped_by_the_card(bench: Bench) -> None:
    """With VLAN on, the tag travels beside the frame."""
    tags: list[Any] = []

    class Looking(Recorder):
        """A transport that reads tags."""

        def receive_packet(self, packet: Packet) -> int:
            """ProtocolReceivePacket."""
            tags.append(packet.info.get(PacketInfo.IEEE_8021Q))
            return super().receive_packet(packet)

    stack = bench.stack(client=Looking(), registry={"*PriorityVLANTag": True})
    tagged = to_us(1)[:12] + bytes.fromhex("81000123") + to_us(1)[12:]

    stack.send(plain(1), info={PacketInfo.IEEE_8021Q: 0x0123})
    wire = stack.settle()
    stack.bus.receive(tagged)
    stack.settle()

    assert wire == [plain(1)[:12] + bytes.fromhex("81000123") + plain(1)[12:]]
    assert (stack.recorder.received, tags) == ([to_us(1)], [0x0123])


def test_two_transmit_queues_keep_each_flows_order(bench: Bench) -> None:
    """Flows are spread by a hash; within one, nothing overtakes."""
    stack = bench.stack(TransmitQueues=2)
    bench.verifiers.clear()  # V03 asks for the order of a whole binding: with two rings only flows have one
    flows = [[ipv4_tcp(bytes([n]) * 20, port=port) for n in range(20)] for port in (1001, 1002, 1003, 1004)]
    mixed = [flow[n] for n in range(20) for flow in flows]

    stack.send(*mixed)
    wire = stack.settle()

    assert sorted(wire) == sorted(mixed)
    for flow in flows:
        assert [frame for frame in wire if frame[34:36] == flow[0][34:36]] == flow


def test_receive_scaling_spreads_flows_over_both_rings_and_keeps_their_order(bench: Bench) -> None:
    """Two rings are filled; every flow arrives in order."""
    stack = bench.stack(registry={"*NumRssQueues": 2})
    driver = stack.adapter.driver
    assert isinstance(driver, Adapter | Adapter6)
    rings = driver.nic.receive
    used: set[int] = set()
    flows = [[ipv4_tcp(bytes([n]) * 20, port=port, to=OURS) for n in range(8)] for port in range(2000, 2008)]

    for n in range(8):
        for flow in flows:
            stack.bus.receive(flow[n])
            used |= {queue for queue, ring in enumerate(rings) if ring.has_done}
            stack.settle()

    assert used == {0, 1}
    for flow in flows:
        assert [f for f in stack.recorder.received if f[34:36] == flow[0][34:36]] == flow


def test_frames_outside_of_the_packet_filter_are_not_indicated(bench: Bench) -> None:
    """Directed only: no broadcast, no group, no stranger; and groups that only the hash lets through."""
    stack = bench.stack()
    stack.set(
        Oid.GEN_CURRENT_PACKET_FILTER, struct.pack("<I", PacketFilter.DIRECTED | PacketFilter.MULTICAST)
    )
    groups = [bytes.fromhex("01005e0000") + bytes([n]) for n in range(20)]
    stack.set(Oid.O802_3_MULTICAST_LIST, b"".join(groups))

    for to in (OURS, b"\xff" * 6, THEIRS, groups[0], groups[19], bytes.fromhex("01005e0000ee")):
        stack.bus.receive(to + to_us(0)[6:])
        stack.settle()

    assert [f[:6] for f in stack.recorder.received] == [OURS, groups[0], groups[19]]


def test_a_reset_aborts_what_the_card_had_and_traffic_goes_on(bench: Bench) -> None:
    """Filters come back by AddressingReset; the card works again."""
    stack = bench.stack()
    stack.bus.card.set_carrier(present=False)
    stack.bus.card.set_carrier(present=True)  # negotiation takes time: what is posted meanwhile stays
    packets = stack.send(*[plain(n) for n in range(3)])

    stack.open.reset()
    stack.settle()
    stack.clock.advance(5_000_000_000)
    stack.settle()
    stack.send(plain(9))
    wire = stack.settle()
    stack.bus.receive(to_us(9))
    stack.settle()

    assert "reset_complete SUCCESS" in stack.recorder.log
    assert [packet for packet, _ in stack.recorder.sent[:3]] == packets
    assert wire[-1:] == [plain(9)]
    assert stack.recorder.received[-1:] == [to_us(9)]


def test_a_hung_transmitter_is_found_and_reset(bench: Bench) -> None:
    """Mastering is taken away behind the driver's back: the ring stands, CheckForHang says so."""
    stack = bench.stack()
    command = int.from_bytes(stack.bus.read_config(4, 2), "little")
    stack.bus.write_config(4, (command & ~4).to_bytes(2, "little"))

    stack.send(plain(1))
    stack.settle()
    stack.clock.advance(6_500_000_000)
    stack.bus.write_config(4, command.to_bytes(2, "little"))
    stack.settle()
    stack.send(plain(2))
    wire = stack.settle()

    assert Status.RESET_START in stack.recorder.statuses
    assert [status for _, status in stack.recorder.sent] == [Status.REQUEST_ABORTED, Status.SUCCESS]
    assert wire == [plain(2)]


def test_the_link_is_told_when_it_goes_and_comes_once_each(bench: Bench) -> None:
    """LSC interrupts; sends without a link fail at once."""
    stack = bench.stack()

    stack.bus.card.set_carrier(present=False)
    stack.settle()
    stack.send(plain(1))
    stack.settle()
    stack.bus.card.set_carrier(present=True)
    stack.bus.stall(3_000_000)
    stack.settle()
    stack.send(plain(2))
    wire = stack.settle()

    assert stack.recorder.statuses == [Status.MEDIA_DISCONNECT, Status.MEDIA_CONNECT]
    assert [status for _, status in stack.recorder.sent] == [Status.MEDIA_DISCONNECTED, Status.SUCCESS]
    assert wire == [plain(2)]


def test_moderation_bundles_interrupts(bench: Bench) -> None:
    """With a millisecond between them, twenty frames cost few interrupts and none is lost."""
    ring = {"*ReceiveBuffers": 64}
    quick, slow = bench.stack(registry=ring), bench.stack(InterruptModerationUs=1000, registry=ring)
    spent = []
    for stack in (quick, slow):
        before = stack.bus.card.account.interrupts
        for n in range(20):
            stack.bus.receive(to_us(n))
            stack.clock.advance(20_000)
        stack.clock.advance(5_000_000)
        spent.append(stack.bus.card.account.interrupts - before)

    assert [len(stack.recorder.received) for stack in (quick, slow)] == [20, 20]
    assert spent[1] * 4 <= spent[0]


@pytest.mark.parametrize(
    "fault", [f for f in Fault if f is not Fault.REGISTER_IO_PORT_RANGE], ids=lambda f: f.name
)
def test_each_fault_at_initialize_fails_cleanly_and_the_next_load_works(bench: Bench, fault: Fault) -> None:
    """NDISTest 1c_FaultHandling: nothing leaks, which NDIS itself checks."""
    with pytest.raises(NdisError):
        bench.stack(inject=fault)
    stack = bench.stack()

    stack.send(plain(1))

    assert stack.settle() == [plain(1)]


def test_after_halt_nothing_is_held_and_the_card_is_silent(bench: Bench) -> None:
    """Memory, interrupts and maps are given back; a frame on the cable does nothing."""
    stack = bench.stack()
    stack.send(plain(1))
    stack.settle()

    stack.halt()
    stored = stack.bus.receive(to_us(1))

    assert (stack.adapter.resources.held, stack.bus.memory.blocks, stored) == ([], [], False)


def test_sleep_and_wake_up_keep_the_settings(bench: Bench) -> None:
    """D3 with magic packet armed, back to D0: filters and rings as before."""
    stack = bench.stack()
    stack.set(Oid.PNP_ENABLE_WAKE_UP, struct.pack("<I", 1))

    asleep = stack.set(Oid.PNP_SET_POWER, struct.pack("<I", PowerState.D3)).status
    state = stack.bus.card.function.power_state
    armed = (
        stack.bus.card.engine.peek(NIC["WUFC"].offset),
        bool(int.from_bytes(stack.bus.read_config(0xCC, 2), "little") & 1 << 8),
    )
    awake = stack.set(Oid.PNP_SET_POWER, struct.pack("<I", PowerState.D0)).status
    stack.bus.stall(3_000_000)
    stack.settle()
    stack.send(plain(1))
    wire = stack.settle()
    stack.bus.receive(to_us(1))
    stack.settle()

    assert (asleep, state, awake) == (Status.SUCCESS, 3, Status.SUCCESS)
    assert armed == (NIC["WUFC"]["MAG"].mask, True)
    assert (wire, stack.recorder.received) == ([plain(1)], [to_us(1)])


def test_counters_add_up_though_the_cards_clear_when_read(bench: Bench) -> None:
    """Asked twice, XMIT_OK and RCV_OK say the same."""
    stack = bench.stack()
    stack.send(*[plain(n) for n in range(5)])
    stack.settle()
    for n in range(7):
        stack.bus.receive(to_us(n))
    stack.settle()

    answers = [
        int.from_bytes(stack.query(oid, 4).buffer.answer, "little")
        for oid in (Oid.GEN_XMIT_OK, Oid.GEN_RCV_OK, Oid.GEN_XMIT_OK, Oid.GEN_RCV_OK)
    ]

    assert answers == [5, 7, 5, 7]


def test_a_card_that_is_not_ours_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vendor and device id are looked at before anything is touched."""
    monkeypatch.setattr("miniport.nic.VENDOR_DEVICE", b"\x86\x80\x00\x00")

    with pytest.raises(NdisError) as refused:
        bench.stack()

    assert refused.value.status is Status.ADAPTER_NOT_FOUND


def test_a_list_of_several_frames_is_completed_once_when_all_are_sent() -> None:
    """NDIS 6: a NET_BUFFER_LIST with five NET_BUFFERs, each with space before its data."""
    bench = Bench((6, 0), deserialized=True, engine=ReferenceEngine)

    class Lists(Recorder):
        """A transport of NDIS 6."""

        def __init__(self) -> None:
            super().__init__()
            self.completed: list[Any] = []

        def send_net_buffer_lists_complete(self, nbls: Sequence[NetBufferList]) -> None:
            """ProtocolSendNetBufferListsComplete."""
            self.completed += nbls

    client = Lists()
    stack = bench.stack(client=client)
    frames = [plain(n, 60 + n) for n in range(5)]
    nbl = NetBufferList(NetBuffer([Buffer(b"space" + frame)], 5) for frame in frames)

    stack.open.send_net_buffer_lists([nbl])
    wire = stack.settle()

    assert wire == frames
    assert client.completed == [nbl]
    assert nbl.status is Status.SUCCESS
    assert bench.verifiers[0].reports == []
