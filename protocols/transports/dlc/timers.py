"""IBM's timer ticks, and the link parameters of a SAP.

A timer value of 1 to 5 counts ticks of the first size, 6 to 10 (less 5) of the second. Source: IBM LAN
Technical Reference, DIR.OPEN.ADAPTER and DLC.OPEN.SAP: defaults T1 5, T2 2, Ti 3, MAXOUT 2, MAXIN 1,
MAX_RETRY 8, MAX_I_FIELD 600.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ntos.executive.contract import MILLISECOND
from protocols.interfaces.llc import LinkParameters
from protocols.transports.dlc.ccb import Code

if TYPE_CHECKING:
    from protocols.transports.dlc.ccb import OpenSap

TICK_NS: Final = 40 * MILLISECOND
TICKS: Final = {"t1": (5, 25), "t2": (1, 10), "ti": (25, 125)}
"""In units of 40 ms: the first and the second size of each timer's tick."""
DEFAULTS: Final = {"t1": 5, "t2": 2, "ti": 3}
MOST: Final = 10
DEFAULT_OUT: Final = 2
DEFAULT_IN: Final = 1
DEFAULT_RETRY: Final = 8
DEFAULT_INFORMATION: Final = 600


class DlcError(Exception):
    """A command that is refused; ``code`` is its return code."""

    def __init__(self, code: Code) -> None:
        super().__init__(code.name)
        self.code = code


def timer_ns(timer: str, value: int) -> int:
    """Return a timer's time; 0 is its default. DlcError."""
    if not 0 <= value <= MOST:
        raise DlcError(Code.PARAMETER_EXCEEDS_MAXIMUM)
    first, second = TICKS[timer]
    chosen = value or DEFAULTS[timer]
    return TICK_NS * (chosen * first if chosen <= MOST // 2 else (chosen - MOST // 2) * second)


def link_parameters(asked: OpenSap) -> LinkParameters:
    """Return a SAP's parameters. DlcError: a value beyond its limit. T2 is cut to T1."""
    t1 = timer_ns("t1", asked.timer_t1)
    try:
        return LinkParameters(
            t1_ns=t1,
            t2_ns=min(timer_ns("t2", asked.timer_t2), t1),
            ti_ns=timer_ns("ti", asked.timer_ti),
            n1=asked.maximum_information or DEFAULT_INFORMATION,
            n2=asked.maximum_retry or DEFAULT_RETRY,
            n3=asked.maximum_in or DEFAULT_IN,
            window=asked.maximum_out or DEFAULT_OUT,
        )
    except ValueError as error:
        raise DlcError(Code.PARAMETER_EXCEEDS_MAXIMUM) from error
