"""What is made of a difference between our engine and a model: known, ignored, or the first of its kind."""

from __future__ import annotations

import io

import pytest

from device.regs.nic import NIC
from device.trace.recording import About, Recording, Writer
from device.trace.records import Kind
from lab.errors import UsageError
from lab.stepper.against import LOW_RAM_END, Apart, memory_for
from lab.stepper.model_differences import KNOWN, known
from lab.stepper.model_report import Verdicts, against

LU = NIC["STATUS"]["LU"].mask


def apart(what: str, bits: int = 0) -> Apart:
    """Return a difference."""
    return Apart(7, 0, what, "ours", "theirs", bits)


def recorded(*records: tuple[int, int, int, int, bytes]) -> Recording:
    """Return a recording of these records."""
    out = io.BytesIO()
    writer = Writer(out.write, About("52:54:00:82:57:01"))
    for record in records:
        writer.add(*record)
    writer.close()
    return Recording(out.getvalue())


def test_a_known_difference_is_counted_and_an_unknown_one_ends_the_run() -> None:
    """The first that nobody has looked at is what the user wants to see."""
    verdicts = Verdicts([])

    going = [verdicts.tell(one) for one in (apart("read STATUS", LU), apart("read STATUS", 1), apart("x"))]

    assert going[:2] == [True, False]
    assert verdicts.first == apart("x")
    assert "known, 1 times: negotiation ends at another time" in verdicts.lines()[0]


def test_a_register_with_one_bit_more_than_is_known_is_unknown() -> None:
    """A judgement is of bits, not of a register."""
    assert known(apart("read STATUS", LU)) is not None
    assert known(apart("read STATUS", LU | 1)) is None


def test_what_the_user_ignores_is_passed_over_by_its_pattern() -> None:
    """Before anything is judged."""
    verdicts = Verdicts(["rx0.desc*", "read ICR"])

    going = [verdicts.tell(apart(what)) for what in ("rx0.desc[3] vlan", "read ICR", "rx1.desc[3] vlan")]

    assert going == [True, True, False]
    assert verdicts.lines() == ["ignored: 2"]


def test_every_judgement_says_why_and_by_whose_word() -> None:
    """None is an excuse."""
    assert all(len(one.why) > 20 and len(one.source) > 5 for one in KNOWN)


def test_memory_reaches_to_the_driver_s_last_buffer() -> None:
    """And the messages' mailbox lies behind it."""
    memory = memory_for(recorded((Kind.WRITE, 0, 0, 0, b""), (Kind.DMA_READ, 0, 0, 100 << 20, bytes(16))))

    assert memory.ram_bytes == 102 << 20
    assert memory.mailbox == 101 << 20


def test_a_driver_in_high_memory_is_refused_in_one_line() -> None:
    """A q35 machine has its memory in two pieces then."""
    with pytest.raises(UsageError, match="record a guest of less than 2 GiB"):
        memory_for(recorded((Kind.DMA_READ, 0, 0, LOW_RAM_END, bytes(16))))


def test_another_kind_of_target_is_refused() -> None:
    """Only QEMU's models can be held still."""
    with pytest.raises(UsageError, match="give qtest:DEVICE"):
        against(recorded(), "vfio:0000:01:00.0", [])
