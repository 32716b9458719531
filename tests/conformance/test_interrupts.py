"""Causes, masks, messages and moderation (datasheet, Interrupts). Said of every engine."""

from __future__ import annotations

import pytest

from device.engine.contract import DELAY_TICK_NS, TICK_NS, InterruptMode
from device.regs.nic import INT_ASSERTED, NIC
from device.rings.transmit import TxCommand
from tests.bench import SEND, Bench, ethernet, signals

CAUSE = {field.name: field.mask for field in NIC["ICS"].fields}
ASSERTED = INT_ASSERTED.mask
MODES = {InterruptMode.INTX: [True], InterruptMode.MSI: [0]}


@pytest.mark.parametrize("bit", range(10))
def test_each_cause_of_ethtools_interrupt_test(bench: Bench, bit: int) -> None:
    """Silent while masked; IMS and ICS together interrupt and show in ICR (e1000_intr_test)."""
    bench.engine.set_interrupt_mode(InterruptMode.INTX)
    mask = 1 << bit
    bench.write("IMC", 0xFFFF_FFFF)
    bench.write("ICS", mask)
    silent = signals(bench.effects())
    bench.read("ICR")
    bench.write("IMS", mask)
    bench.write("ICS", mask)
    loud = signals(bench.effects())
    seen = bench.read("ICR")
    bench.write("ICS", ~mask & 0x3FF)

    assert (silent, loud, seen) == ([], [True], mask | ASSERTED)
    assert signals(bench.effects()) == [False]


@pytest.mark.parametrize("mode", MODES)
def test_a_pending_cause_is_announced_once(bench: Bench, mode: InterruptMode) -> None:
    """And again after it was read."""
    bench.engine.set_interrupt_mode(mode)
    bench.write("IMS", CAUSE["LSC"])
    bench.engine.raise_causes(CAUSE["LSC"])
    bench.engine.raise_causes(CAUSE["LSC"])
    first = signals(bench.effects())
    bench.read("ICR")
    bench.effects()
    bench.engine.raise_causes(CAUSE["LSC"])

    assert (first, signals(bench.effects())) == (MODES[mode], MODES[mode])


def test_a_cause_is_announced_when_its_mask_is_lifted(bench: Bench) -> None:
    """IMS evaluates what is pending."""
    bench.engine.set_interrupt_mode(InterruptMode.MSI)
    bench.engine.raise_causes(CAUSE["LSC"])
    bench.write("IMS", CAUSE["LSC"])

    assert signals(bench.effects()) == [0]


def test_the_line_falls_with_the_mask(bench: Bench) -> None:
    """IMC."""
    bench.engine.set_interrupt_mode(InterruptMode.INTX)
    bench.write("IMS", CAUSE["LSC"])
    bench.engine.raise_causes(CAUSE["LSC"])
    bench.write("IMC", CAUSE["LSC"])

    assert signals(bench.effects()) == [True, False]


@pytest.mark.parametrize(
    ("ims", "left"),
    [(0, 0), (CAUSE["LSC"], 0), (CAUSE["RXO"], CAUSE["LSC"])],
    ids=["nothing enabled", "asserted", "enabled but not pending"],
)
def test_reading_icr_clears_as_the_mask_cases_say(bench: Bench, ims: int, left: int) -> None:
    """Datasheet, Interrupt Registers; iPXE polls with IMS = 0."""
    bench.engine.set_interrupt_mode(InterruptMode.INTX)
    bench.write("IMS", ims)
    bench.engine.raise_causes(CAUSE["LSC"])

    seen = bench.read("ICR")

    assert (seen & CAUSE["LSC"], bench.peek("ICR")) == (CAUSE["LSC"], left)


def test_iame_masks_what_iam_names_when_icr_is_read(bench: Bench) -> None:
    """Linux relies on it with INTx (e1000_intr)."""
    bench.engine.set_interrupt_mode(InterruptMode.INTX)
    bench.poke("CTRL_EXT", NIC["CTRL_EXT"]["IAME"].mask)
    bench.write("IAM", 0xFFFF_FFFF)
    bench.write("IMS", CAUSE["LSC"] | CAUSE["RXT0"])
    bench.engine.raise_causes(CAUSE["LSC"])

    bench.read("ICR")

    assert bench.read("IMS") == 0


def test_writing_icr_clears_the_bits_written(bench: Bench) -> None:
    """Write 1 to clear."""
    bench.engine.raise_causes(CAUSE["LSC"] | CAUSE["RXO"])
    bench.write("ICR", CAUSE["RXO"])

    assert bench.peek("ICR") & (CAUSE["LSC"] | CAUSE["RXO"]) == CAUSE["LSC"]


@pytest.mark.parametrize(
    ("cause", "shift"), [("RXQ0", 0), ("RXQ1", 4), ("TXQ0", 8), ("TXQ1", 12), ("LSC", 16)]
)
@pytest.mark.parametrize("vector", range(5))
def test_ivar_chooses_the_vector(bench: Bench, cause: str, shift: int, vector: int) -> None:
    """LSC counts as OTHER; an entry without its valid bit sends nothing."""
    enabled = "OTHER" if cause == "LSC" else cause
    bench.write("IMS", CAUSE[enabled])
    bench.write("IVAR", vector << shift)
    bench.engine.raise_causes(CAUSE[cause])
    invalid = signals(bench.effects())
    bench.write("ICR", 0xFFFF_FFFF)
    bench.write("IVAR", (8 | vector) << shift)
    bench.engine.raise_causes(CAUSE[cause])

    assert (invalid, signals(bench.effects())) == ([], [vector])


def test_a_message_clears_what_eiac_names_and_masks_what_iam_names(bench: Bench) -> None:
    """EIAC and, with EIAME, IAM: how Linux's e1000e runs with MSI-X (e1000_configure_msix)."""
    bench.poke("CTRL_EXT", NIC["CTRL_EXT"]["EIAME"].mask)
    bench.write("IAM", 0xFFFF_FFFF)
    bench.write("EIAC", CAUSE["RXQ0"])
    bench.write("IVAR", 8)
    bench.write("IMS", CAUSE["RXQ0"] | CAUSE["TXQ0"])

    bench.engine.raise_causes(CAUSE["RXQ0"])
    bench.engine.raise_causes(CAUSE["RXQ0"])
    once = signals(bench.effects())
    bench.write("IMS", CAUSE["RXQ0"])

    assert (once, signals(bench.effects())) == ([0], [0])
    assert bench.peek("ICR") & CAUSE["RXQ0"] == 0
    assert bench.peek("IMS") == CAUSE["TXQ0"]


@pytest.mark.parametrize(
    ("mode", "register", "expected"),
    [(InterruptMode.MSI, "ITR", 0), (InterruptMode.MSIX, "EITR", 1)],
)
def test_throttling_holds_a_message_back(
    bench: Bench, mode: InterruptMode, register: str, expected: int
) -> None:
    """ITR and EITR count 256 ns; the first message leaves at once, the next when the time is over."""
    bench.engine.set_interrupt_mode(mode)
    bench.write(register, 100, 1 if register == "EITR" else 0)
    bench.write("IVAR", 8 | 1)
    bench.write("EIAC", CAUSE["RXQ0"])
    bench.write("IMS", CAUSE["RXQ0"])
    bench.engine.advance(5000)
    bench.engine.raise_causes(CAUSE["RXQ0"])
    bench.read("ICR")
    first = signals(bench.effects())
    bench.engine.raise_causes(CAUSE["RXQ0"])
    held = signals(bench.effects())
    due = bench.engine.deadline()
    bench.engine.advance(5000 + 100 * TICK_NS - 1)
    early = signals(bench.effects())
    bench.engine.advance(5000 + 100 * TICK_NS)

    assert (first, held, due, early) == ([expected], [], 5000 + 100 * TICK_NS, [])
    assert signals(bench.effects()) == [expected]


def _receive_once(bench: Bench) -> None:
    bench.engine.receive(ethernet())


def test_rdtr_delays_and_radv_bounds_the_delay(bench: Bench) -> None:
    """RDTR starts anew with each frame, RADV with the first (datasheet, Interrupts)."""
    bench.engine.set_interrupt_mode(InterruptMode.MSI)
    bench.receiver()
    bench.write("IMS", CAUSE["RXT0"])
    bench.write("RDTR", 10)
    bench.write("RADV", 15)
    _receive_once(bench)
    bench.engine.advance(8 * DELAY_TICK_NS)
    _receive_once(bench)
    bench.engine.advance(14 * DELAY_TICK_NS)
    early = signals(bench.effects())
    bench.engine.advance(15 * DELAY_TICK_NS)

    assert (early, signals(bench.effects())) == ([], [0])
    assert (bench.read("ICRXATC"), bench.read("ICRXPTC")) == (1, 0)


def test_tidv_delays_what_has_ide(bench: Bench) -> None:
    """Without IDE the interrupt is at once."""
    bench.engine.set_interrupt_mode(InterruptMode.MSI)
    bench.transmitter()
    bench.write("IMS", CAUSE["TXDW"])
    bench.write("TIDV", 8)
    bench.post(bench.legacy(ethernet(), SEND | TxCommand.IDE))
    delayed = signals(bench.run())
    bench.engine.advance(8 * DELAY_TICK_NS)
    fired = signals(bench.effects())
    bench.read("ICR")
    bench.post(bench.legacy(ethernet()))

    assert (delayed, fired, signals(bench.run())) == ([], [0], [0])
    assert bench.read("ICTXPTC") == 1


@pytest.mark.parametrize("register", ["RDTR", "TIDV"])
def test_bit_31_flushes_a_delay(bench: Bench, register: str) -> None:
    """FPD raises at once what waits."""
    bench.engine.set_interrupt_mode(InterruptMode.MSI)
    bench.receiver()
    bench.transmitter()
    bench.write("IMS", CAUSE["RXT0"] | CAUSE["TXDW"])
    bench.write(register, 100)
    if register == "RDTR":
        _receive_once(bench)
    else:
        bench.post(bench.legacy(ethernet(), SEND | TxCommand.IDE))
        bench.engine.run()
    waiting = signals(bench.effects())
    bench.write(register, 1 << 31 | 100)

    assert (waiting, signals(bench.effects())) == ([], [0])
    assert bench.read(register) == 100


def test_delays_are_ignored_with_msix(bench: Bench) -> None:
    """EITR is for that (datasheet, Interrupts)."""
    bench.receiver()
    bench.write("RDTR", 100)
    bench.write("IVAR", 8)
    bench.write("IMS", CAUSE["RXQ0"])

    _receive_once(bench)

    assert signals(bench.effects()) == [0]


def test_a_delay_pending_when_the_mode_changes_is_announced_anew(bench: Bench) -> None:
    """QEMU's commit a01344d9d7: the timers met MSI-X that they did not expect."""
    bench.engine.set_interrupt_mode(InterruptMode.INTX)
    bench.receiver()
    bench.write("RDTR", 100)
    bench.write("IMS", CAUSE["RXT0"])
    _receive_once(bench)

    bench.engine.set_interrupt_mode(InterruptMode.MSI)
    bench.engine.advance(10**9)

    assert signals(bench.effects()) == [0]


def test_an_interrupt_takes_the_delays_along_with_int_timer_clr(bench: Bench) -> None:
    """CTRL_EXT bit 29."""
    bench.engine.set_interrupt_mode(InterruptMode.MSI)
    bench.poke("CTRL_EXT", NIC["CTRL_EXT"]["INT_TIMER_CLR"].mask)
    bench.receiver()
    bench.write("RDTR", 100)
    bench.write("IMS", CAUSE["RXT0"] | CAUSE["LSC"])
    _receive_once(bench)
    bench.engine.raise_causes(CAUSE["LSC"])

    assert signals(bench.effects()) == [0]
    assert bench.engine.deadline() is None
    assert bench.read("ICR") & CAUSE["RXT0"]


def test_interrupts_are_counted(bench: Bench) -> None:
    """IAC counts assertions, ICTXQEC empty queues."""
    bench.transmitter()
    bench.write("IVAR", 8 << 8)
    bench.write("IMS", CAUSE["TXQ0"])
    bench.post(bench.legacy(ethernet()))
    bench.run()

    assert (bench.read("IAC"), bench.read("ICTXQEC")) == (1, 1)


def test_a_reset_lowers_the_line_and_forgets(bench: Bench) -> None:
    """The contract of ``reset``."""
    bench.engine.set_interrupt_mode(InterruptMode.INTX)
    bench.write("IMS", CAUSE["LSC"])
    bench.write("PBA", 0x20)
    bench.engine.raise_causes(CAUSE["LSC"])

    bench.engine.reset(keep=frozenset({NIC["PBA"].offset}))

    assert signals(bench.effects()) == [True, False]
    assert (bench.read("ICR"), bench.read("IMS"), bench.read("PBA")) == (0, 0, 0x20)


def test_a_saved_engine_goes_on_where_it_was(bench: Bench) -> None:
    """In the middle of a frame, with a delay running."""
    bench.engine.set_interrupt_mode(InterruptMode.MSI)
    bench.transmitter()
    bench.write("IMS", CAUSE["TXDW"])
    bench.write("TIDV", 8)
    frame = ethernet(bytes(range(99)))
    bench.post(bench.legacy(frame[:50], TxCommand.IFCS | TxCommand.RS | TxCommand.IDE))
    bench.run()
    state = bench.engine.save()
    bench.engine.reset()
    bench.engine.restore(state)
    bench.post(bench.legacy(frame[50:], SEND | TxCommand.IDE))

    assert bench.sent() == [frame]
    bench.engine.advance(9 * DELAY_TICK_NS)
    assert signals(bench.effects()) == [0]


@pytest.mark.parametrize("state", [b"", b"{}", b"[1]", b'{"format": "82574L/1"}', b"\xff\xfe"])
def test_what_is_no_saved_engine_is_refused(bench: Bench, state: bytes) -> None:
    """ValueError, and the engine is as it was."""
    bench.write("ITR", 7)

    with pytest.raises(ValueError, match="not a saved engine"):
        bench.engine.restore(state)

    assert bench.read("ITR") == 7
