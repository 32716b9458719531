"""The transmit side, as drivers and the datasheet (Transmit) have it. Said of every engine."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

from device.effects import DmaFault, FrameSent, GsoType, Offload
from device.regs.nic import NIC
from device.rings.transmit import IP as CTX_IP
from device.rings.transmit import TCP as CTX_TCP
from device.rings.transmit import TSE, ContextTx, TxCommand, TxOptions
from formats.checksum import fcs
from tests.bench import SEND, TX_RING, Bench, ethernet, signals

FRAME = ethernet(bytes(range(200)))
OFFLOADED = TxOptions.IXSM | TxOptions.TXSM


def raw(packet: Packet) -> bytes:
    """Return a packet's bytes with every checksum that scapy computes."""
    return bytes(packet)


def blank(frame: bytes, *fields: int) -> bytes:
    """Return the frame with 16-bit fields zeroed."""
    out = bytearray(frame)
    for at in fields:
        out[at : at + 2] = b"\0\0"
    return bytes(out)


@pytest.mark.parametrize("kind", ["legacy", "data"])
def test_a_frame_leaves_as_it_lies_in_memory(bench: Bench, kind: str) -> None:
    """One descriptor, EOP and RS: the frame leaves, DD is written, the head moves."""
    bench.transmitter()
    bench.post(getattr(bench, kind)(FRAME))

    sent = bench.sent()

    assert sent == [FRAME]
    assert bench.done(0)
    assert bench.read("TDH0") == 1


def test_only_descriptors_with_rs_are_written_back(bench: Bench) -> None:
    """RS asks for the report (datasheet, Transmit)."""
    bench.transmitter()
    bench.post(bench.legacy(FRAME, SEND & ~TxCommand.RS), bench.legacy(FRAME))

    bench.sent()

    assert [bench.done(0), bench.done(1)] == [False, True]


def test_ivar_bit_31_writes_every_descriptor_back(bench: Bench) -> None:
    """Linux's e1000e sets it with MSI-X (e1000_configure_msix)."""
    bench.transmitter()
    bench.write("IVAR", 1 << 31)
    bench.post(bench.legacy(FRAME, SEND & ~TxCommand.RS))

    bench.sent()

    assert bench.done(0)


@pytest.mark.parametrize("pieces", [2, 3, 65, 200])
def test_a_frame_of_any_number_of_descriptors_leaves_whole(bench: Bench, pieces: int) -> None:
    """QEMU's model drops one with more than 64 fragments."""
    bench.transmitter(count=256)
    frame = ethernet(bytes(range(256)) * 4)[:1000]
    size = -(-len(frame) // pieces)
    parts = [frame[at : at + size] for at in range(0, len(frame), size)]
    bench.post(*[bench.data(part, TxCommand.IFCS) for part in parts[:-1]], bench.data(parts[-1]))

    assert bench.sent() == [frame]


def test_a_frame_may_be_spread_over_several_doorbells(bench: Bench) -> None:
    """QEMU's model loses what came before the second write of TDT."""
    bench.transmitter()
    bench.post(bench.legacy(FRAME[:100], TxCommand.IFCS))
    first = bench.sent()
    bench.post(bench.legacy(FRAME[100:]))

    assert (first, bench.sent()) == ([], [FRAME])


def test_more_frames_than_slots_wrap_the_ring(bench: Bench) -> None:
    """Ten frames, two at a time, through a ring of eight."""
    bench.transmitter(count=8)
    frames = [ethernet(bytes([number])) for number in range(10)]

    out = []
    for at in range(0, 10, 2):
        bench.post(*[bench.legacy(frame) for frame in frames[at : at + 2]])
        out += bench.sent()

    assert out == frames


def test_a_step_is_one_descriptor(bench: Bench) -> None:
    """The contract: a debugger stops between any two."""
    bench.transmitter()
    bench.post(bench.legacy(FRAME), bench.legacy(FRAME))

    steps = [bench.engine.step(), bench.read("TDH0"), bench.engine.step(), bench.engine.step()]

    assert steps == [True, 1, True, False]


@pytest.mark.parametrize("size", [14, 42, 59])
def test_short_frames_are_padded_where_psp_says_so(bench: Bench, size: int) -> None:
    """TCTL.PSP pads to 64 bytes with the FCS; QEMU's model does not."""
    bench.transmitter()
    bench.write("TCTL", NIC["TCTL"]["EN"].mask | NIC["TCTL"]["PSP"].mask)
    bench.post(bench.legacy(FRAME[:size]))

    assert bench.sent() == [FRAME[:size].ljust(60, b"\0")]


def test_short_frames_stay_short_without_psp(bench: Bench) -> None:
    """The driver pads, or sends a runt."""
    bench.transmitter()
    bench.post(bench.legacy(FRAME[:42]))

    assert bench.sent() == [FRAME[:42]]


def test_without_ifcs_the_drivers_own_fcs_is_taken_off(bench: Bench) -> None:
    """It is the frame's last four bytes; a wrong one never reaches a peer's memory."""
    bench.transmitter()
    command = SEND & ~TxCommand.IFCS
    bench.post(bench.legacy(FRAME + fcs(FRAME), command), bench.legacy(FRAME + b"\0\0\0\0", command))

    assert bench.sent() == [FRAME]


def test_a_frame_that_is_nothing_but_its_fcs_does_not_leave(bench: Bench) -> None:
    """The FCS of nothing is four zero bytes: right, and still no frame (IEEE 802.3, 3.2)."""
    bench.transmitter()
    bench.post(bench.legacy(b"\0\0\0\0", SEND & ~TxCommand.IFCS), bench.legacy(FRAME, SEND))

    assert bench.sent() == [FRAME]


def test_a_vlan_tag_is_inserted_where_ctrl_and_the_descriptor_ask(bench: Bench) -> None:
    """CTRL.VME and VLE together (datasheet, VLAN)."""
    bench.transmitter()
    bench.poke("CTRL", NIC["CTRL"]["VME"].mask)
    bench.post(
        bench.legacy(FRAME, SEND | TxCommand.VLE, special=0x6123),
        bench.data(FRAME, SEND | TxCommand.VLE, special=0x0007),
        bench.legacy(FRAME, special=5),
    )

    tagged = FRAME[:12] + bytes.fromhex("81006123") + FRAME[12:]
    assert bench.sent() == [tagged, FRAME[:12] + bytes.fromhex("81000007") + FRAME[12:], FRAME]


def test_without_vme_no_tag_is_inserted(bench: Bench) -> None:
    """VLE alone does nothing."""
    bench.transmitter()
    bench.post(bench.legacy(FRAME, SEND | TxCommand.VLE, special=5))

    assert bench.sent() == [FRAME]


def test_a_legacy_checksum_goes_from_css_to_the_end(bench: Bench) -> None:
    """IC, CSO, CSS (datasheet, Transmit), which QEMU's model ignores."""
    whole = raw(
        Ether(FRAME[:14]) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / Raw(b"x" * 33)
    )
    pseudo = (
        raw(IP(src="10.0.0.1", dst="10.0.0.2"))[12:20] + (17).to_bytes(2, "big") + (41).to_bytes(2, "big")
    )
    seed = sum(int.from_bytes(pseudo[at : at + 2], "big") for at in range(0, 12, 2))
    seed = (seed & 0xFFFF) + (seed >> 16)
    frame = whole[:40] + seed.to_bytes(2, "big") + whole[42:]
    bench.transmitter()
    bench.post(bench.legacy(frame, SEND | TxCommand.IC, cso=40, css=34))

    assert bench.sent() == [whole]


def _tcp(payload: int, *, version: int = 4, flags: str = "PA", seq: int = 0xFFFF_FF00) -> Packet:
    network = (
        IP(src="10.0.0.1", dst="10.0.0.2", id=0xFFFF) if version == 4 else IPv6(src="fd00::1", dst="fd00::2")
    )
    body = bytes(number * 7 & 0xFF for number in range(payload))
    tcp = TCP(
        sport=1000,
        dport=2000,
        seq=seq,
        ack=1,
        flags=flags,
        options=[("Timestamp", (1, 2)), ("NOP", 0), ("NOP", 0)],
    )
    return Ether(dst="52:54:00:12:34:56", src="02:00:00:00:00:01") / network / tcp / Raw(body)


def _pseudo(frame: bytes, version: int, length: int) -> int:
    addresses = frame[26:34] if version == 4 else frame[22:54]
    total = sum(int.from_bytes(addresses[at : at + 2], "big") for at in range(0, len(addresses), 2))
    total += 6 + length
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _context(version: int, command: TxCommand, **more: int) -> ContextTx:
    transport = 34 if version == 4 else 54
    return Bench.context(
        command | CTX_TCP | (CTX_IP if version == 4 else TxCommand.NONE),
        ipcss=14,
        ipcso=24 if version == 4 else 0,
        ipcse=transport - 1 if version == 4 else 0,
        tucss=transport,
        tucso=transport + 16,
        **more,
    )


@pytest.mark.parametrize("version", [4, 6])
def test_checksums_are_inserted_at_the_contexts_offsets(bench: Bench, version: int) -> None:
    """IXSM and TXSM; scapy is the judge."""
    whole = raw(_tcp(777, version=version))
    transport = 34 if version == 4 else 54
    frame = bytearray(blank(whole, *((24,) if version == 4 else ())))
    frame[transport + 16 : transport + 18] = _pseudo(whole, version, len(whole) - transport).to_bytes(
        2, "big"
    )
    bench.transmitter()
    bench.post(
        _context(version, TxCommand.NONE),
        bench.data(bytes(frame), options=OFFLOADED if version == 4 else TxOptions.TXSM),
    )

    assert bench.sent() == [whole]


def test_a_checksum_ends_where_tucse_says(bench: Bench) -> None:
    """TUCSE is the last byte that counts; 0 means the frame's end."""
    frame = ethernet(bytes(range(1, 100)))
    bench.transmitter()
    bench.post(Bench.context(tucss=14, tucso=50, tucse=17), bench.data(frame, options=TxOptions.TXSM))

    words = (frame[14] << 8 | frame[15]) + (frame[16] << 8 | frame[17])
    assert bench.sent() == [frame[:50] + (0xFFFF ^ words).to_bytes(2, "big") + frame[52:]]


def test_a_udp_checksum_of_zero_leaves_as_ffff(bench: Bench) -> None:
    """RFC 768: zero would say that there is none."""
    frame = ethernet(b"\xff\xff" + bytes(4))
    bench.transmitter()
    bench.post(Bench.context(tucss=14, tucso=20, tucse=15), bench.data(frame, options=TxOptions.TXSM))

    assert bench.sent() == [frame[:20] + b"\xff\xff" + frame[22:]]


@pytest.mark.parametrize(
    "offsets",
    [{"tucss": 14, "tucso": 255}, {"tucss": 255, "tucso": 20}, {"tucss": 40, "tucso": 20, "tucse": 30}],
)
def test_offsets_beyond_the_frame_insert_nothing(bench: Bench, offsets: dict[str, int]) -> None:
    """Nothing of a context is believed (CVE-2016-2857, CVE-2024-3567)."""
    bench.transmitter()
    bench.post(Bench.context(TxCommand.NONE, **offsets), bench.data(FRAME, options=TxOptions.TXSM))

    assert bench.sent() == [FRAME]


def _segmentation(whole: bytes, version: int) -> bytes:
    """Return the frame as Linux's e1000_tso gives it: lengths zero, pseudo header without length."""
    transport = 34 if version == 4 else 54
    frame = bytearray(blank(whole, *((16, 24) if version == 4 else (18,))))
    frame[transport + 16 : transport + 18] = _pseudo(whole, version, 0).to_bytes(2, "big")
    return bytes(frame)


@pytest.mark.parametrize("version", [4, 6])
def test_a_long_frame_is_cut_into_segments(bench: Bench, version: int) -> None:
    """Lengths, identification, sequence number, flags and checksums of each (datasheet, Transmit)."""
    whole = raw(_tcp(3500, version=version, flags="FPA"))
    header = len(whole) - 3500
    bench.transmitter()
    bench.post(
        _context(version, TSE, hdrlen=header, mss=1448, paylen=3500),
        bench.data(_segmentation(whole, version), SEND | TSE, OFFLOADED if version == 4 else TxOptions.TXSM),
    )

    expected = []
    for index, (start, stop, flags) in enumerate(((0, 1448, "A"), (1448, 2896, "A"), (2896, 3500, "FPA"))):
        packet = _tcp(3500, version=version, flags=flags, seq=(0xFFFF_FF00 + start) & 0xFFFF_FFFF)
        packet[Raw].load = packet[Raw].load[start:stop]
        if version == 4:
            packet[IP].id = (0xFFFF + index) & 0xFFFF
        expected.append(raw(packet))
    assert bench.sent() == expected
    assert bench.read("TSCTC") == 1
    assert bench.read("GPTC") == 3


def test_segments_carry_the_vlan_tag(bench: Bench) -> None:
    """VLE goes with segmentation; the offsets of the context are those before insertion."""
    whole = raw(_tcp(2000))
    bench.transmitter()
    bench.poke("CTRL", NIC["CTRL"]["VME"].mask)
    bench.post(
        _context(4, TSE, hdrlen=len(whole) - 2000, mss=1000, paylen=2000),
        bench.data(_segmentation(whole, 4), SEND | TSE | TxCommand.VLE, OFFLOADED, special=9),
    )

    sent = [Ether(frame) for frame in bench.sent()]

    assert [packet[Dot1Q].vlan for packet in sent] == [9, 9]
    assert [len(packet[TCP].payload) for packet in sent] == [1000, 1000]


@pytest.mark.parametrize("version", [4, 6])
def test_a_wire_with_offload_takes_a_segmentation_frame_whole(offloading: Bench, version: int) -> None:
    """One frame with virtio-net's fields; the lengths are the whole's, the pseudo header is summed."""
    bench = offloading
    whole = raw(_tcp(3500, version=version))
    transport = 34 if version == 4 else 54
    header = len(whole) - 3500
    bench.transmitter()
    bench.post(
        _context(version, TSE, hdrlen=header, mss=1448, paylen=3500),
        bench.data(_segmentation(whole, version), SEND | TSE, OFFLOADED if version == 4 else TxOptions.TXSM),
    )

    (sent,) = [effect for effect in bench.run() if isinstance(effect, FrameSent)]

    expected = bytearray(whole)
    expected[transport + 16 : transport + 18] = _pseudo(whole, version, 3500 + header - transport).to_bytes(
        2, "big"
    )
    assert sent.data == bytes(expected)
    gso = GsoType.TCPV4 if version == 4 else GsoType.TCPV6
    assert sent.offload == Offload(transport, 16, needs_csum=True, gso=gso, hdr_len=header, gso_size=1448)
    assert bench.read("GPTC") == 3


@pytest.mark.parametrize(
    "broken",
    [
        {"mss": 0, "hdrlen": 66},
        {"mss": 1, "hdrlen": 66},
        {"mss": 1448, "hdrlen": 0},
        {"mss": 1448, "hdrlen": 40},
    ],
    ids=["no MSS", "too many segments", "no header", "header too short"],
)
def test_a_segmentation_that_makes_no_sense_is_dropped_and_counted(
    bench: Bench, broken: dict[str, int]
) -> None:
    """CVE-2016-6836 and its like: TSCTFC counts, the ring goes on."""
    whole = raw(_tcp(5000))
    bench.transmitter()
    bench.post(
        _context(4, TSE, **broken),
        bench.data(_segmentation(whole, 4), SEND | TSE, OFFLOADED),
        bench.legacy(FRAME),
    )

    assert bench.sent() == [FRAME]
    assert bench.read("TSCTFC") == 1


def test_a_header_longer_than_the_frame_is_dropped(bench: Bench) -> None:
    """Header > frame (82574l.md, hostile guests)."""
    bench.transmitter()
    bench.post(_context(4, TSE, hdrlen=255, mss=1448), bench.data(FRAME[:100], SEND | TSE, OFFLOADED))

    assert bench.sent() == []


def test_a_chain_without_eop_costs_bounded_memory_and_one_frame(bench: Bench) -> None:
    """More than the card gathers: the chain is skipped up to its EOP, the next frame leaves."""
    bench.transmitter(count=512)
    piece = bench.data(bytes(0x8000), TxCommand.IFCS)
    bench.post(*[piece] * 40)
    bench.sent()
    bench.post(bench.data(FRAME), bench.data(FRAME))

    assert bench.sent() == [FRAME]


def test_data_outside_memory_costs_that_frame(bench: Bench) -> None:
    """The fault is told, the descriptor written back, the next frame leaves."""
    bench.transmitter()
    outside = bench.data(FRAME)
    bench.post(type(outside)(0xFFFF_FFFF_FFFF_FFF0, 64, outside.command), bench.legacy(FRAME))

    effects = bench.run()

    assert [effect for effect in effects if isinstance(effect, DmaFault)] == [
        DmaFault(0xFFFF_FFFF_FFFF_FFF0, 64, write=False)
    ]
    assert [effect.data for effect in effects if isinstance(effect, FrameSent)] == [FRAME]
    assert bench.done(0)


def test_a_ring_outside_memory_is_walked_once(bench: Bench) -> None:
    """One doorbell never costs more than one ring; the head arrives at the tail."""
    bench.transmitter(base=1 << 40)
    bench.write("TDT0", 40)

    effects = bench.run()

    assert bench.read("TDH0") == 40
    assert {type(effect) for effect in effects} == {DmaFault}


@pytest.mark.parametrize(("head", "tail"), [(0, 64), (64, 0), (0xFFFF, 3), (3, 0xFFFF)])
def test_a_head_or_tail_outside_the_ring_stands_still(bench: Bench, head: int, tail: int) -> None:
    """CVE-2016-1981: no loop; ethtool's self-test writes such values."""
    bench.transmitter(count=64)
    bench.write("TDH0", head)
    bench.write("TDT0", tail)

    assert bench.engine.run() == 0


@pytest.mark.parametrize("off", ["TCTL", "TARC0", "mastering", "link"])
def test_nothing_leaves_until_everything_is_on(bench: Bench, off: str) -> None:
    """The work waits; it is not lost."""
    bench.transmitter()
    value = bench.peek(off) if off.isupper() or off == "TARC0" else 0
    if off == "mastering":
        bench.engine.set_mastering(enabled=False)
    elif off == "link":
        bench.engine.set_link(up=False)
    else:
        bench.write(off, 0)
    bench.post(bench.legacy(FRAME))

    before = bench.sent()
    bench.engine.set_mastering(enabled=True)
    bench.engine.set_link(up=True)
    if value:
        bench.write(off, value)

    assert (before, bench.sent()) == ([], [FRAME])


def test_both_queues_take_turns_as_tarc_counts(bench: Bench) -> None:
    """Three frames of queue 0 for each one of queue 1."""
    bench.transmitter()
    bench.transmitter(queue=1)
    bench.write("TARC0", 0x403)
    bench.write("TARC1", 0x401)
    zero = [ethernet(bytes([0, number])) for number in range(6)]
    one = [ethernet(bytes([1, number])) for number in range(3)]
    bench.post(*[bench.legacy(frame) for frame in zero])
    bench.post(*[bench.legacy(frame) for frame in one], queue=1)

    order = [frame[14] for frame in bench.sent()]

    assert sorted(order) == [0] * 6 + [1] * 3
    assert order.index(1) <= 3
    assert bench.done(2, queue=1)


def test_the_counters_count_what_left(bench: Bench) -> None:
    """Lengths with FCS; broadcast and multicast apart; reading clears (datasheet, Statistics Registers)."""
    bench.transmitter()
    frames = [
        ethernet(),
        ethernet(bytes(100), destination=b"\xff" * 6),
        ethernet(bytes(1400), destination=bytes.fromhex("01005e000001")),
    ]
    bench.post(*[bench.legacy(frame) for frame in frames])
    bench.sent()

    names = ["GPTC", "TPT", "PTC64", "PTC127", "PTC1522", "BPTC", "MPTC", "GOTCL", "GOTCH", "TOTL"]
    octets = sum(len(frame) + 4 for frame in frames)
    assert [bench.read(name) for name in names] == [3, 3, 1, 1, 1, 1, 1, octets, 0, octets]
    assert bench.read("GPTC") == bench.read("GOTCL") == 0


def test_a_write_back_interrupts_with_the_queues_vector(bench: Bench) -> None:
    """MSI-X: IVAR says which; DD is in memory before."""
    bench.transmitter()
    bench.write("IVAR", 0x9 << 8)
    bench.write("IMS", NIC["IMS"]["TXQ0"].mask)
    bench.post(bench.legacy(FRAME))

    assert signals(bench.run()) == [1]


def test_txd_low_is_raised_at_the_threshold(bench: Bench) -> None:
    """TXDCTL.LWTHRESH, in units of eight descriptors."""
    bench.transmitter()
    bench.write("TXDCTL0", NIC["TXDCTL0"]["LWTHRESH"].put(1))
    bench.post(*[bench.legacy(FRAME)] * 9)
    low = NIC["ICR"]["TXD_LOW"].mask

    bench.engine.step()
    hit = bench.peek("ICR") & low

    assert hit == low


def test_an_unknown_descriptor_type_is_read_as_data(bench: Bench) -> None:
    """DTYP 2 to 15 are reserved."""
    bench.transmitter()
    odd = bytearray(bench.data(FRAME).emit())
    odd[10] |= 0x50
    bench.ram.write(TX_RING[0], bytes(odd))
    bench.write("TDT0", 1)

    assert bench.sent() == [FRAME]
