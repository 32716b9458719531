"""The driver's half of the rings, beside the card's: for a driver that lives in this process.

A guest's driver keeps its half where nobody but it knows. Ours can be asked: what it has cleaned, where its
tail is and what of that the card was told, which frames it waits for. Nothing here touches card or driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.stepper.views import RingView


class TransmitHalf(Protocol):
    """A driver's transmit ring; ``miniport.txring.TxRing`` is one."""

    count: int
    free: int

    @property
    def busy(self) -> int:
        """Frames that the card has."""

    @property
    def clean(self) -> int:
        """The oldest slot whose frame has not come back."""

    @property
    def tail(self) -> int:
        """The slot that the next frame takes."""

    @property
    def rung(self) -> int:
        """The tail that the card was told last."""


class ReceiveHalf(Protocol):
    """A driver's receive ring; ``miniport.rxring.RxRing`` is one."""

    count: int

    @property
    def dropped(self) -> int:
        """Frames that the driver gave up."""

    @property
    def next(self) -> int:
        """The slot that is looked at next."""

    @property
    def tail(self) -> int:
        """The slot that is armed next."""

    @property
    def rung(self) -> int:
        """The tail that the card was told last."""

    @property
    def spares(self) -> int:
        """Buffers that are neither with the card nor out."""


class DriverSide(Protocol):
    """A driver that can be asked."""

    @property
    def tx(self) -> Sequence[TransmitHalf]:
        """Its transmit rings; none before it has laid them."""

    @property
    def rx(self) -> Sequence[ReceiveHalf]:
        """Its receive rings."""

    def state(self) -> list[str]:
        """Say what it is and what it has under way."""

    def calls(self, count: int) -> list[str]:
        """Return the last calls between it and what is above, oldest first."""


def transmit_lines(half: TransmitHalf, card: RingView) -> list[str]:
    """Return both halves of a transmit ring."""
    lines = [
        f"{card.name}  driver  clean {half.clean}  tail {half.tail}  told the card {half.rung}",
        f"               waits for {half.busy} frames, has {half.free} free slots",
        f"       card    head {card.head}  tail {card.tail}  owns {card.pending}",
    ]
    done = (card.head - half.clean) % half.count
    if done:
        lines.append(f"       the card is past {_slots(done)} that the driver has not cleaned")
    return lines + _tails(half.tail, half.rung, card)


def receive_lines(half: ReceiveHalf, card: RingView) -> list[str]:
    """Return both halves of a receive ring."""
    lines = [
        f"{card.name}  driver  next {half.next}  tail {half.tail}  told the card {half.rung}",
        f"               has {half.spares} spare buffers, dropped {half.dropped} frames",
        f"       card    head {card.head}  tail {card.tail}  owns {card.pending}",
    ]
    filled = (card.head - half.next) % half.count
    if filled:
        lines.append(f"       the card is past {_slots(filled)} that the driver has not looked at")
    return lines + _tails(half.tail, half.rung, card)


def _slots(count: int) -> str:
    return f"{count} slot{'s' * (count > 1)}"


def _tails(tail: int, rung: int, card: RingView) -> list[str]:
    lines = []
    if tail != rung:
        lines.append("       the driver has written descriptors that it has not told the card of")
    if rung != card.tail:
        lines.append("       the tails differ: a doorbell is on its way, or was lost")
    return lines


def lines(side: DriverSide, tx: Sequence[RingView], rx: Sequence[RingView]) -> list[str]:
    """Return the driver and its rings, each beside the card's half."""
    out = side.state()
    for sent, card in zip(side.tx, tx, strict=False):
        out += transmit_lines(sent, card)
    for received, card in zip(side.rx, rx, strict=False):
        out += receive_lines(received, card)
    return out
