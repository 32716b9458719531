"""What a queue waits for: ``why tx0``, ``why rx0``. One reason a line, what stops everything first.

Each reason is read off the card: its registers, its ring, the last events. What a guest's driver thinks is
seen where it can be: in the descriptors it waits on, and for a driver of ours in its own half of the ring.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from device.effects import DmaError
from device.engine.reference import ReferenceEngine
from device.regs.nic import NIC
from device.trace import events as ev
from device.trace.facts import causes
from lab.stepper.last_state import LastState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.stepper.session import Session
    from lab.stepper.views import DescriptorView, Look, Registers, RingView

MOST_SLOTS: Final = 512
"""How many slots behind the head are looked at."""
LINE: Final = NIC["EITR"].count
_SOURCES: Final = {
    "tx": ("TXDW", "TXQE", "TXD_LOW", "TXQ0", "TXQ1"),
    "rx": ("RXT0", "RXDMT0", "RXO", "ACK", "RXQ0", "RXQ1"),
}
"""The causes of each direction."""
_DELAYS: Final = {"tx": ("TIDV", "TADV"), "rx": ("RDTR", "RADV", "RAID")}


def why(session: Session, name: str) -> list[str]:
    """Return what a ring waits for, as lines. KeyError: there is no such ring."""
    look = session.look
    ring = look.ring(name)
    lines = [ring.title()]
    if not ring.count:
        return [*lines, "  the driver has not set the ring up: its length is 0"]
    standing = [*_direction(look, ring), *_layout(ring), *_faults(session, ring)]
    moving = _transmits if ring.kind == "tx" else _receives
    reasons = [*standing, *moving(session, ring), *_interrupts(session, ring), *_driver(session, ring)]
    return [*lines, *(f"  {one}" for one in reasons)]


# -- what stops a direction ----------------------------------------------------------------------------


def _direction(look: Look, ring: RingView) -> Iterator[str]:
    regs, engine = look.regs, _engine(look)
    control = "TCTL" if ring.kind == "tx" else "RCTL"
    if not regs[control].EN:
        yield f"{control}.EN is 0: the driver has not switched the direction on"
    if engine is not None and not engine.core.mastering:
        yield "the card is no bus master (command register, bit 2): it reads and writes no memory"
    elif regs.CTRL.GIO_MASTER_DISABLE:
        yield "CTRL.GIO_MASTER_DISABLE is 1: the card reads and writes no memory"
    if not regs.STATUS.LU and not _looped(look):
        slu = "" if regs.CTRL.SLU else ", and CTRL.SLU is 0"
        yield (
            f"the link is down (STATUS.LU is 0{slu}): the PHY may be powered down (PHY register 0, bit 11),"
            " still negotiate, or have no cable"
        )


def _layout(ring: RingView) -> Iterator[str]:
    for what, index in (("head", ring.head), ("tail", ring.tail)):
        if index >= ring.count:
            yield f"the {what} is {index}, beyond the ring of {ring.count}: the card does not touch it"


def _faults(session: Session, ring: RingView) -> Iterator[str]:
    """Find the last access of the card's own that nothing answered."""
    progress = ev.FrameCompleted if ring.kind == "tx" else ev.DataStored
    for position, event in reversed(session.history):
        if isinstance(event, ev.DmaFaulted):
            way = "write" if event.write else "read"
            yield (
                f"DMA fault at #{position}: nothing is mapped at {event.address:#x}, where the card was to"
                f" {way} {event.length} bytes; {ring.name} stands if it was its own"
            )
            return
        if isinstance(event, progress) and event.queue == ring.queue:
            return  # it has gone on since


# -- transmit ------------------------------------------------------------------------------------------


def _transmits(session: Session, ring: RingView) -> Iterator[str]:
    look = session.look
    if ring.pending:
        yield from _holds(look)
        yield f"the card owns {_slots(ring.pending)}, [{ring.head}] is next: {_next(ring)}"
    else:
        yield "head meets tail: the card has sent all that it was given, and waits for a doorbell"
    yield from _reports(ring)


def _holds(look: Look) -> Iterator[str]:
    engine = _engine(look)
    if engine is not None and engine.core.paused_until > engine.core.now:
        left = (engine.core.paused_until - engine.core.now) / 1000
        yield f"PAUSE: the link's partner has asked for quiet, {left:.1f} us more"
    elif look.regs.STATUS.TXOFF:
        yield "PAUSE: the link's partner has asked for quiet (STATUS.TXOFF)"


def _next(ring: RingView) -> str:
    try:
        return str(ring.desc[ring.head])
    except DmaError:
        return "nothing is mapped there"


def _reports(ring: RingView) -> Iterator[str]:
    """Tell which slots behind the head are done, and which never will be said to be."""
    done, unsaid, gathering = [], [], []
    for one in _behind(ring):
        if one.done:
            done.append(one.index)
        elif one.reports:
            gathering.append(one.index)
        else:
            unsaid.append(one.index)
    if done:
        yield f"DD is set in {_listed(done)}: the driver may take them back"
    if unsaid:
        yield (
            f"no RS in {_listed(unsaid)}: the card is past them and never writes DD there; a driver"
            " that waits for it waits for ever"
        )
    if gathering:
        yield f"RS but no DD in {_listed(gathering)}: not yet written back, or the driver has cleared it"


def _behind(ring: RingView) -> Iterator[DescriptorView]:
    """Yield the slots that the card has passed and the driver has written, oldest first."""
    free = range(ring.tail, ring.tail + min(ring.count - ring.pending, MOST_SLOTS))
    for number in free:
        try:
            one = ring.desc[number % ring.count]
        except DmaError:
            continue
        if any(one.raw):
            yield one


# -- receive -------------------------------------------------------------------------------------------


def _receives(session: Session, ring: RingView) -> Iterator[str]:
    if not ring.pending:
        yield (
            "head meets tail: the card has no descriptor to store a frame in; the driver gives some by RDT"
            f"{ring.queue}"
        )
    else:
        yield f"the card has {_slots(ring.pending)} to store frames in, and waits for one from the wire"
    refused = Counter(
        event.reason
        for _, event in session.history
        if (isinstance(event, ev.FrameFiltered) and not event.accepted)
        or (isinstance(event, ev.FrameDropped) and event.ring == "rx")
    )
    for reason, count in refused.most_common(3):
        yield f"of the last frames {count} went no farther: {reason}"
    done = [one.index for one in _behind(ring) if one.done]
    if done:
        yield f"DD is set in {_listed(done)}: the driver has them to take"


# -- interrupts, and the driver's own half -------------------------------------------------------------


def _interrupts(session: Session, ring: RingView) -> Iterator[str]:
    look = session.look
    regs = look.regs
    mine = sum(NIC["ICR"][name].mask for name in _SOURCES[ring.kind])
    pending = int(regs.ICR) & mine
    masked = pending & ~int(regs.IMS)
    if masked and not int(regs.IMS) & mine:
        yield f"raised, but masked in IMS: {' '.join(sorted(causes(masked)))}: no interrupt comes of it"
    if pending & ~masked:
        names = " ".join(sorted(causes(pending & ~masked)))
        yield f"raised and enabled: {names}: the driver has not read ICR"
    yield from _routes(regs, ring)
    running = [name for name in _DELAYS[ring.kind] if _runs(look, name)]
    if running:
        yield f"moderation: {' and '.join(running)} still runs, and its interrupt comes when that is over"
    yield from _quiet(look)


def _routes(regs: Registers, ring: RingView) -> Iterator[str]:
    name = f"{ring.kind.upper()}Q{ring.queue}"
    ivar = int(regs.IVAR)
    if ivar and int(regs.IMS) & NIC["IMS"][name].mask and not NIC["IVAR"][name].get(ivar) & 8:
        yield f"IVAR has no valid vector for {name}, which is enabled: its interrupt goes nowhere"


def _runs(look: Look, name: str) -> bool:
    engine = _engine(look)
    return engine is not None and engine.interrupts.timers.get(name, 0) > engine.core.now


def _quiet(look: Look) -> Iterator[str]:
    engine = _engine(look)
    if engine is None:
        return
    for number in sorted(engine.interrupts.held):
        left = (engine.interrupts.quiet_until[number] - engine.core.now) / 1000
        which = "ITR" if number == LINE else f"EITR[{number}]"
        yield f"moderation: {which} holds an interrupt back, {max(left, 0):.1f} us more"


def _driver(session: Session, ring: RingView) -> Iterator[str]:
    side = session.look.driver
    if side is None:
        return
    halves = side.tx if ring.kind == "tx" else side.rx
    if ring.queue >= len(halves):
        return
    half = halves[ring.queue]
    if half.tail != half.rung:
        yield f"the driver has filled up to {half.tail} and told the card {half.rung}: a doorbell is missing"
    if half.rung != ring.tail:
        yield f"the driver rang with {half.rung}, the card's tail is {ring.tail}: the doorbell was lost"


# -- parts ---------------------------------------------------------------------------------------------


def _engine(look: Look) -> ReferenceEngine | None:
    engine: object = look.engine
    if isinstance(engine, LastState):
        engine = None if engine.kept else engine.engine
    return engine if isinstance(engine, ReferenceEngine) else None


def _looped(look: Look) -> bool:
    engine = _engine(look)
    return engine is not None and engine.core.looped()


def _slots(count: int) -> str:
    return f"{count} slot{'s' * (count != 1)}"


def _listed(indices: list[int]) -> str:
    """Return slots as ranges: ``[0..3], [7]``."""
    ranges: list[list[int]] = []
    for index in indices:
        if ranges and index == ranges[-1][1] + 1:
            ranges[-1][1] = index
        else:
            ranges.append([index, index])
    return ", ".join(f"[{first}]" if first == last else f"[{first}..{last}]" for first, last in ranges)
