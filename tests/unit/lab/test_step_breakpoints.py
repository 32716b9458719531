"""Breakpoints: what they say, what they match, and what is told where they say nothing."""

from __future__ import annotations

import pytest

from device.regs.nic import NIC
from device.rings.transmit import ContextTx, DataTx, LegacyTx, TxCommand
from device.trace import events as ev
from device.trace.breakpoints import BreakpointError, parse
from device.trace.facts import KEYS, facts_of, name_of

EOP_RS = LegacyTx(0x1000, 64, command=TxCommand.EOP | TxCommand.RS).emit()
EOP = DataTx(0x1000, 1500, TxCommand.DEXT | TxCommand.EOP | TxCommand.IC).emit()
ARP = bytes.fromhex(
    "ffffffffffff52540082570108060001080006040001525400825701" + "0a523902" + "000000000000" + "0a523901"
)


def tcp(sport: int, dport: int) -> bytes:
    """Return a frame of TCP between two hosts."""
    header = bytes.fromhex("020000000001525400825701" + "0800")
    ip = bytes.fromhex("4500002800000000400600000a5239020a523901")
    return (
        header
        + ip
        + sport.to_bytes(2, "big")
        + dport.to_bytes(2, "big")
        + bytes.fromhex("0000000100000002501220000000")
        + b"\0\0"
    )


CASES = [
    ("write TDT0", ev.RegisterWritten(0x3818, 5), True),
    ("write TDT", ev.RegisterWritten(0x3818, 5), True),
    ("write 0x3818", ev.RegisterWritten(0x3818, 5), True),
    ("write TDT0", ev.RegisterWritten(0x0438, 5), True),
    ("write TDT0", ev.RegisterWritten(0x3918, 5), False),
    ("write TDT0", ev.RegisterRead(0x3818, 5), False),
    ("access TDT0", ev.RegisterRead(0x3818, 5), True),
    ("write TDT0 value=5", ev.RegisterWritten(0x3818, 5), True),
    ("write TDT0 value>5", ev.RegisterWritten(0x3818, 5), False),
    ("write RCTL flag=EN", ev.RegisterWritten(0x100, 2), True),
    ("write RCTL flag!=EN", ev.RegisterWritten(0x100, 2), False),
    ("write RCTL bsize=3", ev.RegisterWritten(0x100, 3 << 16), True),
    ("write IMS value&0x100000", ev.RegisterWritten(0xD0, 0x10_0000), True),
    ("doorbell", ev.RegisterWritten(0x3818, 1), True),
    ("doorbell tx", ev.RegisterWritten(0x2818, 1), False),
    ("doorbell rx0", ev.RegisterWritten(0x2818, 1), True),
    ("doorbell", ev.RegisterWritten(0x100, 1), False),
    ("fetch tx0", ev.DescriptorFetched("tx", 0, 5, 0x1050, EOP_RS), True),
    ("fetch tx1", ev.DescriptorFetched("tx", 0, 5, 0x1050, EOP_RS), False),
    ("fetch tx0 index=5 flag=RS type=legacy", ev.DescriptorFetched("tx", 0, 5, 0x1050, EOP_RS), True),
    ("fetch tx0 flag!=RS", ev.DescriptorFetched("tx", 0, 5, 0x1050, EOP), True),
    ("fetch type=data flag=TSE length>=1500", ev.DescriptorFetched("tx", 0, 5, 0x1050, EOP), True),
    ("writeback rx", ev.DescriptorWrittenBack("rx", 0, 1, 0x2010, bytes(16)), True),
    ("frame host=10.82.57.1 port=80", ev.FrameCompleted(0, tcp(1024, 80), None, looped=False), True),
    ("frame port=81", ev.FrameCompleted(0, tcp(1024, 80), None, looped=False), False),
    ("frame tcp=SYN", ev.FrameCompleted(0, tcp(1024, 80), None, looped=False), True),
    ("frame type=0x800 len<60", ev.FrameCompleted(0, tcp(1, 2), None, looped=False), True),
    ("arrive type=0x806", ev.FrameArrived(ARP, looped=False), True),
    ("arrive host=10.82.57.2", ev.FrameArrived(ARP, looped=False), True),
    ("irq vector=1", ev.InterruptSent(1), True),
    ("irq vector=1", ev.InterruptSent(0), False),
    ("interrupt", ev.LineMoved(asserted=True), True),
    ("cause TXDW", ev.CausesRaised(0x3), True),
    ("cause LSC", ev.CausesRaised(0x3), False),
    ("error", ev.DmaFaulted(0x10, 4, write=True), True),
    ("error", ev.FrameDropped("rx", -1, "oversize"), True),
    ("drop reason~over", ev.FrameDropped("rx", -1, "oversize"), True),
    ("timer name=RDTR", ev.TimerFired("RDTR"), True),
    ("any", ev.InterruptSent(0), True),
]


@pytest.mark.parametrize(
    ("text", "event", "hit"), CASES, ids=[f"{t}-{type(e).__name__}-{h}" for t, e, h in CASES]
)
def test_a_breakpoint_matches_what_it_says(text: str, event: ev.Event, hit: bool) -> None:  # noqa: FBT001 - a column of the table
    """One row, one event."""
    assert parse(text).matches(event) is hit


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "nothing to stop at"),
        ("wrote TDT0", "these are:.* write"),
        ("write NOSUCH", "there is no register NOSUCH"),
        ("fetch tx0 what", "give a condition"),
        ("cause NOSUCH", "ICR has no cause"),
        ("write TDT0 every=0", "at least 1"),
        ("irq vector=x", "number from 0 to 4"),
        ("write TDT0 nth=x", "at least 1"),
        ("fetch tx0 indx=5", "fetch has no fact indx; it has .*index"),
        ("irq reg=TDT0", "irq has no fact reg"),
        ("write RCTL bsise=3", "write has no fact bsise; .* and the register's fields"),
        ("write TDT0 if (", "no expression"),
    ],
)
def test_a_breakpoint_that_says_nothing_is_refused(text: str, told: str) -> None:
    """With what would do."""
    with pytest.raises(BreakpointError, match=told):
        parse(text)


FACTS: list[ev.Event] = [
    ev.RegisterRead(0x100, 2),
    ev.RegisterWritten(0x3818, 2),
    ev.DescriptorFetched("tx", 0, 5, 0x1050, EOP),
    ev.DescriptorFetched("tx", 0, 5, 0x1050, EOP_RS),
    ev.DescriptorFetched("tx", 0, 5, 0x1050, ContextTx(command=TxCommand.DEXT).emit()),
    ev.DescriptorFetched("rx", 0, 5, 0x1050, bytes(16)),
    ev.DataFetched(0, 0x1000, b""),
    ev.FrameCompleted(0, tcp(1, 2), None, looped=False),
    ev.FrameCompleted(0, ARP[:12] + b"\x81\0\0\5" + ARP[12:], None, looped=False),
    ev.FrameDropped("rx", 0, "oversize"),
    ev.FrameArrived(tcp(1, 2), looped=True),
    ev.FrameArrived(ARP[:12] + b"\x81\0\0\5" + ARP[12:], looped=False),
    ev.FrameFiltered(accepted=True, reason="UPE"),
    ev.DataStored(0, 0x1000, b""),
    ev.DescriptorWrittenBack("rx", 0, 1, 0x2010, bytes(16)),
    ev.CausesRaised(3),
    ev.InterruptSent(0),
    ev.LineMoved(asserted=True),
    ev.TimerFired("RDTR"),
    ev.DmaFaulted(0, 4, write=True),
]


def test_the_facts_that_may_be_asked_for_are_those_that_events_have() -> None:
    """For each kind of event: no fact that none has, and none left out."""
    fields = {field.name.lower() for register in NIC for field in register.fields}
    found: dict[str, set[str]] = {}

    for event in FACTS:
        found.setdefault(name_of(event), set()).update(facts_of(event))

    registers = {"read", "write"}
    assert {
        name: keys - (fields - KEYS[name] if name in registers else set()) for name, keys in found.items()
    } == {name: set(keys) for name, keys in KEYS.items()}


@pytest.mark.parametrize(
    ("text", "hits"), [("irq", [1, 2, 3, 4, 5, 6]), ("irq every=3", [3, 6]), ("irq nth=3", [3])]
)
def test_a_breakpoint_stops_each_time_each_nth_time_or_the_nth_time(text: str, hits: list[int]) -> None:
    """By its own count."""
    point = parse(text)

    assert [n for n in range(1, 7) if point.hit()] == hits


def test_a_runt_or_a_header_cut_short_is_taken_apart_as_far_as_it_goes() -> None:
    """At every length: nothing in a frame is believed."""
    point = parse("frame port=80")
    whole = tcp(1024, 80)

    hits = [point.matches(ev.FrameCompleted(0, whole[:n], None, looped=False)) for n in range(len(whole) + 1)]

    assert hits == [n >= 14 + 20 + 8 for n in range(len(whole) + 1)]
