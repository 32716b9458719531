"""TCP/IP, sans I/O: frames, API calls and the time go in; frames and callbacks come out.

No socket, thread, wall clock or random source is in here. The time is an integer of
nanoseconds that the caller passes in, the entropy source is an argument, and frames leave
through a ``Link``. ``protocols.transports.tcpip.stack.Stack`` is the front door.
"""

from protocols.transports.tcpip.link import Link, Offload, RxFrame, TxFrame
from protocols.transports.tcpip.stack import Stack, StackConfig

__all__ = ["Link", "Offload", "RxFrame", "Stack", "StackConfig", "TxFrame"]
