"""Wake-up frames, as the datasheet (Wake-up) and Linux's e1000e have them. Said of every engine."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether

from device.effects import WakeRaised
from device.regs.nic import NIC
from tests.bench import MAC, Bench, ethernet

WUFC = NIC["WUFC"]
BROADCAST = b"\xff" * 6
GROUP = bytes.fromhex("01005e7f0102")
MAGIC = b"\xff" * 6 + MAC * 16
OURS, OURS6 = "10.0.0.2", "fd00::2"
STRANGER = bytes.fromhex("020000000099")


def asleep(bench: Bench, *filters: str) -> None:
    """Leave the receiver on, without DMA, with PME enabled and these filters, as a driver's suspend does."""
    bench.receiver(control=NIC["RCTL"]["BAM"].mask | NIC["RCTL"]["MPE"].mask)
    bench.write("WUFC", sum(WUFC[name].mask for name in filters))
    bench.poke("WUC", NIC["WUC"]["PME_EN"].mask)
    bench.write("IP4AT", int.from_bytes(bytes(map(int, OURS.split("."))), "little"), 1)
    for index, word in enumerate((b"\xfd\0\0\0", b"\0\0\0\0", b"\0\0\0\0", b"\0\0\0\2")):
        bench.write("IP6AT", int.from_bytes(word, "little"), index)
    bench.write("IPAV", 1 << 1 | 1 << 16)
    bench.engine.set_mastering(enabled=False)


def frame(layers: object, destination: bytes = MAC) -> bytes:
    """Return a frame around layers of scapy."""
    return bytes(Ether(dst=destination.hex(":"), src="02:00:00:00:00:01") / layers)


FRAMES = {
    "MAG": ethernet(b"before" + MAGIC + b"after", BROADCAST, 0x0842),
    "EX": ethernet(),
    "MC": ethernet(b"", GROUP),
    "BC": ethernet(b"", BROADCAST),
    "ARP": frame(ARP(op=1, pdst=OURS), BROADCAST),
    "IPV4": frame(IP(dst=OURS) / UDP()),
    "IPV6": frame(IPv6(dst=OURS6) / UDP()),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_that_a_filter_asks_for_wakes(bench: Bench, name: str) -> None:
    """Nothing is stored; WUS says which filter it was, and the effect says so once."""
    asleep(bench, name)

    stored = [bench.engine.receive(FRAMES[name]) for _ in range(2)]

    assert stored == [False, False]
    assert bench.effects() == [WakeRaised(WUFC[name].mask)]
    assert bench.peek("WUS") == WUFC[name].mask
    assert bench.peek("RDH0") == 0
    assert bench.peek("RNBC") == 0


def test_the_first_frame_is_kept(bench: Bench) -> None:
    """Its length in WUPL, its first 128 bytes in WUPM; a second one changes neither."""
    asleep(bench, "MAG", "EX")

    bench.engine.receive(FRAMES["MAG"])
    bench.engine.receive(FRAMES["EX"])

    kept = b"".join(bench.peek("WUPM", index).to_bytes(4, "little") for index in range(32))
    assert bench.peek("WUPL") == len(FRAMES["MAG"])
    assert kept == FRAMES["MAG"][:128].ljust(128, b"\0")
    assert bench.peek("WUS") == WUFC["MAG"].mask | WUFC["EX"].mask


@pytest.mark.parametrize(
    ("filters", "data"),
    [
        (("MAG",), ethernet(b"\xff" * 6 + MAC * 15, BROADCAST)),
        (("MAG",), ethernet(b"\xff" * 5 + MAC * 16, BROADCAST)),
        (("MAG",), ethernet(MAGIC, STRANGER)),
        (("EX",), ethernet(b"", STRANGER)),
        (("EX", "MC"), ethernet(b"", BROADCAST)),
        (("MC", "BC"), ethernet()),
        (("ARP",), frame(ARP(op=2, pdst=OURS), BROADCAST)),
        (("ARP",), frame(ARP(op=1, pdst="10.0.0.3"), BROADCAST)),
        (("ARP",), frame(ARP(op=1, pdst="0.0.0.0"), BROADCAST)),  # noqa: S104 - RFC 826
        (("IPV4",), frame(IP(dst="10.0.0.3") / UDP())),
        (("IPV6",), frame(IPv6(dst="fd00::3") / UDP())),
        (("ARP", "IPV4", "IPV6"), ethernet(b"\x08", MAC, 0x0806)),
    ],
)
def test_a_frame_that_no_filter_asks_for_does_not(
    bench: Bench, filters: tuple[str, ...], data: bytes
) -> None:
    """One repetition less, another address, an answer instead of a question."""
    asleep(bench, *filters)

    bench.engine.receive(data)

    assert (bench.effects(), bench.peek("WUS"), bench.peek("WUPL")) == ([], 0, 0)


def test_without_pme_enabled_nothing_wakes(bench: Bench) -> None:
    """The frame waits, as any without DMA."""
    asleep(bench, "MAG")
    bench.poke("WUC", 0)

    bench.engine.receive(FRAMES["MAG"])

    assert not [effect for effect in bench.effects() if isinstance(effect, WakeRaised)]
    assert (bench.peek("WUS"), bench.peek("RNBC")) == (0, 1)


def test_awake_the_filters_rest(bench: Bench) -> None:
    """With DMA the frame is received and wakes nobody."""
    asleep(bench, "MAG")
    bench.engine.set_mastering(enabled=True)

    assert bench.engine.receive(FRAMES["MAG"])

    assert bench.peek("WUS") == 0


# -- flexible filters ------------------------------------------------------------------------------------

PATTERN, AT = b"ringwalk", 20


def flexible(bench: Bench, index: int, length: int) -> None:
    """Ask a filter for the pattern and nothing else."""
    bench.write("FFLT", length, index)
    for at in range(128):
        inside = AT <= at < AT + len(PATTERN)
        bench.write("FFMT", inside << index, at)
        bench.write("FFVT", (PATTERN[at - AT] if inside else 0) << 8 * index, at)


def patterned(data: bytes = PATTERN, destination: bytes = MAC) -> bytes:
    """Return a frame with the bytes where the filter looks."""
    return ethernet(bytes(AT - 14) + data, destination)


@pytest.mark.parametrize("index", range(4))
def test_each_flexible_filter_wakes_by_its_own_bit(bench: Bench, index: int) -> None:
    """FFLT, FFMT, FFVT and WUFC.FLX."""
    flexible(bench, index, AT + len(PATTERN))
    asleep(bench, "FLX")

    bench.engine.receive(patterned())

    assert bench.peek("WUS") == 1 << 16 + index


@pytest.mark.parametrize(
    ("length", "data", "taken"),
    [
        (AT + 8, PATTERN[:7] + b"!", False),
        (AT + 7, PATTERN[:7] + b"!", True),
        (61, PATTERN, False),
        (60, PATTERN, True),
        (1, PATTERN, False),
        (0, PATTERN, False),
    ],
)
def test_a_flexible_filter_compares_up_to_its_length(
    bench: Bench, length: int, data: bytes, *, taken: bool
) -> None:
    """Nothing beyond it; 60 bytes are too few for 61; a filter of less than two bytes takes none."""
    flexible(bench, 2, length)
    asleep(bench, "FLX")

    bench.engine.receive(patterned(data).ljust(60, b"\0"))

    assert bool(bench.peek("WUS")) is taken


def test_a_flexible_filter_sees_what_the_address_filters_take(bench: Bench) -> None:
    """A frame to a stranger has the pattern and wakes nobody."""
    flexible(bench, 0, AT + len(PATTERN))
    asleep(bench, "FLX")

    bench.engine.receive(patterned(destination=STRANGER))

    assert bench.effects() == []
