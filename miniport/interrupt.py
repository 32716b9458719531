"""Which events interrupt, by which message, and how they are masked while they are worked on.

Four plans: a line, or one message (MSI), for everything, with the cause register read in the ISR; one MSI-X
message for everything that clears itself, so that a frame costs no register access; a message a queue and one
for the rest (MSI-X). It decides registers; who is called at which level is NDIS's business.
Source: datasheet, Interrupts, Linux's e1000e/netdev.c (e1000_configure_msix, e1000_intr_msix_rx).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from device.regs.nic import NIC
from miniport import registers as r

if TYPE_CHECKING:
    from miniport.hardware import Hardware

_IVAR_VALID = 8
_COMMON = r.ICR_LSC | r.ICR_RXO | r.ICR_RXDMT0
_QUEUE_CAUSES = r.ICR_RXQ[0] | r.ICR_RXQ[1] | r.ICR_TXQ[0] | r.ICR_TXQ[1]


@dataclass(frozen=True, slots=True)
class Source:
    """What one message stands for: queues to serve, whether to look at the link, and its bits in IMS."""

    receive: tuple[int, ...]
    transmit: tuple[int, ...]
    link: bool
    causes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How the card interrupts."""

    sources: tuple[Source, ...]
    """By message number; a line is message 0."""
    is_line: bool
    is_msix: bool
    clears_itself: bool = False
    """Whether the one message clears the queues' causes as it leaves (EIAC); nothing is masked then.

    A message that comes while its DPC runs queues the DPC once more: that is less than to mask and unmask.
    """
    withheld: int = 0
    """Causes of completed sends that stay masked until ``tell_of_sends``."""

    @property
    def is_split(self) -> bool:
        """Whether each queue has a message of its own."""
        return len(self.sources) > 1


def plan(messages: int, receive: int, transmit: int, *, split: bool, late: bool = False) -> Plan:
    """Return the plan for what the bus granted.

    ``split`` asks for a message a queue; it is followed when there are enough (five: both queues of both
    directions, and the rest). ``late`` withholds the causes of completed sends where all share one source.
    """
    both = tuple(range(receive)), tuple(range(transmit))
    if not split or messages < 5:
        msix = messages > 1
        sends = sum(r.ICR_TXQ[:transmit]) if msix else r.ICR_TXDW
        arrivals = sum(r.ICR_RXQ[:receive]) | r.ICR_OTHER if msix else r.ICR_RXT0
        causes = _COMMON | arrivals | (0 if late else sends)
        source = Source(*both, link=True, causes=causes)
        return Plan((source,), messages == 0, msix, msix and not split, sends if late else 0)
    one = [Source((q,), (), link=False, causes=r.ICR_RXQ[q]) for q in range(2)]
    one += [Source((), (q,), link=False, causes=r.ICR_TXQ[q]) for q in range(2)]
    one.append(Source((), (), link=True, causes=_COMMON | r.ICR_OTHER))
    return Plan(tuple(one), is_line=False, is_msix=True)


def program(hardware: Hardware, how: Plan) -> None:
    """Write IVAR, EIAC and CTRL_EXT for a plan. Everything stays masked."""
    if not how.is_msix:
        hardware.write(r.EIAC, 0)
        return
    fields = ("RXQ0", "RXQ1", "TXQ0", "TXQ1", "OTHER")
    ivar = NIC["IVAR"]["TX_EVERY_WB"].mask
    for number, name in enumerate(fields):
        vector = number if how.is_split else 0
        ivar |= NIC["IVAR"][name].put(vector | _IVAR_VALID)
    hardware.write(r.IVAR, ivar)
    # A queue's cause clears itself when its message leaves; the others are cleared by hand.
    hardware.write(r.EIAC, _QUEUE_CAUSES if how.is_split or how.clears_itself else 0)
    control = hardware.read(r.CTRL_EXT) | r.CTRL_EXT_PBA_SUPPORT
    if how.clears_itself:  # QEMU's EIAC masks, too, unless IAME is set (e1000e_msix_notify_one)
        hardware.write(r.IAM, 0)
        control |= r.CTRL_EXT_IAME
    hardware.write(r.CTRL_EXT, control)


def acknowledge(hardware: Hardware, how: Plan, message: int) -> tuple[bool, int]:
    """Mask what interrupted; return whether it was this card, and the causes. For the ISR.

    A line is shared: ICR says whether it was us. Messages are ours alone, and ICR is read after everything is
    masked, because in MSI-X mode reading does not clear it else (QEMU's hw/net/e1000e_core.c,
    e1000e_mac_icr_read; the datasheet (ICR) clears it on every read while IMS is 0).
    """
    if how.is_line:
        causes = hardware.read(r.ICR)
        if not causes & r.ICR_ASSERTED:
            return False, 0
        hardware.write(r.IMC, r.ALL)
        return True, causes
    if how.clears_itself:
        return True, 0
    if not how.is_split:
        hardware.write(r.IMC, r.ALL)
        return True, hardware.read(r.ICR)
    source = how.sources[message]
    hardware.write(r.IMC, source.causes)
    if source.link:
        hardware.write(r.ICR, source.causes)  # these are not in EIAC: write 1 to clear
    return True, source.causes


def other_causes(hardware: Hardware, how: Plan) -> int:
    """Return and clear the causes: for a message that clears itself, when there is no queue to serve.

    The causes of queues go with the others, so the rings are to be looked at once more behind it.
    """
    hardware.write(r.IMC, r.ALL)
    causes = hardware.read(r.ICR)
    unmask_all(hardware, how)
    return causes


def tell_of_sends(hardware: Hardware, how: Plan) -> None:
    """Let the completed sends interrupt, at once if there are any."""
    hardware.write(r.IMS, how.withheld)


def withhold_sends(hardware: Hardware, how: Plan) -> None:
    """Let them interrupt no more."""
    hardware.write(r.IMC, how.withheld)


def unmask(hardware: Hardware, how: Plan, message: int) -> None:
    """Let a message come again."""
    hardware.write(r.IMS, how.sources[message].causes)


def unmask_all(hardware: Hardware, how: Plan) -> None:
    """Let every message come."""
    for message in range(len(how.sources)):
        unmask(hardware, how, message)
