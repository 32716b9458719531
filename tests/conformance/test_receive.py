"""The receive side, as drivers and the datasheet (Receive) have it. Said of every engine."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from device.effects import DmaFault, Offload
from device.regs.nic import NIC
from device.rings.receive import ExtendedRxRead, RxError, RxStatus, SplitRx
from formats.checksum import checksum, fcs
from tests.bench import MAC, PEER, RX_BUFFERS, RX_RING, Bench, ethernet, signals

RCTL = NIC["RCTL"]
DONE = RxStatus.DD | RxStatus.EOP
MULTICAST = bytes.fromhex("01005e7f0102")
OTHER = bytes.fromhex("020000000099")
BROADCAST = b"\xff" * 6


def bits(*names: str) -> int:
    """Return RCTL with these fields set to 1."""
    return sum(RCTL[name].put(1) for name in names)


def ip(payload: Packet, version: int = 4) -> Packet:
    """Return a frame to the card around a transport packet."""
    network = (
        IP(src="10.0.0.1", dst="10.0.0.2", id=0x1234) if version == 4 else IPv6(src="fd00::1", dst="fd00::2")
    )
    return Ether(dst="52:54:00:12:34:56", src="02:00:00:00:00:01") / network / payload


def test_a_frame_is_stored_and_its_descriptor_written(bench: Bench) -> None:
    """Extended format: DD, EOP, the length; the head moves."""
    bench.receiver()
    frame = ethernet(bytes(range(150)))

    assert bench.engine.receive(frame)

    done = bench.extended(0)
    assert (bench.status(0), done.length) == (DONE | RxStatus.IXSM, len(frame))
    assert bench.stored(0, len(frame)) == frame
    assert bench.read("RDH0") == 1


def test_a_legacy_descriptor_keeps_its_buffer_address(bench: Bench) -> None:
    """Linux never reads it again, DPDK's em does."""
    bench.receiver(extended=False)
    frame = ethernet(bytes(range(150)))

    bench.engine.receive(frame)

    done = bench.legacy_rx(0)
    assert (done.address, done.length, done.errors) == (RX_BUFFERS, len(frame), 0)
    assert done.status == DONE | RxStatus.IXSM


def test_a_short_frame_off_the_wire_is_padded(bench: Bench) -> None:
    """A TAP gives 42 bytes of ARP where a cable would give 60."""
    bench.receiver()

    bench.engine.receive(ethernet()[:42])

    assert bench.extended(0).length == 60


def test_without_secrc_the_fcs_is_stored(bench: Bench) -> None:
    """A real one; QEMU's model stores zeros."""
    bench.receiver()
    bench.write("RCTL", RCTL["EN"].mask)
    frame = ethernet(bytes(range(150)))

    bench.engine.receive(frame)

    assert bench.extended(0).length == len(frame) + 4
    assert bench.stored(0, len(frame) + 4) == frame + fcs(frame)


@pytest.mark.parametrize(
    ("control", "size"),
    [
        (RCTL["BSIZE"].put(3), 256),
        (RCTL["BSIZE"].put(2), 512),
        (RCTL["BSIZE"].put(1), 1024),
        (RCTL["BSIZE"].put(3) | RCTL["BSEX"].mask, 4096),
        (RCTL["FLXBUF"].put(3), 3072),
    ],
)
def test_a_frame_is_scattered_over_buffers_of_the_programmed_size(
    bench: Bench, control: int, size: int
) -> None:
    """BSIZE, BSEX, FLXBUF (datasheet, Receive Registers); EOP is on the last descriptor only."""
    bench.receiver(control=control | bits("LPE"), buffer_size=8192, count=16)
    frame = ethernet(bytes(index & 0xFF for index in range(size * 2)))

    assert bench.engine.receive(frame)

    lengths = [size, size, len(frame) - 2 * size]
    assert [bench.extended(index).length for index in range(3)] == lengths
    assert [RxStatus.EOP in bench.status(index) for index in range(3)] == [False, False, True]
    pieces = [bench.stored(index, length, buffer_size=8192) for index, length in enumerate(lengths)]
    assert b"".join(pieces) == frame
    assert bench.ram.read(RX_BUFFERS + size, 16) == bytes(16)


def test_an_oversize_frame_is_dropped_without_lpe(bench: Bench) -> None:
    """CVE-2012-6075: 1522 bytes with FCS are the most; ROC counts."""
    bench.receiver()

    taken = [bench.engine.receive(ethernet(bytes(size - 14))) for size in (1518, 1519)]

    assert (taken, bench.read("ROC"), bench.read("GPRC")) == ([True, False], 1, 1)


def test_lpe_lets_jumbo_frames_pass(bench: Bench) -> None:
    """9000 bytes of payload in five buffers."""
    bench.receiver(control=bits("LPE"))

    assert bench.engine.receive(ethernet(bytes(9000)))
    assert bench.read("RDH0") == 5


def test_a_null_buffer_takes_nothing_and_the_frame_goes_on(bench: Bench) -> None:
    """CVE-2020-28916 and QEMU's commit on NULL descriptors: no loop, no data lost."""
    bench.receiver()
    bench.ram.write(RX_RING[0], ExtendedRxRead(0).emit())
    frame = ethernet(bytes(range(100)))

    assert bench.engine.receive(frame)

    assert [bench.extended(index).length for index in range(2)] == [0, len(frame)]
    assert bench.stored(1, len(frame)) == frame


def test_a_ring_of_null_buffers_stores_no_frame(bench: Bench) -> None:
    """It is walked once."""
    bench.receiver()
    for index in range(32):
        bench.ram.write(RX_RING[0] + 16 * index, ExtendedRxRead(0).emit())

    assert not bench.engine.receive(ethernet())


def test_a_receiver_that_is_off_takes_nothing(bench: Bench) -> None:
    """RCTL.EN."""
    bench.receiver()
    bench.write("RCTL", 0)

    assert not bench.engine.can_receive()
    assert not bench.engine.receive(ethernet())


def test_buffers_outside_memory_fault_and_the_ring_goes_on(bench: Bench) -> None:
    """Writes are posted: the card does not notice, and goes on."""
    bench.receiver()
    bench.ram.write(RX_RING[0], ExtendedRxRead(1 << 50).emit())

    bench.engine.receive(ethernet())

    assert DmaFault(1 << 50, 60, write=True) in bench.effects()
    assert bench.read("RDH0") == 1


# -- filters ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "destination", "accepted"),
    [
        (0, MAC, True),
        (0, OTHER, False),
        (bits("UPE"), OTHER, True),
        (bits("UPE"), MULTICAST, False),
        (0, MULTICAST, False),
        (bits("MPE"), MULTICAST, True),
        (bits("MPE"), OTHER, False),
        (0, BROADCAST, False),
        (bits("BAM"), BROADCAST, True),
        (bits("BAM"), MULTICAST, False),
    ],
)
def test_only_frames_that_the_address_filters_let_in_are_received(
    bench: Bench, control: int, destination: bytes, *, accepted: bool
) -> None:
    """RAL/RAH, UPE, MPE, BAM (datasheet, Receive)."""
    bench.receiver(control=control)

    assert bench.engine.receive(ethernet(destination=destination)) is accepted


@pytest.mark.parametrize("offset", range(4))
def test_the_multicast_table_hashes_by_mo(bench: Bench, offset: int) -> None:
    """RCTL.MO chooses the twelve bits (e1000_hash_mc_addr_generic uses MO 0)."""
    bench.receiver(control=RCTL["MO"].put(offset))
    number = int.from_bytes(MULTICAST[4:], "little") >> (4, 3, 2, 0)[offset] & 0xFFF
    before = bench.engine.receive(ethernet(destination=MULTICAST))
    bench.write("MTA", 1 << (number & 31), number >> 5)

    assert (before, bench.engine.receive(ethernet(destination=MULTICAST))) == (False, True)
    assert RxStatus.PIF in bench.status(0)


@pytest.mark.parametrize("index", [1, 15])
def test_every_receive_address_counts_while_it_is_valid(bench: Bench, index: int) -> None:
    """AV; with ASEL it is the source that is compared."""
    bench.receiver()
    bench.write("RAL", int.from_bytes(OTHER[:4], "little"), index)
    high = int.from_bytes(OTHER[4:], "little")
    results = []
    for value in (high, high | 1 << 31, high | 1 << 31 | 1 << 16):
        bench.write("RAH", value, index)
        results.append(bench.engine.receive(ethernet(destination=OTHER)))

    assert results == [False, True, False]


def test_the_vlan_filter_table(bench: Bench) -> None:
    """VFE, VFTA; untagged frames pass."""
    bench.receiver(control=bits("VFE"))
    bench.write("VFTA", 1 << 5, 3)
    frames = [MAC + PEER + b"\x81\x00" + vid.to_bytes(2, "big") + bytes(50) for vid in (101, 102)]

    assert [bench.engine.receive(frame) for frame in (*frames, ethernet())] == [True, False, True]


@pytest.mark.parametrize(
    ("cfi", "tci", "accepted"), [(0, 0x1005, False), (0, 0x0005, True), (1, 0x1005, True)]
)
def test_the_canonical_form_filter(bench: Bench, cfi: int, tci: int, *, accepted: bool) -> None:
    """CFIEN compares the tag's bit with RCTL.CFI."""
    bench.receiver(control=bits("CFIEN") | RCTL["CFI"].put(cfi))
    frame = MAC + PEER + b"\x81\x00" + tci.to_bytes(2, "big") + bytes(50)

    assert bench.engine.receive(frame) is accepted


def test_the_vlan_tag_is_stripped(bench: Bench) -> None:
    """CTRL.VME: VP and the tag in the descriptor."""
    bench.receiver()
    bench.poke("CTRL", NIC["CTRL"]["VME"].mask)
    frame = ethernet(bytes(range(100)))

    bench.engine.receive(frame[:12] + bytes.fromhex("8100a00b") + frame[12:])

    assert (bench.extended(0).vlan, bench.extended(0).length) == (0xA00B, len(frame))
    assert RxStatus.VP in bench.status(0)
    assert bench.stored(0, len(frame)) == frame


# -- checksums, hash ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("layer", "expected"), [(TCP, RxStatus.TCPCS), (UDP, RxStatus.TCPCS | RxStatus.UDPCS)]
)
def test_good_checksums_are_verified(
    bench: Bench, version: int, layer: type[Packet], expected: RxStatus
) -> None:
    """IPCS, TCPCS, UDPCS without an error; scapy made the frame."""
    bench.receiver()
    bench.write("RXCSUM", NIC["RXCSUM"]["IPOFL"].mask | NIC["RXCSUM"]["TUOFL"].mask)

    bench.engine.receive(bytes(ip(layer(sport=1, dport=2) / Raw(b"x" * 101), version)))

    mask = RxStatus.TCPCS | RxStatus.UDPCS | RxStatus.IPCS | RxStatus.IXSM
    assert bench.status(0) & mask == expected | (RxStatus.IPCS if version == 4 else RxStatus.NONE)
    assert bench.errors(0) == RxError.NONE


@pytest.mark.parametrize(("at", "error"), [(24, RxError.IPE), (60, RxError.TCPE)])
def test_a_wrong_checksum_is_an_error(bench: Bench, at: int, error: RxError) -> None:
    """The frame is stored all the same; the driver decides."""
    bench.receiver()
    bench.write("RXCSUM", 0x300)
    frame = bytearray(bytes(ip(TCP(sport=1, dport=2) / Raw(b"x" * 101))))
    frame[at] ^= 0x55

    assert bench.engine.receive(bytes(frame))
    assert bench.errors(0) == error


def test_a_udp_checksum_of_zero_is_not_verified(bench: Bench) -> None:
    """RFC 768: none was sent."""
    bench.receiver()
    bench.write("RXCSUM", 0x300)

    bench.engine.receive(bytes(ip(UDP(sport=1, dport=2, chksum=0) / Raw(b"x" * 40))))

    assert not bench.status(0) & (RxStatus.UDPCS | RxStatus.TCPCS)


def test_the_packet_checksum_starts_at_pcss(bench: Bench) -> None:
    """The complement of the sum (datasheet, Receive); QEMU's model says 0 in the legacy format."""
    bench.receiver(extended=False)
    bench.write("RXCSUM", 14)
    frame = ethernet(bytes(range(1, 120)))

    bench.engine.receive(frame)

    assert bench.legacy_rx(0).checksum == checksum(frame[14:])


def test_a_checksum_that_the_wire_left_open_is_completed(bench: Bench) -> None:
    """Offload.needs_csum: the driver sees a whole frame."""
    bench.receiver()
    whole = bytes(ip(TCP(sport=1, dport=2) / Raw(b"y" * 99)))
    pseudo = checksum(whole[26:34] + b"\0\x06" + (len(whole) - 34).to_bytes(2, "big")) ^ 0xFFFF
    partial = whole[:50] + pseudo.to_bytes(2, "big") + whole[52:]

    bench.engine.receive(partial, Offload(csum_start=34, csum_offset=16, needs_csum=True))

    assert bench.stored(0, len(whole)) == whole


KEY = bytes.fromhex("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")
# Microsoft, "Verifying the RSS Hash Calculation": source, destination, ports, with ports, without.
VECTORS = [
    ("66.9.149.187", "161.142.100.80", 2794, 1766, 0x51CCC178, 0x323E8FC2),
    ("199.92.111.2", "65.69.140.83", 14230, 4739, 0xC626B0EA, 0xD718262A),
    ("24.19.198.95", "12.22.207.184", 12898, 38024, 0x5C2B394A, 0xD2D0A5DE),
]


def scale(bench: Bench, mrqc: int) -> None:
    """Turn RSS on with Microsoft's key; the odd hashes go to queue 1."""
    for index in range(10):
        bench.write("RSSRK", int.from_bytes(KEY[4 * index : 4 * index + 4], "little"), index)
    for index in range(32):
        bench.write("RETA", 0x8000_8000, index)
    bench.write("RXCSUM", NIC["RXCSUM"]["PCSD"].mask)
    bench.write("MRQC", 1 | mrqc)


@pytest.mark.parametrize(("source", "destination", "sport", "dport", "with_ports", "without"), VECTORS)
def test_the_hash_is_the_published_one(  # noqa: PLR0917 - a row of the table
    bench: Bench, source: str, destination: str, sport: int, dport: int, with_ports: int, without: int
) -> None:
    """TCP over IPv4 and IPv4 alone; the queue is bit 7 of RETA's entry."""
    bench.receiver()
    bench.receiver(queue=1)
    scale(bench, 3 << 16)
    ether = Ether(dst="52:54:00:12:34:56") / IP(src=source, dst=destination)

    bench.engine.receive(bytes(ether / TCP(sport=sport, dport=dport)))
    bench.engine.receive(bytes(ether / UDP(sport=sport, dport=dport)))

    heads = [0, 0]
    found = []
    for value in (with_ports, without):
        queue = value & 1
        done = bench.extended(heads[queue], queue)
        heads[queue] += 1
        found.append((done.hash, done.mrq & 0xF, done.mrq >> 8))
    assert found == [(with_ports, 1, with_ports & 1), (without, 2, without & 1)]


# -- packet split ------------------------------------------------------------------------------------


def test_headers_and_payload_are_split(bench: Bench) -> None:
    """The header in buffer 0, the rest from buffer 1 on (datasheet, Receive)."""
    base = RX_BUFFERS
    bench.split_receiver([(base, base + 0x1000, base + 0x2000, base + 0x3000)] * 8, 0x0101_0102)
    frame = bytes(ip(TCP(sport=1, dport=2) / Raw(bytes(range(200)) * 7)))

    assert bench.engine.receive(frame)

    done = bench.split(0)
    assert done.header_status == SplitRx.HEADER_SPLIT | 54
    assert (done.length0, done.length1, done.length2, done.length3) == (54, 1024, len(frame) - 54 - 1024, 0)
    assert bench.ram.read(base, 54) + bench.ram.read(base + 0x1000, 1024) == frame[: 54 + 1024]
    assert bench.read("RDH0") == 2


def test_what_cannot_be_split_fills_the_buffers_in_order(bench: Bench) -> None:
    """No IP: no header; an address with bit 0 set is no buffer (QEMU issue 537)."""
    base = RX_BUFFERS
    bench.split_receiver([(base, (1 << 64) - 1, base + 0x2000, (1 << 64) - 1)] * 8, 0x0001_0101)
    frame = ethernet(bytes(range(250)))

    assert bench.engine.receive(frame)

    done = bench.split(0)
    assert done.header_status == 0
    assert (done.length0, done.length1, done.length2) == (128, 0, len(frame) - 128)


# -- flow control --------------------------------------------------------------------------------------


def pause(quanta: int, opcode: int = 1) -> bytes:
    """Return a MAC control frame."""
    head = bytes.fromhex("0180c2000001") + PEER + b"\x88\x08"
    return (head + opcode.to_bytes(2, "big") + quanta.to_bytes(2, "big")).ljust(60, b"\0")


def flow(bench: Bench) -> None:
    """Program the flow control addresses as e1000e_setup_link_generic does."""
    bench.write("FCAL", 0x00C28001)
    bench.write("FCAH", 0x0100)
    bench.write("FCT", 0x8808)
    bench.write("FCTTV", 0x0680)


def test_pause_frames_are_consumed_and_counted(bench: Bench) -> None:
    """XOFF and XON; QEMU's model does neither."""
    bench.receiver(control=bits("MPE"))
    flow(bench)

    taken = [bench.engine.receive(frame) for frame in (pause(5), pause(0), pause(1, opcode=0x101))]

    assert taken == [False] * 3
    assert [bench.read(name) for name in ("XOFFRXC", "XONRXC", "FCRUC")] == [1, 1, 1]


def test_an_xoff_that_is_obeyed_holds_the_transmitter(bench: Bench) -> None:
    """CTRL.RFCE; a quantum is 512 bit times."""
    bench.receiver()
    bench.transmitter()
    flow(bench)
    bench.poke("CTRL", NIC["CTRL"]["RFCE"].mask)
    bench.engine.advance(1000)
    bench.engine.receive(pause(10))
    bench.post(bench.legacy(ethernet()))

    held = bench.sent()
    until = bench.engine.deadline()
    bench.engine.advance(1000 + 10 * 512)

    assert (held, until, len(bench.sent())) == ([], 1000 + 10 * 512, 1)


# -- causes and counters ---------------------------------------------------------------------------------


def test_the_minimum_threshold_is_raised_once_when_crossed(bench: Bench) -> None:
    """RDMTS = 2: an eighth of 32 descriptors."""
    bench.receiver(control=RCTL["RDMTS"].put(2), fill=6)
    low = NIC["ICR"]["RXDMT0"].mask

    raised = []
    for _ in range(4):
        bench.engine.receive(ethernet())
        raised.append(bool(bench.peek("ICR") & low))
        bench.write("ICR", low)

    assert raised == [False, True, False, False]


def test_small_frames_and_acks_raise_their_own_causes(bench: Bench) -> None:
    """RSRPD and RFCTL.ACK_DIS."""
    bench.receiver()
    bench.write("RSRPD", 64)

    bench.engine.receive(bytes(ip(TCP(sport=1, dport=2, flags="A"))).ljust(60, b"\0"))

    wanted = NIC["ICR"]["SRPD"].mask | NIC["ICR"]["ACK"].mask
    assert bench.peek("ICR") & wanted == wanted
    assert RxStatus.ACK in bench.status(0)


def test_the_counters_count_what_arrived(bench: Bench) -> None:
    """GPRC what passed, TPR everything; lengths with FCS."""
    bench.receiver(control=bits("BAM"))
    for destination in (MAC, BROADCAST, OTHER):
        bench.engine.receive(ethernet(destination=destination))

    names = ["GPRC", "TPR", "BPRC", "MPRC", "PRC64", "GORCL", "GORCH", "TORL"]
    assert [bench.read(name) for name in names] == [2, 3, 1, 0, 2, 128, 0, 192]


# -- loopback --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phy", [False, True], ids=["RCTL.LBM", "PHY"])
def test_what_is_sent_in_loopback_is_received(bench: Bench, phy: object) -> None:
    """It does not reach the wire; no link is needed; nothing recurses (CVE-2021-3416)."""
    bench.receiver(control=0 if phy else RCTL["LBM"].put(1))
    bench.transmitter()
    bench.engine.set_loopback(enabled=bool(phy))
    bench.engine.set_link(up=False)
    frame = ethernet(bytes(range(99)))
    bench.post(*[bench.legacy(frame)] * 20)

    assert bench.sent() == []
    assert bench.read("RDH0") == 20
    assert bench.stored(19, len(frame)) == frame


def test_a_runt_in_loopback_is_dropped_and_counted(bench: Bench) -> None:
    """Nobody padded it (QEMU's commit on short loopback frames)."""
    bench.receiver(control=RCTL["LBM"].put(1))
    bench.transmitter()
    bench.post(bench.legacy(ethernet()[:20]))

    bench.sent()

    assert (bench.read("RUC"), bench.read("RDH0")) == (1, 0)


def test_a_frame_interrupts_with_its_queues_vector(bench: Bench) -> None:
    """IVAR.RXQ0 with MSI-X."""
    bench.receiver()
    bench.write("IVAR", 8 | 2)
    bench.write("IMS", NIC["IMS"]["RXQ0"].mask)

    bench.engine.receive(ethernet())

    assert signals(bench.effects()) == [2]


@pytest.mark.parametrize("size", [0, 1, 13])
def test_less_than_a_header_is_no_frame(bench: Bench, size: int) -> None:
    """Nothing is stored, nothing raised."""
    bench.receiver(control=bits("UPE"))

    assert not bench.engine.receive(bytes(size))
