"""What IGMP and MLD hosts do the same: report changes, answer queries in a while, heed an older querier.

MLDv2 is IGMPv3 in other messages, down to the numbers (RFC 3810 1, RFC 3376). Only any-source membership: a
join is EXCLUDE {}, a leave INCLUDE {}.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from protocols.transports.tcpip import addresses
from protocols.transports.tcpip.timers import SECOND, Timer

if TYPE_CHECKING:
    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.interface import Interface

# Record types (RFC 3376 4.2.12, RFC 3810 5.2.12).
IS_EXCLUDE = 2
TO_INCLUDE = 3
TO_EXCLUDE = 4

UNSOLICITED_INTERVAL = 1 * SECOND
OLDER_QUERIER_TIMEOUT = 260 * SECOND  # 2 * 125 s + 10 s (RFC 3376 8.12, RFC 3810 9.12)
MAX_PENDING = 256


def response_code(code: int, bits: int) -> int:
    """Return the value of a Max Resp Code of ``bits``: from half its range on, a small floating point number.

    RFC 3376 4.1.1 (8 bits), RFC 3810 5.1.3 (16 bits): one bit set, three of exponent, the rest mantissa.
    """
    if code < 1 << bits - 1:
        return code
    one = 1 << bits - 4
    return (code & one - 1 | one) << ((code >> bits - 4 & 7) + 3)


class Membership(ABC):
    """Group membership of all interfaces in one version of IP."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._older_until: dict[int, int] = {}
        self._pending: dict[tuple[int, bytes], Timer] = {}

    @abstractmethod
    def _silent(self, interface: Interface, group: bytes) -> bool:
        """Whether a group is never reported."""

    @abstractmethod
    def _report(self, interface: Interface, group: bytes, kind: int) -> None:
        """Send a report with one record."""

    def joined(self, interface: Interface, group: bytes) -> None:
        """Report a new group, and once more in case the first is lost."""
        if self._silent(interface, group):
            return
        self._report(interface, group, TO_EXCLUDE)
        self._schedule(interface, group, UNSOLICITED_INTERVAL, TO_EXCLUDE)

    def left(self, interface: Interface, group: bytes) -> None:
        """Report that nobody here is in the group any more."""
        self._cancel(interface, group)
        if not self._silent(interface, group):
            self._report(interface, group, TO_INCLUDE)

    def _answer(self, interface: Interface, group: bytes, longest: int) -> None:
        """Report what a query asks for, each group at a random time within ``longest``."""
        asked = [g for g in interface.groups if len(g) == len(group) and not self._silent(interface, g)]
        if not addresses.is_unspecified(group):
            asked = [g for g in asked if g == group]
        for one in asked:
            self._schedule(interface, one, self._context.random(32) * longest >> 32, IS_EXCLUDE)

    def _heard_older(self, interface: Interface) -> None:
        """Speak the older version on this link for a while: its querier does not know the newer one."""
        self._older_until[interface.index] = self._context.now + OLDER_QUERIER_TIMEOUT

    def _older(self, interface: Interface) -> bool:
        return self._older_until.get(interface.index, -1) >= self._context.now

    def _cancel(self, interface: Interface, group: bytes) -> None:
        timer = self._pending.pop((interface.index, group), None)
        if timer is not None:
            timer.stop()

    def _schedule(self, interface: Interface, group: bytes, delay: int, kind: int) -> None:
        key = (interface.index, group)
        if len(self._pending) >= MAX_PENDING and key not in self._pending:
            return

        def send() -> None:
            self._pending.pop(key, None)
            if group in interface.groups:
                self._report(interface, group, kind)

        self._cancel(interface, group)
        self._pending[key] = self._context.timers.timer(send)
        self._pending[key].start(delay)
