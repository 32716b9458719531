"""Where a driver stood: the calls above an address, by the stack alone."""

from __future__ import annotations

import pytest

from device.trace.breakpoints import parse
from lab.stepper.calls import WORD, Unreadable, called, calls
from lab.stepper.kernel_symbols import KernelSymbols

LISTING = """\
0000000000001000 T start_kernel
0000000000002000 t probe
0000000000003000 t ring_doorbell
0000000000004000 T __x86_indirect_thunk_rax
0000000000005000 D jiffies
0000000000006000 t gone
0000000000007000 t other	[e1000e]
"""
NAMES = KernelSymbols(LISTING)


def direct(at: int, target: int) -> bytes:
    """Return the eight bytes that end at ``at``: three of something, and a call of ``target``."""
    return b"\x90\x90\x90\xe8" + (target - at & 0xFFFF_FFFF).to_bytes(4, "little")


def test_an_address_is_said_as_the_kernel_says_it() -> None:
    """Data and modules are no part of it."""
    place = NAMES.find(0x3019)

    assert str(place) == "ring_doorbell+0x19"
    assert NAMES.find(0x5001) == NAMES.find(0x4000)._replace(offset=0x1001)  # type: ignore[union-attr]  # it is there
    assert NAMES.find(0xFFF) is None
    assert NAMES.find(0x6000 + (1 << 20)) is None


def test_symbols_are_read_again_as_they_were_kept() -> None:
    """And a listing of zeros, which the kernel gives to those it does not trust, is none."""
    again = KernelSymbols(NAMES.listing())

    assert again.find(0x2004) == NAMES.find(0x2004)
    assert not KernelSymbols("0000000000000000 T start_kernel\n").known
    assert KernelSymbols("0000000000000000 T start_kernel\n").find(0) is None


@pytest.mark.parametrize(
    ("before", "target"),
    [
        (direct(0x2010, 0x3000), 0x3000),
        (direct(0x2010, 0x4000), 0),  # a thunk: the call is indirect
        (b"\x90" * 6 + b"\xff\xd0", 0),
        (b"\x90" * 5 + b"\xff\x50\x18", 0),
        (b"\x90" * 8, None),
        (direct(0x2010, 0x10), None),
    ],
)
def test_what_a_call_calls_is_read_from_the_bytes_before_its_return(
    before: bytes, target: int | None
) -> None:
    """An address, 0 for one that a register held, nothing where no call is."""
    assert called(0x2010, before, NAMES) == target


def test_the_calls_above_are_those_that_lead_here() -> None:
    """A return address left by a call that is over calls somebody else, and is passed over."""
    code = {
        0x2010: direct(0x2010, 0x3000),  # probe called ring_doorbell
        0x6010: direct(0x6010, 0x4800 - 0x800 + 0x2000),  # left over: it called `gone`
        0x1010: direct(0x1010, 0x2000),  # start_kernel called probe
    }

    def read(address: int, _length: int) -> bytes:
        try:
            return code[address + WORD]
        except KeyError:
            raise Unreadable from None

    found = calls(0x3019, [7, 0x6010, 0x2010, 0x1234, 0x1010], read, NAMES)

    assert [str(place) for place in found] == ["ring_doorbell+0x19", "probe+0x10", "start_kernel+0x10"]


def test_a_stack_never_makes_more_calls_than_are_wanted() -> None:
    """However long it is."""
    found = calls(0x3019, [0x2010] * 10_000, lambda _a, _n: b"\x90" * 6 + b"\xff\xd0", NAMES, most=5)

    assert len(found) == 5


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("write TDT0 caller=ux_ring_doorbell", "caller == 'ux_ring_doorbell'"),
        ("write TDT0 if caller=ux_clean.cold", "caller == 'ux_clean.cold'"),
        ("write TDT0 caller!=ux_xmit if tx[0].tail == 4", "(tx[0].tail == 4) and caller != 'ux_xmit'"),
        ("write TDT0 if 'probe' in calls", "'probe' in calls"),
    ],
)
def test_a_breakpoint_may_ask_for_the_caller(text: str, expression: str) -> None:
    """As a condition or after ``if``; it is asked last, for the guest has to be stopped for it."""
    found = parse(text)

    assert found.expression == expression
    assert found.text == text
