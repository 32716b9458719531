"""The cases: one card and two, as data.

Each is a function of a ``Rig`` that raises ``CaseError``.

They use only what any miniport has. Source: the one-card and two-card cases of NDISTest (Windows
CE documentation).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ndis.filter8023 import PacketFilter
from ndis.oids import BY_NUMBER, MANDATORY, Oid, oid_name
from ndis.power import resume, suspend
from ndis.requests import Request
from ndis.status import Status
from ndis.suite.fault_cases import cancel_send, faults
from ndis.suite.fixture import ETHERTYPE, STRESS, Party, Rig, check
from ndis.suite.offload_cases import two_large_send

if TYPE_CHECKING:
    from collections.abc import Callable


BROADCAST = b"\xff" * 6
GROUP = bytes.fromhex("01005e7f0001")
OTHER_GROUP = bytes.fromhex("01005e7f0002")
STRANGER = bytes.fromhex("0200000000fe")


@dataclass(frozen=True, slots=True)
class Case:
    """One case: ``identifier`` is what lists of known faults name."""

    identifier: str
    cards: int
    what: str
    run: Callable[[Rig], None]


def frame(to: bytes, source: bytes, number: int, length: int = 60) -> bytes:
    """Make a numbered frame of ``length`` bytes."""
    return (to + source + ETHERTYPE + number.to_bytes(4, "big")).ljust(length, b"\xa5")


def _numbers(frames: list[bytes]) -> list[int]:
    return [int.from_bytes(f[14:18], "big") for f in frames]


def open_close(rig: Rig) -> None:
    """Bind and unbind sixteen times."""
    before = rig.adapters[0].opens
    for _ in range(16):
        Party(rig).close()
    check(rig.adapters[0].opens == before, "an open is left over")


def many_opens(rig: Rig) -> None:
    """Hold 128 opens at once; each answers."""
    parties = [Party(rig) for _ in range(128)]
    for party in parties:
        request = party.ask(Request.query(Oid.GEN_XMIT_OK, 8))
        check(request.status is Status.SUCCESS, f"{request!r}")
    for party in parties:
        party.close()


def _send_to(rig: Rig, to: bytes) -> None:
    party = Party(rig)
    sizes = (60, 61, 64, 128, 512, 1024, 1513, 1514)
    party.send(*(frame(to, party.address, n, size) for n, size in enumerate(sizes)))
    party.await_sent(len(sizes))
    bad = [s.name for _, s in party.client.sent if s is not Status.SUCCESS]
    check(not bad, f"completed with {bad}")
    party.close()


def send_directed(rig: Rig) -> None:
    """Send frames of all sizes to a stranger."""
    _send_to(rig, STRANGER)


def send_multicast(rig: Rig) -> None:
    """Send frames of all sizes to a group."""
    _send_to(rig, GROUP)


def send_broadcast(rig: Rig) -> None:
    """Send frames of all sizes to everybody."""
    _send_to(rig, BROADCAST)


def send_burst(rig: Rig) -> None:
    """Send more in one array than any ring holds; all come back once."""
    party = Party(rig)
    packets = party.send(*(frame(STRANGER, party.address, n) for n in range(STRESS)))
    party.await_sent(STRESS)
    check({p for p, _ in party.client.sent} == set(packets), "a packet came back twice")
    party.close()


LOOPBACK = (
    # filter, and which of: own address, listed group, other group, broadcast, stranger
    (PacketFilter.NONE, "....."),
    (PacketFilter.DIRECTED, "D...."),
    (PacketFilter.MULTICAST, ".M..."),
    (PacketFilter.ALL_MULTICAST, ".MA.."),
    (PacketFilter.BROADCAST, "...B."),
    (PacketFilter.DIRECTED | PacketFilter.BROADCAST, "D..B."),
    (PacketFilter.DIRECTED | PacketFilter.MULTICAST | PacketFilter.BROADCAST, "DM.B."),
    (PacketFilter.PROMISCUOUS, "DMABS"),
)


def loopback_filters(rig: Rig) -> None:
    """Send to every kind of address under eight filters of a second open on the same card."""
    sender, hearer = Party(rig), Party(rig)
    kinds = dict(zip("DMABS", (sender.address, GROUP, OTHER_GROUP, BROADCAST, STRANGER), strict=True))
    hearer.set(Oid.O802_3_MULTICAST_LIST, GROUP)
    sent = 0
    for packet_filter, expected in LOOPBACK:
        hearer.set(Oid.GEN_CURRENT_PACKET_FILTER, struct.pack("<I", packet_filter))
        hearer.heard()
        for number, address in enumerate(kinds.values()):
            sender.send(frame(address, sender.address, number))
            sent += 1
        sender.await_sent(sent)
        got = "".join(sorted("DMABS"[n] for n in _numbers(hearer.heard())))
        want = "".join(sorted(expected.replace(".", "")))
        check(got == want, f"{packet_filter!r}: heard {got or 'nothing'}, expected {want or 'nothing'}")
    for party in (sender, hearer):
        party.close()


def loopback_stress(rig: Rig) -> None:
    """Send to the card itself, hundreds of frames; nothing leaks."""
    party = Party(rig, 0, PacketFilter.DIRECTED)
    for start in range(0, STRESS, 4):
        party.send(*(frame(party.address, party.address, start + n) for n in range(4)))
        party.rig.settle()
    party.await_sent(STRESS)
    numbers = _numbers(party.heard())
    check(numbers == sorted(set(numbers)), "frames were doubled or changed order")
    check(len(numbers) == STRESS, f"{len(numbers)} of {STRESS} came back")
    check(not party.adapter.receives.taken, "receive packets are left over")
    party.close()


def multicast_list(rig: Rig) -> None:
    """Fill the multicast list to the card's size, overfill it, empty it."""
    party = Party(rig)
    size = party.adapter.filter.list_size
    full = b"".join(b"\x01\x00\x5e" + n.to_bytes(3, "big") for n in range(size))
    party.set(Oid.O802_3_MULTICAST_LIST, full)
    over = party.ask(Request.set(Oid.O802_3_MULTICAST_LIST, full + GROUP))
    check(over.status is Status.MULTICAST_FULL, f"overfull: {over.status.name}")
    back = party.ask(Request.query(Oid.O802_3_MULTICAST_LIST, len(full)))
    check(back.buffer.answer == full, "the list reads back differently")
    party.set(Oid.O802_3_MULTICAST_LIST, b"")
    party.close()


def reset(rig: Rig) -> None:
    """Reset in the middle of sends; every packet comes back, and the card works afterwards."""
    party = Party(rig, 0, PacketFilter.DIRECTED)
    party.send(*(frame(STRANGER, party.address, n) for n in range(32)))
    party.open.reset()
    party.await_sent(32)
    for _ in range(100):
        if not party.adapter.resets.active:
            break
        rig.settle()
    check(not party.adapter.resets.active, "the reset does not end")
    statuses = [s for s in party.client.statuses if s in {Status.RESET_START, Status.RESET_END}]
    check(statuses == [Status.RESET_START, Status.RESET_END], f"indicated {statuses}")
    party.send(frame(STRANGER, party.address, 99))
    party.await_sent(33)
    check(party.client.sent[-1][1] is Status.SUCCESS, "no send after the reset")
    party.close()


def oids(rig: Rig) -> None:
    """Query every mandatory OID, with a buffer that fits and with one that does not."""
    party = Party(rig)
    listed = party.ask(Request.query(Oid.GEN_SUPPORTED_LIST, 4096)).buffer.answer
    numbers = struct.unpack(f"<{len(listed) // 4}I", listed)
    missing = sorted(MANDATORY - set(numbers))
    check(not missing, "not in the list: " + ", ".join(oid_name(n) for n in missing))
    for number in sorted(MANDATORY):
        row = BY_NUMBER[number]
        answer = party.ask(Request.query(number, 4096))
        check(answer.status is Status.SUCCESS, f"{row.name}: {answer.status.name}")
        if row.size:
            short = party.ask(Request.query(number, 1))
            check(short.status is Status.INVALID_LENGTH, f"{row.name}, 1 byte: {short.status.name}")
            check(short.buffer.bytes_needed >= row.size, f"{row.name}: BytesNeeded too small")
    unknown = party.ask(Request.query(0xFFFF_FFFF))
    check(unknown.status is Status.NOT_SUPPORTED, f"unknown OID: {unknown.status.name}")
    party.close()


def suspend_resume(rig: Rig) -> None:
    """Sleep and wake; sends are refused meanwhile, filters survive."""
    party = Party(rig, 0, PacketFilter.DIRECTED)
    suspend(party.adapter)
    party.send(frame(STRANGER, party.address, 0))
    party.await_sent(1)
    check(party.client.sent[0][1] is not Status.SUCCESS, "a send in D3 succeeded")
    resume(party.adapter)
    party.send(frame(party.address, party.address, 1))
    party.await_sent(2)
    check(_numbers(party.heard()) == [1], "nothing is received after waking")
    party.close()


def two_send(rig: Rig) -> None:
    """Send every size from card to card; each frame arrives once, unchanged, in order."""
    here, there = Party(rig, 0), Party(rig, 1, PacketFilter.DIRECTED)
    frames = [frame(there.address, here.address, n, 60 + n * 97) for n in range(15)]
    for one in frames:
        here.send(one)
        rig.settle()
    here.await_sent(len(frames))
    check(there.heard() == frames, "what arrived differs from what was sent")
    here.close()
    there.close()


def two_filters(rig: Rig) -> None:
    """Try the eight filters again, over the wire: the card must filter as NDIS would."""
    here, there = Party(rig, 0), Party(rig, 1)
    there.set(Oid.O802_3_MULTICAST_LIST, GROUP)
    kinds = (there.address, GROUP, OTHER_GROUP, BROADCAST, STRANGER)
    sent = 0
    for packet_filter, expected in LOOPBACK:
        there.set(Oid.GEN_CURRENT_PACKET_FILTER, struct.pack("<I", packet_filter))
        there.heard()
        for number, address in enumerate(kinds):
            here.send(frame(address, here.address, number))
            sent += 1
        here.await_sent(sent)
        got = "".join(sorted("DMABS"[n] for n in _numbers(there.heard())))
        want = "".join(sorted(expected.replace(".", "")))
        check(got == want, f"{packet_filter!r}: heard {got or 'nothing'}, expected {want or 'nothing'}")
    here.close()
    there.close()


def two_stress(rig: Rig) -> None:
    """Both cards send at once; per direction no frame is doubled or overtaken, and most arrive."""
    parties = [Party(rig, n, PacketFilter.DIRECTED) for n in range(2)]
    for start in range(0, STRESS, 4):
        for mine, other in (parties, parties[::-1]):
            mine.send(*(frame(other.address, mine.address, start + n) for n in range(4)))
        rig.settle()
    for party in parties:
        party.await_sent(STRESS)
        numbers = _numbers(party.heard())
        check(numbers == sorted(set(numbers)), "frames were doubled or changed order")
        check(len(numbers) > STRESS * 9 // 10, f"{len(numbers)} of {STRESS} arrived")
    for party in parties:
        party.close()


def two_reset(rig: Rig) -> None:
    """Reset the sender and then the receiver under traffic; afterwards frames arrive again."""
    here, there = Party(rig, 0), Party(rig, 1, PacketFilter.DIRECTED)
    for count, party in enumerate((here, there), 1):
        here.send(*(frame(there.address, here.address, n) for n in range(16)))
        party.open.reset()
        here.await_sent(16 * count)
        rig.settle()
    there.heard()
    here.send(frame(there.address, here.address, 77))
    here.await_sent(33)
    check(_numbers(there.heard()) == [77], "nothing arrives after the resets")
    here.close()
    there.close()


CASES: tuple[Case, ...] = tuple(
    Case(run.__name__.replace("_", "-"), cards, (run.__doc__ or "").split("\n")[0], run)
    for cards, group in (
        (
            1,
            (
                open_close,
                many_opens,
                send_directed,
                send_multicast,
                send_broadcast,
                send_burst,
                loopback_filters,
                loopback_stress,
                multicast_list,
                reset,
                cancel_send,
                oids,
                faults,
                suspend_resume,
            ),
        ),
        (2, (two_send, two_filters, two_stress, two_reset, two_large_send)),
    )
    for run in group
)
